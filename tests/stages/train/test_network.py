"""The settings of a training, as a pipeline's form gives them."""

import pytest

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError
from tiffin.stages.train.network import settings_from

GIVEN = {
    "hidden_units": [64, 32], "epochs": 8, "batch_size": 128, "learning_rate": 0.003, "dropout": 0.2,
    "weight_decay": 0.01, "seed": 1,
}  # fmt: skip


def test_the_defaults_of_the_form_are_the_defaults():
    assert settings_from(**GIVEN) == Settings()


def test_whole_numbers_in_a_list_arrive_as_floats():
    assert settings_from(**{**GIVEN, "hidden_units": [16.0]}).hidden_units == (16,)


def test_no_hidden_layer_is_a_linear_model():
    assert settings_from(**{**GIVEN, "hidden_units": []}).hidden_units == ()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("hidden_units", [1.5], "a list of whole numbers"),
        ("hidden_units", ["64"], "a list of whole numbers"),
        ("hidden_units", [0], "sizes of at least 1"),
        ("epochs", 0, "at least 1"),
        ("batch_size", 0, "at least 1"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("inf"), "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("dropout", 1.0, "from 0 to below 1"),
        ("dropout", -0.1, "from 0 to below 1"),
        ("weight_decay", -1.0, "at least 0"),
        ("seed", -1, r"from 0 to 2\*\*32 - 1"),
        ("seed", 2**32, r"from 0 to 2\*\*32 - 1"),
    ],
)
def test_settings_out_of_their_range(name, value, rule):
    with pytest.raises(InputError, match=rf"^{name} should be {rule}\. Received: {name}="):
        settings_from(**{**GIVEN, name: value})
