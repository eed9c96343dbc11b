import pytest

from tiffin.errors import InputError
from tiffin.specs.executors import find_step, function_of, kubernetes_config

STEPS = ["train-model", "validate-examples", "stop-run", "stop-run-2"]


def test_a_pipeline_without_steps_has_none_to_name() -> None:
    with pytest.raises(InputError, match=r"--size should name a step: \. Received: 'train'"):
        find_step("--size", "train", [])


@pytest.mark.parametrize(
    ("named", "step"),
    [
        ("train-model", "train-model"),
        ("train_model", "train-model"),
        ("train", "train-model"),
        ("stop-run", "stop-run"),
    ],
)
def test_a_step_is_named_by_its_name_or_first_word(named: str, step: str) -> None:
    assert find_step("--size", named, STEPS) == step


@pytest.mark.parametrize("named", ["stop", "tra", ""])
def test_what_names_no_step_or_two_is_refused(named: str) -> None:
    with pytest.raises(InputError, match=f"Received: '{named}'"):
        find_step("--size", named, STEPS)


def test_a_spec_without_platforms_gets_them() -> None:
    documents: list[dict] = [{"root": {}}]
    kubernetes_config(documents, "exec-a")["activeDeadlineSeconds"] = "5"

    assert documents[1] == {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a": {"activeDeadlineSeconds": "5"}}}}}
    }
    assert kubernetes_config(documents, "exec-a") == {"activeDeadlineSeconds": "5"}
    assert kubernetes_config(documents, "exec-b") == {}


def test_a_command_without_a_function_has_none() -> None:
    assert function_of([]) == ""
    assert function_of(["sh", "--function_to_execute"]) == ""
    assert function_of(["sh", "--function_to_execute", "train"]) == "train"
