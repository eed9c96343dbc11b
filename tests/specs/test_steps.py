from typing import Any

import pytest
from kfp import dsl

from support import toy_pipelines as toys
from tiffin import evaluate_model, images, register_model
from tiffin.authoring.compilation import compile_spec, load_spec
from tiffin.specs.spec import Use, read_spec
from tiffin.specs.steps import Step, function_of


@dsl.pipeline
def looped(bounds: dict, names: list, often: bool = True):
    """Pass one parameter unchanged to a component inside a branch and a loop, and the items of another."""
    with dsl.If(often == True), dsl.ParallelFor(names) as name:  # noqa: E712
        model = dsl.importer(artifact_uri="gs://b/model", artifact_class=dsl.Model)
        data = dsl.importer(artifact_uri="gs://b/data", artifact_class=dsl.Dataset)
        evaluated = evaluate_model(examples=data.output, model=model.output, thresholds=bounds)
        register_model(model=model.output, evaluation=evaluated.outputs["evaluation"], model_name=name)


@dsl.pipeline
def nesting():
    """Contain another pipeline, with a step of the same name."""
    toys.looping().after(toys.say_more(number=1))


def steps_of(pipeline: Any) -> tuple[Step, ...]:
    return read_spec("spec", compile_spec(pipeline)).steps


def test_a_step_has_executor_image_function_and_inputs() -> None:
    assert steps_of(toys.toy) == (
        Step(
            "write-text", "write-text", "exec-write-text", images.DATA, "write_text", {"text": "text", "times": "times"},
            title="write-text",
        ),
        Step(
            "read-text", "read-text", "exec-read-text", images.MODEL, "read_text", {"fail": "fail"}, title="read-text"
        ),
    )  # fmt: skip


@dsl.pipeline
def titled():
    """Give steps display names, two of them the same."""
    toys.say_more(number=1).set_display_name("Say: one")
    toys.say_more(number=2).set_display_name("Say")
    toys.say_more(number=3).set_display_name("Say")
    toys.wait(seconds=1.0, note="")


def test_a_step_has_its_display_name() -> None:
    assert [step.title for step in steps_of(titled)] == ["Say: one", "Say (say-more-2)", "Say (say-more-3)", "wait"]
    assert [step.title for step in steps_of(nesting)] == ["say-more (say-more)", "say-more (say-more-2)"]


@pytest.mark.parametrize(
    ("pipeline", "names", "components"),
    [
        (toys.waiting, ["wait", "say-more"], ["wait", "say-more"]),
        (toys.gated, ["stop-run", "say-more", "summarize-run"], ["stop-run", "say-more", "summarize-run"]),
        (toys.fitting, ["fit-model", "fit-model-2"], ["fit-model", "fit-model-2"]),
        (nesting, ["say-more", "say-more"], ["say-more", "say-more-2"]),
        (looped, ["evaluate-model", "register-model"], ["evaluate-model", "register-model"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_steps_are_in_a_valid_execution_order(pipeline: Any, names: list[str], components: list[str]) -> None:
    steps = steps_of(pipeline)

    assert [step.name for step in steps] == names
    assert [step.component for step in steps] == components


@dsl.pipeline
def inner(bounds: dict, label: str = "late", model_name: str = "inner"):
    """Have a default, an exit step, and a branch."""
    with dsl.If(label == "late"):
        model = dsl.importer(artifact_uri="gs://b/model", artifact_class=dsl.Model)
        data = dsl.importer(artifact_uri="gs://b/data", artifact_class=dsl.Dataset)
        evaluate_model(examples=data.output, model=model.output, thresholds=bounds, model_name=model_name)


@dsl.pipeline
def outer(name: str, limits: dict = {}):  # noqa: B006
    """Pass a parameter on, a constant, and nothing for the rest."""
    inner(bounds=limits)
    inner(bounds={"auc": 0.9}, model_name=name)


def test_a_nested_pipeline_has_its_own_values_and_those_it_is_given() -> None:
    first, second = steps_of(outer)

    assert (first.inputs["thresholds"], first.constants["model_name"]) == ("limits", "inner")
    assert (second.constants["thresholds"], second.inputs["model_name"]) == ({"auc": 0.9}, "name")
    assert "model_name" not in first.inputs
    assert "model_name" not in second.constants


def test_steps_of_nested_pipelines_are_known() -> None:
    assert [step.is_nested for step in steps_of(outer)] == [True, True]
    assert [step.is_nested for step in steps_of(inner)] == [False]
    assert not any(step.is_nested for step in load_spec("training").steps)
    nested = [step for step in load_spec("retraining").steps if step.is_nested]
    assert {step.function for step in nested} >= {"ingest_examples", "train_model", "roll_out_model", "summarize_run"}


def test_the_exit_step_follows_failures() -> None:
    names = [step.name for step in load_spec("training").steps if step.follows_failures]

    assert names == ["summarize-run"]


def test_steps_of_training_have_gates_and_memory_limits() -> None:
    steps = load_spec("training").steps

    assert [(step.name, step.gate) for step in steps] == [
        ("ingest-examples", None),
        ("validate-examples", None),
        ("train-model", None),
        ("evaluate-model", None),
        ("register-model", None),
        ("deploy-model", None),
        ("roll-out-model", None),
        ("stop-run", "rollout"),
        ("stop-run-2", "evaluation"),
        ("stop-run-3", "validation"),
        ("summarize-run", None),
    ]
    assert steps[0].memory_limit == 4 * 2**30
    assert steps_of(toys.gated)[0].gate == "a gate"


def test_every_parameter_of_training_is_used() -> None:
    spec = load_spec("training")

    assert {use.parameter for use in spec.uses} == set(spec.parameters)
    assert Use("thresholds", "evaluate_model", "thresholds") in spec.uses
    assert {use.function for use in spec.uses if use.parameter == "label"} == {
        "ingest_examples",
        "validate_examples",
        "train_model",
    }


def test_a_parameter_is_followed_into_branches_and_loops() -> None:
    # `names` is not passed unchanged: the component gets its items.
    assert read_spec("spec", compile_spec(looped)).uses == (Use("bounds", "evaluate_model", "thresholds"),)


def test_the_function_of_a_command() -> None:
    assert function_of([]) == ""
    assert function_of(["sh", "--function_to_execute"]) == ""
    assert function_of(["sh", "--function_to_execute", "train"]) == "train"
