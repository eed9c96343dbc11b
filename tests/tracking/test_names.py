"""The rules of the parameters, checked without MLflow."""

import pytest

from tiffin.errors import InputError
from tiffin.tracking.names import check_model_name


@pytest.mark.parametrize("name", ["m", "taxi-tips.v2_1", "9", "x" * 128])
def test_a_valid_name(name):
    check_model_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 129, "a\n"])
def test_an_invalid_name(name):
    with pytest.raises(InputError, match=f"128 .*model_name='{name}'"):
        check_model_name(name)
