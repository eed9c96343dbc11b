"""Training settings from a component's parameters."""

import re

import pytest

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError
from tiffin.stages.train.settings import check_model_code, hyperparameters_from, settings_from

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


class TestModelCode:
    @pytest.mark.parametrize(
        "location",
        ["", "model.py", "/a b/model.py", "gs://b/m.py", "s3://b/m.py", "minio://b/m.py", "file:///m.py", "C:\\m.py"],
    )
    def test_paths_and_uris_of_python_files(self, location):
        check_model_code(location)

    @pytest.mark.parametrize("location", ["http://host/model.py", "HTTPS://host/model.py", "git+ssh://host/model.py"])
    def test_other_schemes(self, location):
        with pytest.raises(InputError, match="gs://.*s3://.*" + re.escape(f"model_code='{location}'")):
            check_model_code(location)

    @pytest.mark.parametrize(
        "location", ["model", "models/", "model.ipynb", "model.pyc", "gs://b/model.pkl", "model.py "]
    )
    def test_other_files(self, location):
        with pytest.raises(InputError, match=re.escape(f"model_code='{location}'") + r"|\.py"):
            check_model_code(location)


class TestHyperparameters:
    def test_none(self):
        assert hyperparameters_from({}, "") == hyperparameters_from({}, "model.py") == {}

    def test_whole_numbers_become_integers_at_any_depth(self):
        given = {"a": 64.0, "b": [1.0, 0.5, {"c": -2.0}], "d": True, "e": "1.0", "f": None, "g": 1e300, "h": 3}
        found = hyperparameters_from(given, "model.py")

        assert found == {"a": 64, "b": [1, 0.5, {"c": -2}], "d": True, "e": "1.0", "f": None, "g": 1e300, "h": 3}
        assert [type(value) for value in (found["a"], *found["b"][:2], found["d"], found["g"])] == [
            int, int, float, bool, float
        ]  # fmt: skip

    def test_without_code(self):
        with pytest.raises(InputError, match=r"model_code.*: units, rate\."):
            hyperparameters_from({"units": 1, "rate": 2}, "")
