"""Runs as lines of a terminal."""

import datetime
from typing import Any

import pytest

from tiffin.specs.overview import RunOverview, StepOverview, duration, list_lines, next_lines, show_lines

START = datetime.datetime(2026, 3, 1, 12).astimezone()
ID = "training-20260301-120000-1a2b"


def make(run: str = ID, **changed: Any) -> RunOverview:
    return RunOverview(
        run, **{"pipeline": "training", "state": "FAILED", "started": START, "seconds": 12.34, **changed}
    )


def test_no_runs_have_no_lines() -> None:
    assert list_lines([]) == []


def test_a_row_has_id_state_start_duration_and_pipeline() -> None:
    first, reason, second = list_lines([make(reason="no such file"), make(state="SUCCEEDED", seconds=None, reason="x")])

    assert first == f"{ID}  FAILED     2026-03-01 12:00  12.3 s  training"
    assert reason == "  no such file"
    assert second == f"{ID}  SUCCEEDED  2026-03-01 12:00       -  training"


@pytest.mark.parametrize("reason", ["short", "long " * 100, "\x1b[2J", "two\nlines"])
@pytest.mark.parametrize("pipeline", ["p", "pipeline-" * 5])
def test_lines_fit_a_terminal(reason: str, pipeline: str) -> None:
    uuid = "8d3f0c52-5a4c-4c52-9d6e-0b8c5f7a1e11"
    lines = list_lines([make(uuid, pipeline=pipeline, reason=reason), make(stopped_by="evaluation", reason=reason)])

    assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert {uuid, ID} <= {line.split()[0] for line in lines}


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0, "0.0 s"), (99.94, "99.9 s"), (100, "2 min"), (7200, "2.0 h")]
)
def test_a_duration_has_a_unit(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_is_shown_with_what_differs_from_the_defaults_first() -> None:
    run = make(
        version="0.1.0",
        reason="no such file " * 20,
        steps=(StepOverview("ingest", "Ingest", "kept"), StepOverview("train", "Train", "failed", 1.25)),
        parameters={"data": "trips.csv", "exclude": ["id"]},
        defaults={"epochs": 0, "label": ""},
        facts={"model": None, "report": "report.html"},
        attempts=({"state": "KILLED", "reason": None},),
        log=("reading", "error: \x1b[2J"),
        failed="Train",
    )
    lines = show_lines(run, " --state x")

    assert all(len(line) <= 80 for line in lines)
    assert lines[:2] == [ID, "training 0.1.0 FAILED in 12.3 s"]
    values = [line.strip() for line in lines if " = " in line]
    assert values == ["data = trips.csv", 'exclude = ["id"]', 'defaults epochs = 0, label = ""']
    assert "  Ingest  kept" in lines
    assert "  Train   failed       1.2 s" in lines
    assert r"  error: \x1b[2J" in lines
    assert any("KILLED" in line for line in lines)
    assert not any("model" in line for line in lines)
    assert [line.partition("tiffin ")[2] for line in lines[-3:]] == [
        f"runs logs {ID} --state x", f"report {ID} --state x", f"runs retry {ID} --state x",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        ({"state": "RUNNING"}, "runs cancel"),
        ({"state": "PENDING"}, "runs cancel"),
        ({"state": "KILLED"}, "runs retry"),
        ({"state": "CANCELED"}, "runs retry"),
        ({"state": "FAILED", "stopped_by": "evaluation"}, ""),
        ({"state": "SUCCEEDED"}, ""),
    ],
)
def test_the_state_tells_what_to_do_next(changed: dict[str, str], command: str) -> None:
    found = " ".join(next_lines(make(**changed), ""))

    assert [name for name in ("runs cancel", "runs retry") if f"tiffin {name}" in found] == [*filter(None, [command])]
