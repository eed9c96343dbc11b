"""Runs that failed, were killed or canceled, and go on from their failed step."""

import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import command_line
from support import toy_pipelines as toys
from support.waiting import until
from tiffin import __version__
from tiffin.artifacts.summary import read_summary
from tiffin.errors import InputError
from tiffin.local.records import find_run, read_record, read_state, taken, write_record
from tiffin.local.results import Run
from tiffin.local.retries import cancel_run, retry_run
from tiffin.local.runs import run_pipeline


def run(pipeline: object, state: Path, *settings: str) -> Run:
    spec = toys.write_spec(pipeline, state.parent)
    return run_pipeline(str(spec), state, settings, cold=True, stream=io.StringIO())


def retry(result: Run) -> tuple[Run, str]:
    stream = io.StringIO()
    return retry_run(result.folder, stream=stream), stream.getvalue()


def states_of(result: Run) -> dict[str, str]:
    return {step.name: step.state for step in result.steps}


def calls(note: Path) -> int:
    return len(note.read_text().splitlines())


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file with a line for each call of the step that succeeds."""
    return tmp_path / "note"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that the other step needs."""
    return tmp_path / "file"


@pytest.fixture
def failed(tmp_path: Path, note: Path, file: Path) -> Run:
    """A run whose second step failed."""
    return run(toys.repairable, tmp_path / "state", f"note={note}", f"file={file}")


def test_a_retry_goes_on_from_the_failed_step(failed: Run, note: Path, file: Path) -> None:
    before = states_of(failed)
    file.touch()
    again, shown = retry(failed)

    assert before == {"count-calls": "succeeded", "need-file": "failed", "summarize-run": "succeeded"}
    assert states_of(again) == {"count-calls": "kept", "need-file": "succeeded", "summarize-run": "succeeded"}
    assert (again.exit_status, again.id, again.folder, calls(note)) == (0, failed.id, failed.folder, 1)
    assert [line.split()[1] for line in shown.splitlines()[1:]] == ["kept", "succeeded", "succeeded"]
    # The outputs of the kept step, its log, and the log of the attempt that failed.
    logs = failed.folder / "logs"
    assert "got 1 artifact 1" in (logs / "need-file.log").read_text()
    assert "error: " not in (logs / "need-file.log").read_text()
    assert str(file) in (logs / "attempt-1" / "need-file.log").read_text()
    assert not (logs / "attempt-1" / "count-calls.log").exists()
    # The exit step ran again.
    assert read_summary(again.find_artifact("summarize-run", "summary")).state == "SUCCEEDED"
    record = json.loads((again.folder / "run.json").read_text())
    assert record == again.to_json()
    assert [(one["state"], one["reason"]) for one in record["attempts"]] == [("FAILED", failed.reason)]
    assert record["options"] == {"docker": False, "cold": True, "stop_server": False}


def test_relative_paths_start_from_the_same_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    failed = run(toys.repairable, tmp_path / "state", "note=note", "file=file")
    Path("file").touch()
    monkeypatch.chdir(tmp_path)
    again, _ = retry(failed)

    assert again.exit_status == 0, again.reason
    assert Path.cwd() == tmp_path
    write_record(again.folder, {**again.to_json(), "state": "FAILED", "directory": str(tmp_path / "gone")})
    with pytest.raises(InputError, match=f"'{tmp_path}/gone'"):
        retry(again)


def test_a_retry_may_fail_again(failed: Run, note: Path) -> None:
    again, _ = retry(retry(failed)[0])

    assert (again.exit_status, again.reason, calls(note)) == (1, failed.reason, 1)
    assert [one["state"] for one in again.attempts] == ["FAILED", "FAILED"]
    assert {path.name for path in (again.folder / "logs").glob("attempt-*")} == {"attempt-1", "attempt-2"}


def test_a_step_whose_outputs_are_gone_runs_again(failed: Run, note: Path, file: Path) -> None:
    file.touch()
    failed.find_artifact("count-calls", "counted").unlink()
    again, _ = retry(failed)

    assert (states_of(again)["count-calls"], calls(note)) == ("succeeded", 2)
    assert "got 2 artifact 2" in (again.folder / "logs" / "need-file.log").read_text()


def test_iterations_of_a_loop_are_kept_by_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    result = run(toys.repairable_loop, tmp_path / "state", f"folder={folder}")
    numbers = {step.name: (result.folder / "logs" / f"{step.name}.log").read_text() for step in result.steps}
    (folder / "repaired").touch()
    again, _ = retry(result)

    assert sorted(states_of(result).values()) == ["failed", "succeeded", "succeeded"]
    assert sorted(states_of(again).values()) == ["kept", "kept", "succeeded"]
    assert again.exit_status == 0
    assert sorted(path.name[0] for path in folder.glob("*-*")) == ["1", "2", "2", "3"]
    # Each iteration has the same name as before.
    for step in again.steps:
        assert numbers[step.name].splitlines()[0] in (again.folder / "logs" / f"{step.name}.log").read_text()


