"""Parameters are checked against the components' rules before a run starts."""

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


@pytest.mark.parametrize(
    ("name", "value"), [("thresholds", {}), ("thresholds", {"auc": 0.9, "rmse": 3}), ("model_name", "a-b.c_1")]
)
def test_valid_values_pass(uses: tuple[Use, ...], name: str, value: Any) -> None:
    check_values(uses, {name: value})
