import io
import pty
import re
from dataclasses import replace
from pathlib import Path

import pytest

from support.documents import make_evaluation, make_predictions
from support.local_results import make_run, summarized
from support.terminals import read_terminal
from tiffin.artifacts.summary import REPORT_PAGE, RegisteredModel, Step
from tiffin.local.result_text import show_run
from tiffin.local.results import Run, conclude


def text_of(run: Run, state_option: str = "") -> str:
    stream = io.StringIO()
    show_run(run, state_option, stream)
    return stream.getvalue()


def test_the_output_of_a_successful_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    found = {"model": RegisteredModel("m", 2), "metrics": {"auc": 0.9512345678, "r2": None}, "serving": "h:1"}
    summarized(tmp_path, **found, unread=("A report of own could not be read.",))
    conclude(run, "")
    run.seconds, run.left_server = 61.23, "h:1"
    text = text_of(run, " --state 'my state'")

    *lines, hint = [line.rstrip() for line in text.splitlines()]
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
        text = text_of(run, " --state 'my state'")
        shown.append([line for line in text.splitlines() if "report" in line or "mlflow" in line.lower()])

    assert run.report == report
    assert (run.to_json()["report"], run.to_json()["tracking_uri"]) == (str(report), uri)
    first, command = shown[0]
    assert first == f"  report  {report.relative_to(tmp_path)}"
    assert command.endswith(": tiffin report --state 'my state'")
    assert shown[1] == [first, "  mlflow  http://***@mlflow:5000", command]
    assert shown[2][:3] == [first, f"  mlflow  {uri}", command]
    assert shown[2][3].endswith(": tiffin ui --state 'my state'")


def test_predictions_are_shown_with_their_place(tmp_path: Path) -> None:
    run = make_run(tmp_path, "succeeded")
    found = make_predictions(reused=1)
    part = replace(found, part=0, parts=2)
    steps = {"finish-predictions": Step(predictions=found), "predict-batch": Step(predictions=part)}
    summarized(tmp_path, steps=steps)
    conclude(run, "")
    text = text_of(run)

    assert f"  output  {found.sentence}" in text
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
    text = text_of(run)

    assert [line.rstrip() for line in text.splitlines()] == [
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


def test_the_output_of_a_failed_run_has_the_last_log_lines(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed")
    (tmp_path / "step-0.log").write_text("reading\nerror: [data] is empty.\n")
    conclude(run, "")
    text = text_of(run)

    first, title, *lines = [line.rstrip() for line in text.splitlines()]
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


def test_control_characters_of_logs_and_reports_do_not_reach_the_terminal(tmp_path: Path) -> None:
    run = make_run(tmp_path, "failed")
    (tmp_path / "step-0.log").write_text("a\tb \x1b[2J\nerror: The value is '\x1b]0;title\x07'.\n")
    conclude(run, "")
    text = text_of(run)

    assert "\x1b" not in text
    assert r"\x1b]0;title\x07" in text
    assert "  a       b " in text
