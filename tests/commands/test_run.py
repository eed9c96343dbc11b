import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import toy_pipelines as toys
from support.command_line import TIFFIN, tiffin_in
from support.forks import Ended
from support.waiting import until
from tiffin import __version__

COMMAND = [TIFFIN, "run"]


def tiffin_run(pipeline: Any, folder: Path, *arguments: str) -> Ended:
    return tiffin_in(folder, "run", toys.write_spec(pipeline, folder), "--cold", *arguments)


def test_json_output_is_one_object_and_progress_goes_to_stderr(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path, "--json")
    summary = json.loads(done.stdout)

    assert done.returncode == 0
    assert list(summary) == [
        *("pipeline", "version", "run", "state", "reason", "stopped_by", "started", "seconds"),
        *("parameters", "defaults", "options", "directory", "tiffin", "attempts", "steps"),
        *(
            "data_version",
            "metrics",
            "verdict",
            "model",
            "serving",
            "report",
            "tracking_uri",
            "evaluations",
            "models",
            "predictions",
            "monitorings",
            "retrainings",
            "rollbacks",
            "notifications",
            "unread",
            "warnings",
            "notes",
        ),
    ]
    assert (summary["pipeline"], summary["version"], summary["state"]) == ("gated", __version__, "SUCCEEDED")
    assert summary["metrics"] == {"auc": 0.5}
    for step in summary["steps"]:
        assert list(step) == ["name", "title", "state", "seconds", "log"]
        assert step["state"] == "skipped" or Path(step["log"]).is_file()
    assert "  say-more       succeeded" in done.stderr
    assert "gated 0.1.0 SUCCEEDED in " in done.stderr


def test_without_json_everything_goes_to_stdout(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path)

    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("gated 0.1.0 in .tiffin/runs/gated-")
    assert re.search(r"^  model .*toy.* 1$", done.stdout, re.MULTILINE)


def test_a_run_that_a_gate_stops_exits_with_3(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path, "--set", "gate=evaluation", "--json")
    summary = json.loads(done.stdout)

    assert done.returncode == 3
    assert (summary["state"], summary["reason"], summary["model"]) == ("FAILED", "the gate is shut", None)
    assert summary["verdict"]["passed"] is False


def test_a_failed_step_is_shown_with_its_last_log_lines(tmp_path: Path) -> None:
    done = tiffin_run(toys.toy, tmp_path, "--set", "fail=mistake")

    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    title, *lines, log = done.stdout.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert "read-text" in title
    assert "  error: `fail` should be empty. Received: fail='mistake'. Leave it out." in lines
    assert Path(log.rpartition(": ")[2]).is_file()


def test_debug_reaches_the_steps(tmp_path: Path) -> None:
    done = tiffin_run(toys.toy, tmp_path, "--set", "fail=mistake", "--debug")

    assert done.returncode == 1
    assert "InputError: `fail`" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "tims=1"], r"error: --set .*'tims'\. .*'times'\?"),
        (["--set", "times=x"], "error: .*'times'.*\"x\""),
        (["--params", "none.yaml"], r"error: --params .*'none\.yaml'"),
        (["--set", "times"], "error: --set .*'times'.*--set 'times=VALUE'"),
    ],
)
def test_invalid_arguments_run_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = tiffin_run(toys.toy, tmp_path, *arguments)

    assert done.returncode == 2
    assert re.match(message, done.stderr)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert not list(tmp_path.glob(".tiffin/runs/*"))


def test_an_unknown_pipeline_suggests_the_closest_one(tmp_path: Path) -> None:
    done = tiffin_in(tmp_path, "run", "trainin")

    assert done.returncode == 2
    assert re.match(r"error: .*training.*'trainin'\. .*'training'\?\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("text: from a file\ntimes: 1\n")
    done = tiffin_run(toys.toy, tmp_path, "--params", "params.yaml", "--set", "times=2", "--json")
    log = next(step["log"] for step in json.loads(done.stdout)["steps"] if step["name"] == "read-text")

    assert "read from a filefrom a file\n" in Path(log).read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", [[], ["--cold"]])
def test_an_interruption_ends_the_steps(tmp_path: Path, number: signal.Signals, mode: list[str]) -> None:
    spec = toys.write_spec(toys.waiting, tmp_path)
    note = tmp_path / "note"
    # A light step's name, so that the step does not wait for heavy imports.
    text = re.sub(r"(--function_to_execute\n +- )wait\n", r"\1stop_run\n", spec.read_text())
    spec.write_text(text.replace("def wait(", "def stop_run("))
    with subprocess.Popen(
        [*COMMAND, str(spec), "--set", f"note={note}", *mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert until(note.exists)
        assert until(lambda: bool(note.read_text()))
        step = int(note.read_text())
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err == "\nInterrupted.\n"
    assert "  wait      interrupted" in out
    assert "  say-more  skipped" in out
    # The step had time to clean up.
    assert not note.exists()
    assert not Path(f"/proc/{step}").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_before_the_first_step_is_told(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "params.yaml"
    os.mkfifo(pipe)
    command = [*COMMAND, "training", "--params", str(pipe)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509 - the tests may run under nohup
    ) as process, pipe.open("w"):  # fmt: skip
        # The command waits for the parameters.
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted.")
    assert not list(tmp_path.glob(".tiffin/runs/*"))


def test_nohup_lets_a_run_outlive_the_terminal(tmp_path: Path) -> None:
    spec = toys.write_spec(toys.waiting, tmp_path)
    note = tmp_path / "note"
    command = ["nohup", *COMMAND, str(spec), "--set", f"note={note}", "--set", "seconds=1", "--cold", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path) as process:
        assert until(lambda: note.exists() and bool(note.read_text()))
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=60)

    assert (process.returncode, json.loads(out)["state"]) == (0, "SUCCEEDED")


def test_a_terminal_shows_live_progress(tmp_path: Path) -> None:
    spec = toys.write_spec(toys.toy, tmp_path)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(
        [*COMMAND, str(spec), "--cold"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment
    ) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 65_536)
            except OSError:
                break
    os.close(ours)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text.decode())

    assert process.returncode == 0
    assert "· read-text   waiting" in shown
    assert "▸ write-text  running" in shown
    assert "✓ read-text   succeeded" in shown
    assert "toy 0.1.0 SUCCEEDED in " in shown
