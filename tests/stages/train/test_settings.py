"""Training settings from a component's parameters."""

import re

import pytest

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError
from tiffin.stages.train.settings import settings_from

GIVEN = {
    "hidden_units": [64, 32], "epochs": 0, "batch_size": 0, "learning_rate": 0.003, "dropout": 0.1,
    "weight_decay": 0.01, "seed": 1,
}  # fmt: skip


def test_parameter_defaults_are_the_defaults_of_settings():
    assert settings_from(**GIVEN) == Settings()


def test_floats_in_hidden_units_become_integers():
    assert settings_from(**{**GIVEN, "hidden_units": [16.0]}).hidden_units == (16,)


def test_empty_hidden_units():
    assert settings_from(**{**GIVEN, "hidden_units": []}).hidden_units == ()


@pytest.mark.parametrize(
    ("name", "value", "received"),
    [
        ("hidden_units", [1.5], "[1.5]"),
        ("hidden_units", ["64"], "['64']"),
        ("hidden_units", [0], "[0]"),
        ("hidden_units", [True], "[True]"),
        ("epochs", -1, "-1"),
        ("batch_size", -1, "-1"),
        ("learning_rate", 0.0, "0.0"),
        ("learning_rate", float("inf"), "inf"),
        ("learning_rate", float("nan"), "nan"),
        ("dropout", 1.0, "1.0"),
        ("dropout", -0.1, "-0.1"),
        ("weight_decay", -1.0, "-1.0"),
        ("seed", -1, "-1"),
        ("seed", 2**32, "4294967296"),
    ],
)
def test_settings_out_of_range(name, value, received):
    with pytest.raises(InputError, match=re.escape(f"{name}={received}.")):
        settings_from(**{**GIVEN, name: value})
