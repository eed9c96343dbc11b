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
        ("", "A size should be small, medium, large, or explicit"),
        ("larg", r"Received: 'larg'\. Did you mean 'large'\?"),
        ("cpu=much", r"should be a quantity, or request:limit.*Received: 'cpu=much'"),
        ("cpu=0", "should be a quantity"),
        ("memory=2GB", "should be a quantity.*'memory=2GB'"),
        ("memory=1.5Gi", "should be a quantity"),
        ("cpu=2:1", r"A request should be at most its limit\. Received: 'cpu=2:1'"),
        ("memory=1Gi:1000Mi", "A request should be at most its limit"),
        ("large,memry=2Gi", r"Received: 'memry=2Gi' in 'large,memry=2Gi'\. Did you mean 'memory'\?"),
        ("accelerator=nvidia.com/gpu:0", "should be resource:count"),
    ],
)
def test_what_is_no_size_says_what_is_one(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_size(text)
