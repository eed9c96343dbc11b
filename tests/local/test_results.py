from pathlib import Path

import pytest

from support.local_results import make_run, summarized
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.notes import Note
from tiffin.artifacts.summary import RegisteredModel
from tiffin.errors import InputError
from tiffin.local.results import conclude
from tiffin.version import __version__


def test_a_run_without_steps_and_summary_succeeds_with_nulls(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    conclude(run, "")

    assert run.exit_status == 0
    assert run.to_json() == {
        "pipeline": "toy",
        "version": "0.1.0",
        "run": run.id,
        "state": "SUCCEEDED",
        "reason": "",
        "stopped_by": None,
        "started": "",
        "seconds": 0,
        "parameters": {},
        "defaults": {},
        "options": {},
        "directory": "",
        "tiffin": __version__,
        "attempts": [],
        "steps": [],
        "data_version": None,
        "metrics": None,
        "verdict": None,
        "model": None,
        "serving": None,
        "report": None,
        "tracking_uri": None,
        "evaluations": {},
        "models": {},
        "predictions": {},
        "monitorings": {},
        "retrainings": {},
        "rollbacks": {},
        "notifications": [],
        "unread": [],
        "warnings": [],
        "notes": [],
    }
    assert run.id == run.folder.name


def test_results_are_read_from_the_summary(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded", "skipped")
    summarized(tmp_path, model=RegisteredModel("m", 2), data_version="d", reason="as good")
    conclude(run, "")

    assert (run.state, run.reason, run.model, run.data_version) == ("SUCCEEDED", "", RegisteredModel("m", 2), "d")
    assert run.to_json()["steps"][0] == {
        "name": "step-0",
        "title": "Step 0",
        "state": "succeeded",
        "seconds": 1.235,
        "log": str(tmp_path / "step-0.log"),
    }


def test_a_gate_has_an_exit_status_of_its_own(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed")
    summarized(tmp_path, state="FAILED", stopped_by="evaluation", reason="auc 0.5 is below 0.9")
    conclude(run, "")

    assert (run.exit_status, run.reason) == (3, "auc 0.5 is below 0.9")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("Traceback\nerror: The file is empty.\n", "The file is empty."),
        ("Traceback (most recent call last):\n  File x\nValueError: a bug\n", "ValueError: a bug"),
        ("error: The file is empty.\nmore output\n", "The file is empty."),
        ("Segmentation fault\n", "The step Step 0 failed."),
        ("", "The step Step 0 failed."),
    ],
)
def test_a_failed_steps_last_error_is_the_reason(tmp_path: Path, log: str, reason: str) -> None:
    run = make_run(tmp_path, "failed")
    (tmp_path / "step-0.log").write_text(log)
    conclude(run, "kfp's error")

    assert (run.exit_status, run.reason) == (1, reason)


def test_kfps_error_is_the_reason_if_no_step_failed(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    summarized(tmp_path)
    conclude(run, "no such input")

    assert (run.exit_status, run.reason) == (1, "no such input")


def test_an_unreadable_summary_is_ignored(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    next(summarized(tmp_path).iterdir()).write_text("{")
    conclude(run, "")

    assert (run.state, run.metrics) == ("SUCCEEDED", None)


def test_the_warnings_of_gates_and_of_steps_that_succeeded_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed", "failed", "succeeded")
    run.steps[1].is_gate = True
    for step in run.steps:
        assert step.log
        step.log.write_text(f"{WARNING}not logged by {step.name}\nerror: the gate is shut\n")
    conclude(run, "")

    assert run.warnings == ("not logged by step-1", "not logged by step-2")


def test_an_artifact_is_found_by_its_step(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    artifact = summarized(tmp_path)

    assert run.find_artifact("summarize-run", "summary") == artifact
    with pytest.raises(InputError, match=r"'model' .*'train-model'"):
        run.find_artifact("train-model", "model")


def test_notes_are_in_the_json_output_by_step(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded", "failed")
    run.steps[1].notes = (Note("ROWS_SET_ASIDE", "Skipped 40 rows.", "fare", 40, "line 7: x"), Note("TASK_CHOSEN", "t"))

    assert run.to_json()["notes"] == [
        {
            "step": "step-1", "code": "ROWS_SET_ASIDE", "column": "fare", "count": 40, "example": "line 7: x",
            "text": "Skipped 40 rows.",
        },
        {"step": "step-1", "code": "TASK_CHOSEN", "column": "", "count": None, "example": "", "text": "t"},
    ]  # fmt: skip
