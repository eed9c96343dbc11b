"""Local runs as `tiffin runs` shows them."""

import datetime
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support.waiting import until
from tiffin.errors import InputError
from tiffin.local.overviews import choose_steps, follow_lines, list_overviews, read_lines, read_overview
from tiffin.local.records import taken, write_record
from tiffin.specs.overview import RunOverview

RECORD: dict[str, Any] = {
    "pipeline": "own", "version": "0.1.0", "state": "FAILED", "reason": "no such file", "stopped_by": None,
    "started": "2026-03-02T12:00:00+00:00", "seconds": 2.5, "parameters": {"data": "x"}, "defaults": {"epochs": 1},
    "attempts": [], "model": {"name": "late", "version": 3}, "data_version": "d1", "serving": None,
    "tracking_uri": "sqlite:///x", "warnings": ["one", "two"],
    "steps": [
        {"name": "ingest", "title": "Ingest", "state": "succeeded", "seconds": 1.5, "log": "/moved/logs/ingest.log"},
        {"name": "train", "title": "Train it", "state": "failed", "seconds": 1.0, "log": "/moved/logs/train.log"},
        {"name": "deploy", "title": "Deploy", "state": "skipped", "seconds": None, "log": None},
    ],
}  # fmt: skip


def make_run(state: Path, name: str, record: dict[str, Any] | None = None) -> Path:
    folder = state / "runs" / name
    (folder / "logs").mkdir(parents=True)
    if record is not None:
        write_record(folder, record)
        for step in record.get("steps", []):
            (folder / "logs" / f"{step['name']}.log").write_text(f"of {step['name']}\nerror: no such file\n")
    return folder


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    return make_run(tmp_path, "own-20260302-120000-1a2b", RECORD)


def test_a_state_folder_without_runs(tmp_path: Path) -> None:
    assert list(list_overviews(tmp_path / "none")) == []


def test_a_run_is_read_from_its_record(failed: Path) -> None:
    run = read_overview(failed, is_complete=True)

    assert (run.run, run.pipeline, run.version, run.state, run.reason) == (
        failed.name, "own", "0.1.0", "FAILED", "no such file",
    )  # fmt: skip
    assert (run.started, run.seconds) == (datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC), 2.5)
    assert (run.parameters, run.defaults) == ({"data": "x"}, {"epochs": 1})
    assert run.facts == {
        "folder": str(failed), "data": "d1", "model": "late version 3", "serving": None, "report": None,
        "mlflow": "sqlite:///x", "warnings": "one two",
    }  # fmt: skip
    assert [(step.name, step.state) for step in run.steps] == [
        ("ingest", "succeeded"), ("train", "failed"), ("deploy", "skipped"),
    ]  # fmt: skip
    # The state folder was moved.
    assert [step.log for step in run.steps] == [
        str(failed / "logs" / "ingest.log"), str(failed / "logs" / "train.log"), None,
    ]  # fmt: skip
    assert (run.failed, run.log) == ("Train it", ("of train", "error: no such file"))


@pytest.mark.parametrize("record", [None, {}, {"state": 1, "steps": {}, "attempts": 3, "started": 4, "model": "x"}])
def test_a_run_without_a_usable_record_was_killed(tmp_path: Path, record: dict[str, Any] | None) -> None:
    folder = make_run(tmp_path, "own-20260302-120000-1a2b")
    if record is not None:
        write_record(folder, record)
    run = read_overview(folder, is_complete=True)

    assert (run.pipeline, run.state, run.steps, run.seconds) == ("own", "KILLED", (), None)
    assert run.started == datetime.datetime(2026, 3, 2, 12).astimezone()
    assert run.reason


def test_a_record_that_is_cut_short_is_listed(failed: Path) -> None:
    (failed / "run.json").write_text((failed / "run.json").read_text()[:50])
    (run,) = list_overviews(failed.parents[1])

    assert (run.run, run.state) == (failed.name, "KILLED")


