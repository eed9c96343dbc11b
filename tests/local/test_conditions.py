"""Conditions on outputs and texts, in local runs."""

from pathlib import Path
from typing import NamedTuple

import pytest
from kfp import dsl

from support import toy_pipelines as toys
from tiffin import images
from tiffin.local.runs import run_pipeline


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def answer(passed: bool, word: str) -> NamedTuple("Answer", [("passed", bool), ("word", str)]):  # type: ignore[valid-type]
    """Return the inputs."""
    return passed, word


@dsl.pipeline
def branching(passed: bool, word: str):
    """Branch on two named outputs at the top of the pipeline."""
    given = answer(passed=passed, word=word)
    with dsl.If(given.outputs["passed"] == True):  # noqa: E712
        toys.say_more(number=1)
    with dsl.If(given.outputs["passed"] == False):  # noqa: E712
        toys.say_more(number=2)
    with dsl.If(given.outputs["word"] != "plain"):
        toys.say_more(number=3)


def ran(tmp_path: Path, passed: str, word: str) -> set[str]:
    spec = toys.write_spec(branching, tmp_path)
    run = run_pipeline(str(spec), tmp_path / "state", [f"passed={passed}", f"word={word}"], cold=True)
    assert run.state == "SUCCEEDED", run.reason
    return {step.name for step in run.steps if step.state == "succeeded"} - {"answer"}


@pytest.mark.parametrize(
    ("passed", "word", "steps"),
    [
        ("true", "plain", {"say-more"}),
        ("false", "plain", {"say-more-2"}),
        ("false", 'it\'s "so"\\n', {"say-more-2", "say-more-3"}),
        ("false", "' == 'plain' or 'x' != '", {"say-more-2", "say-more-3"}),
        ("false", "' + [].__class__.__name__ + '", {"say-more-2", "say-more-3"}),
    ],
)
def test_each_branch_runs_if_its_condition_holds(tmp_path: Path, passed: str, word: str, steps: set[str]) -> None:
    assert ran(tmp_path, passed, word) == steps
