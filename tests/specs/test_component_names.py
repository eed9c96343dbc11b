"""Names of components in specs with nested pipelines: the same in every process."""

import subprocess
import sys

import pytest

from tiffin.authoring.compilation import load_spec
from tiffin.specs.component_names import name_in_order


def document(**changed: object) -> dict[str, object]:
    return {"root": {"dag": {"tasks": {}}}, "components": {}, "deploymentSpec": {"executors": {}}, **changed}


def test_a_spec_without_components() -> None:
    assert name_in_order([document()]) == [document()]


def test_steps_of_the_pipeline_come_before_those_of_nested_ones() -> None:
    components = {
        "comp-a-3": {"executorLabel": "exec-a-9"},
        "comp-a": {"executorLabel": "exec-a"},
        "comp-inner": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}}}}},
    }
    executors = {"exec-a-9": {"container": {"image": "outer"}}, "exec-a": {"container": {"image": "inner"}}}
    tasks = {"b": {"componentRef": {"name": "comp-inner"}}, "a": {"componentRef": {"name": "comp-a-3"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a-9": {"x": 1}}}}}}
    found, around = name_in_order(
        [
            document(root={"dag": {"tasks": tasks}}, components=components, deploymentSpec={"executors": executors}),
            platform,
        ]
    )
    assert found["components"] == {
        "comp-a": {"executorLabel": "exec-a"},
        "comp-a-2": {"executorLabel": "exec-a-2"},
        "comp-b": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a-2"}}}}},
    }
    assert found["deploymentSpec"]["executors"] == {
        "exec-a": {"container": {"image": "outer"}},
        "exec-a-2": {"container": {"image": "inner"}},
    }
    assert around["platforms"]["kubernetes"]["deploymentSpec"]["executors"] == {"exec-a": {"x": 1}}


@pytest.mark.parametrize("pipeline", ["monitoring", "retraining"])
def test_each_step_runs_its_own_function(pipeline: str) -> None:
    """kfp's compiler renames executors while it merges pipelines."""
    spec = load_spec(pipeline)
    assert len({step.executor for step in spec.steps}) == len(spec.steps)
    for step in spec.steps:
        assert step.name.rstrip("-0123456789").replace("-", "_") == step.function
    platform = spec.documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert platform.keys() == {step.executor for step in spec.steps}


def test_processes_agree() -> None:
    """The order of a protobuf mapping differs between them."""
    code = "import sys; from tiffin.authoring.compilation import compile_pipeline as c; sys.stdout.buffer.write(c('monitoring'))"
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(4)}
    assert len(found) == 1
