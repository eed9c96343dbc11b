"""The rules of the parameters, checked without MLflow."""

import pytest

from tiffin.errors import InputError
from tiffin.stages.reference.parameters import check_version


@pytest.mark.parametrize("version", [0, 1, 300])
def test_a_valid_version(version):
    check_version(version)


def test_an_invalid_version():
    with pytest.raises(InputError, match=r"^version .* 0 .*version=-1"):
        check_version(-1)
