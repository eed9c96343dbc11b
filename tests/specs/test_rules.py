"""A run is held to its components' rules before it starts."""

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
        ({"thresholds": {"acu": 0.9}}, r"thresholds\['acu'\]\. Did you mean 'auc'\?"),
        ({"thresholds": {"auc": "high"}}, r"threshold should be a number\. Received: thresholds\['auc'\]='high'"),
        ({"model_name": "../a"}, r"model_name should be .* Received: model_name='\.\./a'"),
        ({"tracking_uri": "https://u:word@mlflow.example"}, r"tracking_uri should hold no password"),
    ],
)
def test_a_value_that_breaks_a_rule(uses: tuple[Use, ...], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        check_values(uses, values)

    assert "u:word" not in str(raised.value)


def test_another_name_is_told_with_the_components() -> None:
    with pytest.raises(InputError, match=r"The parameter 'bounds' goes to evaluate_model as thresholds\. A threshold "):
        check_values([Use("bounds", "evaluate_model", "thresholds")], {"bounds": {"x": 1}})


@pytest.mark.parametrize(
    ("name", "value"), [("thresholds", {}), ("thresholds", {"auc": 0.9, "rmse": 3}), ("model_name", "a-b.c_1")]
)
def test_good_values_pass(uses: tuple[Use, ...], name: str, value: Any) -> None:
    check_values(uses, {name: value})
