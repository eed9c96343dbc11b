"""The Markdown report of a run."""

import re
from dataclasses import replace

import pytest

from support.documents import make_evaluation, make_manifest, make_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.summary import RegisteredModel, Step, Summary, noted
from tiffin.stages.report.report import describe, write_report

PASSED = make_evaluation()
EMPTY = Summary("training", "FAILED", "", None, None, {}, None, None, None, steps={})
TASK = Note("TASK_CHOSEN", "binary: 2 distinct integers")
ENDED = replace(
    EMPTY, state="SUCCEEDED", reason=PASSED.reason, data_version="d1", model=RegisteredModel("taxi", 3),
    serving="serving:8500", notes=(noted("train-model", TASK),),
    steps={"ingest-examples": Step(examples=make_manifest()), "train-model": Step(model=make_training()),
           "evaluate-model": Step(evaluation=PASSED)},
)  # fmt: skip


def test_a_run_without_any_report():
    assert describe(EMPTY).splitlines() == [
        "# training: FAILED", "", "No reason.", "", "| what | value |", "|---|---|", "",
        "## What the steps dropped, converted or chose", "", "Nothing.",
    ]  # fmt: skip


def test_a_run_that_succeeded():
    report = describe(ENDED)

    assert report.startswith(f"# training: SUCCEEDED\n\n{PASSED.reason}\n")
    for row in (
        "| data | d1 |", "| model | taxi version 3 |", r"| deployed to | serving\:8500 |", "| `auc` | 0.9 |",
        "| train-model | binary\\: 2 distinct integers | | | |",
    ):  # fmt: skip
        assert row in report.splitlines()
    assert "stopped by" not in report
    assert report.count(PASSED.reason) == 1


def test_the_metrics_of_each_evaluation():
    failed = make_evaluation(passed=False, reason="auc is missing.", metrics={"auc": None, "loss": 1 / 3})
    steps = {"evaluate-model": Step(evaluation=PASSED), "evaluate-model-2": Step(evaluation=failed)}
    report = describe(replace(EMPTY, stopped_by="evaluation", steps=steps))

    assert re.findall(r"^## Metrics of (.+)$", report, re.MULTILINE) == list(steps)
    assert report.index(PASSED.reason) < report.index("evaluate-model-2") < report.index("auc is missing.")
    assert {"| `auc` | could not be computed |", "| `loss` | 0.333333 |", "| stopped by | evaluation |"} < set(
        report.splitlines()
    )


def test_reports_that_could_not_be_read():
    assert describe(replace(EMPTY, unread=("a", "b"))).endswith("\n- a\n- b\n")


@pytest.mark.parametrize("hostile", ["<img src=x>|b\n## c", "[x](javascript:1)"])
def test_a_text_of_users_cannot_add_cells_or_markup(hostile):
    note = noted("ingest-examples", Note("CONVERTED", hostile, hostile, 1, hostile))
    report = describe(replace(ENDED, reason=hostile, notes=(note,), unread=(hostile,)))

    assert not re.search(r"(?<!\\)[<\[]", report)
    [line] = [line for line in report.splitlines() if "ingest-examples" in line]
    assert len(re.findall(r"(?<!\\)\|", line)) == 6


def test_the_file_has_the_report(tmp_path):
    write_report(tmp_path / "run" / "report.md", ENDED)

    assert (tmp_path / "run" / "report.md").read_text() == describe(ENDED)
