"""A run is held to its components' rules before it starts."""

from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl

from tiffin import evaluate_model, register_model
from tiffin.authoring.compilation import compile_pipeline
from tiffin.errors import InputError
from tiffin.specs.rules import Use, check_values, find_uses


@dsl.pipeline
def looped(bounds: dict, names: list, often: bool = True):
    """Give one parameter to a component inside a branch and a loop, another one not as it is."""
    with dsl.If(often == True), dsl.ParallelFor(names) as name:  # noqa: E712
        model = dsl.importer(artifact_uri="gs://b/model", artifact_class=dsl.Model)
        data = dsl.importer(artifact_uri="gs://b/data", artifact_class=dsl.Dataset)
        evaluated = evaluate_model(examples=data.output, model=model.output, thresholds=bounds)
        register_model(model=model.output, evaluation=evaluated.outputs["evaluation"], model_name=name)


@pytest.fixture(scope="module")
def training() -> dict[str, Any]:
    return next(yaml.safe_load_all(compile_pipeline("training")))


def uses_of(pipeline: Any) -> list[Use]:
    return list(find_uses(json_format.MessageToDict(pipeline.pipeline_spec)))


def test_nothing_to_check() -> None:
    check_values([], {"thresholds": {"nonsense": 1}})


def test_every_parameter_of_training_goes_somewhere(training: dict[str, Any]) -> None:
    uses = list(find_uses(training))

    assert {use.parameter for use in uses} == set(training["root"]["inputDefinitions"]["parameters"])
    assert Use("thresholds", "evaluate_model", "thresholds") in uses
    assert {use.function for use in uses if use.parameter == "label"} == {"validate_examples", "train_model"}


def test_a_parameter_is_followed_into_branches_and_loops() -> None:
    # The items of a list are not the list.
    assert uses_of(looped) == [Use("bounds", "evaluate_model", "thresholds")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"thresholds": {"acu": 0.9}}, r"thresholds\['acu'\]\. Did you mean 'auc'\?"),
        ({"thresholds": {"auc": "high"}}, r"threshold should be a number\. Received: thresholds\['auc'\]='high'"),
        ({"model_name": "../a"}, r"model_name should be .* Received: model_name='\.\./a'"),
        ({"tracking_uri": "https://u:word@mlflow.example"}, r"tracking_uri should hold no password"),
    ],
)
def test_a_value_that_breaks_a_rule(training: dict[str, Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        check_values(find_uses(training), values)

    assert "u:word" not in str(raised.value)


def test_another_name_is_told_with_the_components() -> None:
    with pytest.raises(InputError, match=r"The parameter 'bounds' goes to evaluate_model as thresholds\. A threshold "):
        check_values(uses_of(looped), {"bounds": {"x": 1}})


@pytest.mark.parametrize(
    ("name", "value"), [("thresholds", {}), ("thresholds", {"auc": 0.9, "rmse": 3}), ("model_name", "a-b.c_1")]
)
def test_good_values_pass(training: dict[str, Any], name: str, value: Any) -> None:
    check_values(find_uses(training), {name: value})
