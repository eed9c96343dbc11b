import io
import pty
import re
from dataclasses import replace
from pathlib import Path

import pytest

from support.documents import make_evaluation, make_predictions, make_summary
from support.terminals import read_terminal
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.notes import Note
from tiffin.artifacts.summary import REPORT_PAGE, RegisteredModel, Step, write_summary
from tiffin.errors import InputError
from tiffin.local.results import Run, conclude, error_line, show_run, tail, tidy_log
from tiffin.specs.progress import StepProgress
from tiffin.version import __version__


def make_run(folder: Path, *states: str) -> Run:
    steps = [StepProgress(f"step-{number}", state, title=f"Step {number}") for number, state in enumerate(states)]  # type: ignore[arg-type]
    for step in steps:
        step.log = folder / f"{step.name}.log"
        step.seconds = 1.23456
    return Run("toy", "0.1.0", folder, steps)


def summarized(folder: Path, **values: object) -> Path:
    """Write a summary like the exit step's."""
    artifact = folder / "artifacts" / "toy-1" / "summarize-run" / "summary"
    write_summary(artifact, make_summary(**values))
    return artifact


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


EXECUTOR = "[KFP Executor 2026-11-27 11:28:09,960 INFO]: "
LOG = (
    f"{EXECUTOR}Looking for component `train` in --component_module_path `/tmp/x.py`\n"
    f'{EXECUTOR}Loading KFP component "train" from /tmp/x.py (directory "/tmp" and module name "x")\n'
    f"{EXECUTOR}Got executor_input:\n"
    '{\n    "inputs": {\n        "a": {}\n    }\n}\n'
    "epoch 1: loss 0.5\r\n"
    f"{EXECUTOR}a message that the component logged\n"
    '{\n    "own": 1\n}\n'
    f"{EXECUTOR}Wrote executor output file to /x/executor_output.json.\n"
)


def test_a_tail_omits_the_lines_of_every_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + LOG.encode() + b"\nI0000 port.cc\none\n\xff two\n")

    assert tail(tmp_path / "none") == []
    assert tail(log, 2) == ["one", "\ufffd two"]
    assert error_line(log) is None


def test_a_tidy_log_has_only_the_lines_of_the_step(tmp_path: Path) -> None:
    log = tmp_path / "log"
    own = f'epoch 1: loss 0.5\r\n{EXECUTOR}a message that the component logged\n{{\n    "own": 1\n}}\n'.encode()
    log.write_bytes(LOG.encode() + b"\xff\x00 last line")
    for _ in range(2):  # a retry appends to a log that is tidy already
        tidy_log(log)
        assert log.read_bytes() == own + b"\xff\x00 last line"

    log.write_bytes(log.read_bytes() + b"\n" + LOG.encode())
    tidy_log(log)
    assert log.read_bytes() == own + b"\xff\x00 last line\n" + own


def test_the_output_of_a_successful_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    found = {"model": RegisteredModel("m", 2), "metrics": {"auc": 0.9512345678, "r2": None}, "serving": "h:1"}
    summarized(tmp_path, **found, unread=("A report of own could not be read.",))
    conclude(run, "")
    run.seconds, run.left_server = 61.23, "h:1"
    stream = io.StringIO()
    show_run(run, " --state 'my state'", stream)

    *lines, hint = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines == [
        "",
        "toy 0.1.0 SUCCEEDED in 61.2 s",
        "  metrics auc 0.951235",
        "  model   m version 2",
        "  serving h:1",
        "  unread  A report of own could not be read.",
    ]
    assert re.search("h:1.*tiffin serve --stop --state 'my state'$", hint)


def test_the_report_and_mlflow_are_named_with_their_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my state" / "runs" / "toy-1"
    run = make_run(folder, "succeeded")
    report = summarized(folder).with_name(REPORT_PAGE)
    report.touch()
    conclude(run, "")
    shown = []
    for uri in (None, "http://***@mlflow:5000", f"sqlite:///{tmp_path}/my state/mlflow.db"):
        run.tracking_uri = uri
        stream = io.StringIO()
        show_run(run, " --state 'my state'", stream)
        shown.append([line for line in stream.getvalue().splitlines() if "report" in line or "mlflow" in line.lower()])

    assert run.report == report
    assert (run.to_json()["report"], run.to_json()["tracking_uri"]) == (str(report), uri)
    first, command = shown[0]
    assert first == f"  report  {report.relative_to(tmp_path)}"
    assert command.endswith(": tiffin report --state 'my state'")
    assert shown[1] == [first, "  mlflow  http://***@mlflow:5000", command]
    assert shown[2][:3] == [first, f"  mlflow  {uri}", command]
    assert shown[2][3].endswith(": tiffin ui --state 'my state'")