def test_steps_of_a_killed_run_were_interrupted(tmp_path: Path) -> None:
    steps = [{"name": str(number), "state": state} for number, state in enumerate(("running", "waiting"))]
    folder = make_run(tmp_path, "own-20260302-120000-1a2b", {"state": "RUNNING", "seconds": 0.1, "steps": steps})

    with taken(folder):
        running = read_overview(folder)
    killed = read_overview(folder)
    assert [step.state for step in running.steps] == ["running", "waiting"]
    assert running.seconds
    assert running.seconds > 1
    assert ([step.state for step in killed.steps], killed.seconds) == (["interrupted", "skipped"], None)


def test_the_start_is_that_of_the_first_attempt(tmp_path: Path) -> None:
    attempts = [{"started": "2026-03-01T12:00:00+00:00", "state": "FAILED", "reason": "", "seconds": 1}]
    run = read_overview(make_run(tmp_path, "own-20260302-120000-1a2b", {**RECORD, "attempts": attempts}))

    assert run.started == datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    assert run.attempts == tuple(attempts)


def test_runs_are_listed_by_pipeline_and_state(failed: Path) -> None:
    state = failed.parents[1]
    good = make_run(state, "training-20260303-120000-1a2b", {"state": "SUCCEEDED", "pipeline": "training"})

    def names(*arguments: Any) -> list[str]:
        return [run.run for run in list_overviews(state, *arguments)]

    assert names() == [good.name, failed.name]
    assert names("own") == names("", ("FAILED", "KILLED")) == [failed.name]
    assert names("own", ("SUCCEEDED",)) == []


def test_the_log_is_that_of_the_failed_step_or_of_all(failed: Path) -> None:
    def chosen(run: RunOverview, step: str) -> list[str]:
        return [one.name for one in choose_steps(run, step)]

    run = read_overview(failed)
    assert chosen(run, "") == chosen(run, "Train it") == chosen(run, "train") == ["train"]
    assert chosen(run, "ingest") == ["ingest"]
    good = [{**step, "state": "succeeded"} for step in RECORD["steps"]]
    write_record(failed, {**RECORD, "steps": good})
    assert chosen(read_overview(failed), "") == ["ingest", "train"]
    for step, named in (("trian", "'train'?"), ("deploy", "skipped")):
        with pytest.raises(InputError) as caught:
            choose_steps(run, step)
        assert named in str(caught.value)


def test_the_lines_of_a_log_are_read_from_the_end(failed: Path) -> None:
    (step,) = choose_steps(read_overview(failed), "train")

    assert list(read_lines(step, None)) == ["of train", "error: no such file"]
    assert list(read_lines(step, 1)) == ["error: no such file"]
    (failed / "logs" / "train.log").unlink()
    assert list(read_lines(step, None)) == []


def test_a_run_is_followed_until_its_end(failed: Path) -> None:
    log = failed / "logs" / "train.log"
    executor = "[KFP Executor 2026-03-02]: Got executor_input:\n{\n}\n"
    log.write_text(f"{executor}of train\nerror: no such file\nhalf a ")
    found: list[tuple[str, str]] = []

    def follow() -> None:
        found.extend((one.name, line) for one, line in follow_lines(failed, ""))

    with taken(failed):
        thread = threading.Thread(target=follow)
        thread.start()
        assert until(thread.is_alive)
        # The end of a step: a line is added, and those of the executor are removed.
        log.write_text("of train\nerror: no such file\nhalf a line\nlast")
    thread.join(60)

    assert found == [
        ("ingest", "of ingest"), ("ingest", "error: no such file"),
        ("train", "of train"), ("train", "error: no such file"), ("train", "half a line"), ("train", "last"),
    ]  # fmt: skip


def test_listing_and_showing_import_no_kfp(failed: Path) -> None:
    code = (
        "import sys; from tiffin.commands.main import main\n"
        "try: main()\n"
        "finally: print([name for name in ('kfp', 'mlflow', 'tensorflow') if name in sys.modules])"
    )
    for arguments in (["list"], ["show"], ["logs"]):
        command = [sys.executable, "-c", code, "runs", *arguments, "--state", str(failed.parents[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
