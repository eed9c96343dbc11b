"""Loops over outputs of steps, in local runs."""

from pathlib import Path
from typing import NamedTuple

import pytest
from kfp import dsl

from support import toy_pipelines as toys
from tiffin import images
from tiffin.local.runs import run_pipeline


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def plan_parts(count: int) -> NamedTuple("Planned", [("numbers", list), ("word", str)]):  # type: ignore[valid-type, type-arg]
    """Return numbers and a word."""
    return list(range(count)), "a word"


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def spell(number: int, word: str, times: int) -> str:
    """Return a letter of a word."""
    return word[number] * times


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def join_letters(letters: list, expected: str):  # type: ignore[type-arg]
    """Compare letters."""
    if "".join(letters) != expected:
        raise ValueError(letters)


@dsl.pipeline
def spelling(count: int, times: int, expected: str):
    """Spell a word, one step for each letter."""
    planned = plan_parts(count=count)
    with dsl.ParallelFor(planned.outputs["numbers"], parallelism=2) as number:
        letter = spell(number=number, word=planned.outputs["word"], times=times)
    join_letters(letters=dsl.Collected(letter.output), expected=expected)


@pytest.mark.parametrize(("count", "times", "expected"), [("1", "2", "aa"), ("4", "1", "a wo")])
def test_a_loop_gets_its_items_and_other_outputs_of_steps(
    tmp_path: Path, count: str, times: str, expected: str
) -> None:
    spec = toys.write_spec(spelling, tmp_path)
    settings = [f"count={count}", f"times={times}", f"expected={expected}"]
    run = run_pipeline(str(spec), tmp_path / "state", settings, cold=True)

    assert run.state == "SUCCEEDED", run.reason
    assert len([step for step in run.steps if step.name.split(".")[0] == "spell"]) == int(count)
