import pytest

from tiffin.errors import InputError
from tiffin.specs.sizes import SIZES, Size, read_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("small", SIZES["small"]),
        ("cpu=3", Size("3", "3", "2Gi", "4Gi")),
        ("cpu=500m:1.5,memory=512Mi:1Gi", Size("500m", "1.5", "512Mi", "1Gi")),
        ("large,memory=64Gi", Size("4", "8", "64Gi", "64Gi")),
        ("large,accelerator=nvidia.com/gpu:2", Size("4", "8", "8Gi", "16Gi", "nvidia.com/gpu", 2)),
        ("accelerator=nvidia.com/gpu", Size("1", "2", "2Gi", "4Gi", "nvidia.com/gpu", 1)),
    ],
)
def test_a_size_is_a_name_or_its_parts(text: str, expected: Size) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "small, medium, large, .*''"),
        ("larg", r"'larg'\. .*'large'\?"),
        ("cpu=much", "500m:2.*'cpu=much'"),
        ("cpu=0", "500m:2.*'cpu=0'"),
        ("memory=2GB", "2Gi:4Gi.*'memory=2GB'"),
        ("memory=1.5Gi", r"2Gi:4Gi.*'memory=1\.5Gi'"),
        ("cpu=2:1", "'cpu=2:1'.*request:limit"),
        ("memory=1Gi:1000Mi", "'memory=1Gi:1000Mi'.*request:limit"),
        ("large,memry=2Gi", r"'memry=2Gi' in 'large,memry=2Gi'\. .*'memory'\?"),
        ("accelerator=nvidia.com/gpu:0", "resource:count.*'accelerator=nvidia.com/gpu:0'"),
    ],
)
def test_an_invalid_size_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_size(text)