def test_the_warnings_of_gates_and_of_steps_that_succeeded_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed", "failed", "succeeded")
    run.steps[1].is_gate = True
    for step in run.steps:
        assert step.log
        step.log.write_text(f"{WARNING}not logged by {step.name}\nerror: the gate is shut\n")
    conclude(run, "")

    assert run.warnings == ("not logged by step-1", "not logged by step-2")


def test_predictions_are_shown_with_their_place(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    found = make_predictions(reused=1)
    part = replace(found, part=0, parts=2)
    steps = {"finish-predictions": Step(predictions=found), "predict-batch": Step(predictions=part)}
    summarized(tmp_path, steps=steps)
    conclude(run, "")
    stream = io.StringIO()
    show_run(run, "", stream)

    assert f"  output  {found.sentence}" in stream.getvalue()
    assert run.to_json()["predictions"] == {
        "finish-predictions": {
            "model": "taxi", "versions": {"3": 5}, "data_version": "d1", "rows": 5, "files": 1, "reused": 1, "location": "/out",
        }
    }  # fmt: skip


def test_several_models_have_separate_lines(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    passed, failed = (
        make_evaluation(),
        make_evaluation(passed=False, reason="auc 0.7 is too low.", metrics={"auc": 0.7}),
    )
    steps = {"evaluate-model": Step(evaluation=passed), "evaluate-model-2": Step(evaluation=failed)}
    gate = {"state": "FAILED", "reason": failed.reason, "stopped_by": "evaluation"}
    summarized(tmp_path, **gate, metrics=failed.metrics, verdict=failed.verdict, steps=steps)
    conclude(run, "")
    stream = io.StringIO()
    show_run(run, "", stream)

    assert [line.rstrip() for line in stream.getvalue().splitlines()] == [
        "",
        "toy 0.1.0 FAILED in 0.0 s, stopped by evaluation",
        "  reason  auc 0.7 is too low.",
        "  metrics evaluate-model passed: auc 0.9",
        "  metrics evaluate-model-2 did not pass: auc 0.7",
    ]
    found = run.to_json()
    assert (found["metrics"], found["verdict"]["passed"]) == ({"auc": 0.7}, False)
    assert {step: one["verdict"]["passed"] for step, one in found["evaluations"].items()} == {
        "evaluate-model": True,
        "evaluate-model-2": False,
    }
    assert found["evaluations"]["evaluate-model"]["metrics"] == {"auc": 0.9, "brier": None}


def test_an_artifact_is_found_by_its_step(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    artifact = summarized(tmp_path)

    assert run.find_artifact("summarize-run", "summary") == artifact
    with pytest.raises(InputError, match=r"'model' .*'train-model'"):
        run.find_artifact("train-model", "model")


def test_the_output_of_a_failed_run_has_the_last_log_lines(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed")
    (tmp_path / "step-0.log").write_text("reading\nerror: [data] is empty.\n")
    conclude(run, "")
    stream = io.StringIO()
    show_run(run, "", stream)

    first, title, *lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert first == ""
    assert "Step 0" in title
    assert lines.pop(2).endswith(f": {tmp_path / 'step-0.log'}")
    assert lines == [
        "  reading",
        "  error: [data] is empty.",
        "",
        "toy 0.1.0 FAILED in 0.0 s",
        "  reason  [data] is empty.",
        f"Go on from the failed step with: tiffin runs retry {run.id}",
    ]


@pytest.mark.parametrize("columns", [80, 40])
def test_metrics_are_wrapped_between_pairs(tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    names = ("accuracy", "average_precision", "baseline_log_loss", "brier", "f1", "log_loss", "precision", "recall")
    run = make_run(tmp_path, "succeeded")
    summarized(tmp_path, metrics=dict.fromkeys(names, 0.123456))
    conclude(run, "")
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:
        show_run(run, "", stream)
    text = read_terminal(ours)
    lines = [line.removeprefix("  metrics").strip() for line in text.splitlines() if "0.123456" in line]

    assert all(len(line) < columns for line in text.splitlines())
    assert " ".join(lines) == ", ".join(f"{name} 0.123456" for name in names)
    assert all(re.fullmatch(r"(\w+ 0\.123456,? ?)+", line) for line in lines)


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


def test_control_characters_of_logs_and_reports_do_not_reach_the_terminal(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed")
    (tmp_path / "step-0.log").write_text("a\tb \x1b[2J\nerror: The value is '\x1b]0;title\x07'.\n")
    conclude(run, "")
    stream = io.StringIO()
    show_run(run, "", stream)

    assert "\x1b" not in stream.getvalue()
    assert r"\x1b]0;title\x07" in stream.getvalue()
    assert "  a       b " in stream.getvalue()