def start(*arguments: Any) -> "subprocess.Popen[str]":
    return command_line.start(*arguments)


def test_a_killed_or_canceled_run_goes_on(tmp_path: Path, note: Path, file: Path) -> None:
    """It is killed; then it is retried twice at once, and canceled; then it succeeds."""
    state, hangs = tmp_path / "state", Path(f"{file}.hangs")
    spec = toys.write_spec(toys.repairable, tmp_path)
    file.write_text("hang")
    with start("run", spec, "--cold", "--state", state, "--set", f"note={note}", "--set", f"file={file}") as process:
        assert until(hangs.exists)
        folder = find_run(state, "")
        assert read_state(folder)[0] == "RUNNING"
        running = read_record(folder)
        process.kill()
        process.communicate()
    assert read_state(folder)[0] == "KILLED"
    assert running
    assert [step["state"] for step in running["steps"]] == ["succeeded", "running", "waiting"]
    assert running["parameters"] == {"note": str(note), "file": str(file)}
    assert running["defaults"] == {"token": ""}

    hangs.unlink()
    with start("runs", "retry", folder.name, "--state", state) as process:
        assert until(hangs.exists)
        with pytest.raises(InputError, match=str(process.pid)):
            retry_run(folder)
        assert cancel_run(folder) == "CANCELED"
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "Interrupted.")
    with pytest.raises(InputError, match="CANCELED"):
        cancel_run(folder)

    file.write_text("")
    again = retry_run(folder, stream=io.StringIO())
    assert states_of(again) == {"count-calls": "kept", "need-file": "succeeded", "summarize-run": "succeeded"}
    assert [one["state"] for one in again.attempts] == ["KILLED", "CANCELED"]
    assert "SIGINT" in again.attempts[1]["reason"]
    assert (again.exit_status, calls(note)) == (0, 1)


def test_a_run_that_succeeded_is_refused(failed: Run, file: Path) -> None:
    file.touch()
    again, _ = retry(failed)
    before = read_record(again.folder)

    with pytest.raises(InputError, match=again.id):
        retry(again)
    assert read_record(again.folder) == before


def test_a_run_that_a_gate_stopped_is_refused(tmp_path: Path) -> None:
    result = run(toys.gated, tmp_path / "state", "gate=evaluation")

    with pytest.raises(InputError, match=r"evaluation.*tiffin run gated --set"):
        retry(result)


@pytest.mark.parametrize("content", ["", '{"state": "FAILED"}', '{"state": "FAI'])
def test_a_run_without_a_complete_record_is_refused(failed: Run, content: str) -> None:
    (failed.folder / "run.json").write_text(content)

    with pytest.raises(InputError, match=f"'{failed.id}'.*tiffin run"):
        retry(failed)


def test_a_run_that_is_taken_or_removed_is_refused(failed: Run) -> None:
    with taken(failed.folder), pytest.raises(InputError, match=f"{os.getpid()}.*tiffin runs cancel"):
        retry(failed)
    (failed.folder / "spec.yaml").unlink()
    with pytest.raises(InputError, match=failed.id):
        retry(failed)
    with pytest.raises(InputError, match="'gone'"):
        retry_run(failed.folder.with_name("gone"))


def test_a_secret_is_not_kept_and_not_repeated(tmp_path: Path, note: Path, file: Path) -> None:
    secret = "http://ada:hunter2@example.com"
    result = run(toys.repairable, tmp_path / "state", f"note={note}", f"file={file}", f"token={secret}")

    assert "hunter2" not in (result.folder / "run.json").read_text()
    with pytest.raises(InputError, match="token"):
        retry(result)


def test_another_version_is_a_warning(failed: Run, file: Path) -> None:
    file.touch()
    record = read_record(failed.folder)
    assert record
    write_record(failed.folder, {**record, "tiffin": "0.0.1"})
    again, shown = retry(failed)

    (warning,) = again.warnings
    assert again.exit_status == 0
    assert all(version in warning for version in ("0.0.1", __version__))
    assert f"warning: {warning}\n" in shown


def test_a_signal_ends_a_run_with_its_name(tmp_path: Path, note: Path, file: Path) -> None:
    state = tmp_path / "state"
    file.write_text("hang")
    spec = toys.write_spec(toys.repairable, tmp_path)
    with start("run", spec, "--cold", "--state", state, "--set", f"note={note}", "--set", f"file={file}") as process:
        assert until(Path(f"{file}.hangs").exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    found, record = read_state(find_run(state, ""))
    assert (process.returncode, found) == (130, "CANCELED")
    assert record
    assert "SIGTERM" in record["reason"]
    assert [step["state"] for step in record["steps"]] == ["succeeded", "interrupted", "skipped"]
