"""Parameters are checked against the components' rules before a run starts."""

import subprocess
import sys
from typing import Any

import pytest

from tiffin.authoring.compilation import load_spec
from tiffin.errors import InputError
from tiffin.specs.rules import check_values
from tiffin.specs.spec import Use


@pytest.fixture(scope="module")
def uses() -> tuple[Use, ...]:
    return load_spec("training").uses


def test_nothing_to_check() -> None:
    check_values([], {"thresholds": {"nonsense": 1}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"thresholds": {"acu": 0.9}}, r"thresholds\['acu'\].*'auc'\?"),
        ({"thresholds": {"auc": "high"}}, r"thresholds\['auc'\]='high'"),
        ({"model_name": "../a"}, r"model_name='\.\./a'"),
        ({"label": ""}, "label=''"),
        ({"hidden_units": [0]}, r"hidden_units=\[0\]"),
        ({"hidden_units": ["64"]}, r"hidden_units=\['64'\]"),
        ({"epochs": -1}, "epochs=-1"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
        ({"seed": -1}, "seed=-1"),
        ({"splits": {}}, r"splits=\{\}"),
        ({"splits": {"train": 0}}, r"splits\['train'\]=0"),
        ({"splits": {"my train": 1}}, r"splits\['my train'\]"),
        ({"max_bad_share": 2.0}, "max_bad_share=2.0"),
        ({"types": {"x": "flot"}}, "types=.*'x'.*'flot'.*'float'"),
        ({"missing_values": [-999]}, "missing_values.*-999"),
        ({"decimal": ";"}, "decimal=';'"),
        ({"thousands": "::"}, "thousands='::'"),
        ({"delimiter": "::"}, "delimiter='::'"),
        ({"column_names": ["a", "a"]}, "column_names.*'a'"),
        ({"deadline_seconds": 0.0}, "deadline_seconds=0.0"),
        ({"tracking_uri": "https://u:word@mlflow.example"}, "tracking_uri"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(uses: tuple[Use, ...], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        check_values(uses, values)

    assert "u:word" not in str(raised.value)


def test_the_error_names_the_parameter_and_the_input() -> None:
    with pytest.raises(InputError, match=r"'bounds' .*'thresholds' .*evaluate_model.*thresholds\['x'\]"):
        check_values([Use("bounds", "evaluate_model", "thresholds")], {"bounds": {"x": 1}})


def test_rules_import_nothing_heavy() -> None:
    heavy = "{'numpy', 'pyarrow', 'duckdb', 'sklearn', 'tensorflow', 'keras', 'mlflow', 'kfp'}"
    script = (
        f"import sys; from tiffin.stages import find_components; find_components(); print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_units", []),
        ("splits", {"train": 1}),
        ("max_bad_share", 0.0),
        ("thresholds", {}),
        ("thresholds", {"auc": 0.9, "rmse": 3}),
        ("model_name", "a-b.c_1"),
    ],
)
def test_valid_values_pass(uses: tuple[Use, ...], name: str, value: Any) -> None:
    check_values(uses, {name: value})


@pytest.mark.parametrize(
    "settings", [{"epochs": -3}, {"gate": {"x": 1}}, {"splits": {"train": -1}}, {"drift_thresholds": {"x": 1}}]
)
def test_settings_of_a_retraining_follow_the_rules_of_their_components(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        check_values([Use("training", "plan_retraining", "training")], {"training": settings})
