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
from support.command_line import TIFFIN
from support.waiting import until
from tiffin import __version__

COMMAND = [TIFFIN, "run"]


def tiffin_run(pipeline: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    spec = toys.write_spec(pipeline, folder)
    return subprocess.run(
        [*COMMAND, str(spec), "--cold", *arguments], capture_output=True, text=True, check=False, cwd=folder
    )


def test_json_is_all_of_standard_output(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path, "--json")
    summary = json.loads(done.stdout)

    assert done.returncode == 0
    assert list(summary) == [
        *("pipeline", "version", "state", "reason", "seconds", "steps"),
        *("data_version", "metrics", "verdict", "model", "serving", "evaluations", "models", "unread"),
    ]
    assert (summary["pipeline"], summary["version"], summary["state"]) == ("gated", __version__, "SUCCEEDED")
    assert summary["metrics"] == {"auc": 0.5}
    for step in summary["steps"]:
        assert list(step) == ["name", "state", "seconds", "log"]
        assert step["state"] == "skipped" or Path(step["log"]).is_file()
    assert "  say-more       succeeded" in done.stderr
    assert "gated 0.1.0 SUCCEEDED in " in done.stderr


def test_without_json_all_is_on_standard_output(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path)

    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("gated 0.1.0 in .tiffin/runs/gated-")
    assert "  model   toy version 1" in done.stdout


def test_a_gate_has_a_status_of_its_own(tmp_path: Path) -> None:
    done = tiffin_run(toys.gated, tmp_path, "--set", "gate=evaluation", "--json")
    summary = json.loads(done.stdout)

    assert done.returncode == 3
    assert (summary["state"], summary["reason"], summary["model"]) == ("FAILED", "the gate is shut", None)
    assert summary["verdict"]["passed"] is False


def test_a_mistake_in_a_step_is_told_with_the_log(tmp_path: Path) -> None:
    done = tiffin_run(toys.toy, tmp_path, "--set", "fail=mistake")

    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "The last lines of read-text:" in done.stdout
    assert "  error: `fail` should be empty. Received: fail='mistake'. Leave it out." in done.stdout
    log = next(line for line in done.stdout.splitlines() if line.startswith("Its whole log: "))
    assert Path(log.removeprefix("Its whole log: ")).is_file()


def test_debug_reaches_the_steps(tmp_path: Path) -> None:
    done = tiffin_run(toys.toy, tmp_path, "--set", "fail=mistake", "--debug")

    assert done.returncode == 1
    assert "InputError: `fail` should be empty" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "tims=1"], "Did you mean 'times'?"),
        (["--set", "times=x"], "error: The parameter 'times' should be a whole number"),
        (["--params", "none.yaml"], "error: --params should be a YAML file"),
        (["--set", "times"], "error: --set should be key=value"),
    ],
)
def test_bad_arguments_run_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = tiffin_run(toys.toy, tmp_path, *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert not list(tmp_path.glob(".tiffin/runs/*"))


def test_an_unknown_pipeline_is_answered_with_the_nearest(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "trainin"], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error: The pipeline should be one of: ")
    assert done.stderr.endswith("Received: 'trainin'. Did you mean 'training'?\n")
    assert list(tmp_path.iterdir()) == []


def test_parameters_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("text: from a file\ntimes: 1\n")
    done = tiffin_run(toys.toy, tmp_path, "--params", "params.yaml", "--set", "times=2", "--json")
    log = next(step["log"] for step in json.loads(done.stdout)["steps"] if step["name"] == "read-text")

    assert "read from a filefrom a file\n" in Path(log).read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", [[], ["--cold"]])
def test_an_interruption_ends_the_steps_first(tmp_path: Path, number: signal.Signals, mode: list[str]) -> None:
    spec = toys.write_spec(toys.waiting, tmp_path)
    note = tmp_path / "note"
    # The name of a light step, which does not wait for heavy imports.
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
    # It had the time to clean up.
    assert not note.exists()
    assert not Path(f"/proc/{step}").exists()


def test_on_a_terminal_the_lines_are_live(tmp_path: Path) -> None:
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
