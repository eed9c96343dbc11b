"""The parameters of the pipeline `training` that a retraining passes on."""

import pytest

from tiffin.errors import InputError
from tiffin.retraining.settings import SETTINGS, as_type, check_settings, complete

DEFAULTS = {name: kind() for name, kind in SETTINGS.items()}


def test_none():
    check_settings({})
    assert complete({}, DEFAULTS) == DEFAULTS


def test_numbers_of_kfp_have_their_types_again():
    found = complete(
        {"seed": 7.0, "dropout": 1, "hidden_units": [64.0, 32.0], "hyperparameters": {"depth": 3.0}}, DEFAULTS
    )
    assert [type(found["seed"]), type(found["dropout"])] == [int, float]
    assert repr(found["hidden_units"]) == "[64, 32]"
    assert repr(found["hyperparameters"]) == "{'depth': 3}"


@pytest.mark.parametrize(
    ("setting", "value", "part"),
    [
        ("epoch", 3, "epochs"),
        ("model_name", "x", "Received: 'model_name'"),
        ("epochs", 3.5, "epochs"),
        ("epochs", True, "True"),
        ("label", 3, "text"),
        ("reuse", 1, "reuse"),
        ("gate", [], "mapping"),
        ("slices", {}, "list"),
    ],
)
def test_wrong_settings(setting, value, part):
    with pytest.raises(InputError, match=part):
        check_settings({setting: value})


def test_a_default_is_missing():
    with pytest.raises(InputError, match="seed"):
        complete({}, {name: value for name, value in DEFAULTS.items() if name != "seed"})


def test_types():
    assert as_type("x", int) is None
    assert as_type(float("inf"), int) is None
    assert as_type(2, float) == 2.0
