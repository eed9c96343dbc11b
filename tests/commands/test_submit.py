"""`tiffin submit` as a process, against a backend in another one."""

import json
import os
import pty
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support import command_line, kfp_backend
from support import toy_pipelines as toys
from support.command_line import TIFFIN, tiffin

RUNNING = {"state": "RUNNING", "tasks": {"write-text": "RUNNING"}}
QUICK = ("--wait", "--poll", "0.1")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return toys.write_spec(toys.toy, tmp_path)


def only(items: dict[str, Any]) -> Any:
    (item,) = items.values()
    return item


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "txet=a"], r"Received: 'txet'. Did you mean 'text'?"),
        (["--set", "times=many"], "The parameter 'times' should be a whole number"),
        (["--set", "times"], "--set should be key=value"),
        (["--deadline", "read-text=soon"], "--deadline should be step=time in s, m, h or d"),
        (["--size", "read-text=huge"], "A size should be small, medium, large"),
        (["--size", "raed-text=large"], "Did you mean 'read-text'?"),
    ],
)
def test_nothing_is_sent_before_the_arguments_are_checked(
    backend: kfp_backend.Server, spec: Path, arguments: list[str], message: str
) -> None:
    status, _, errors = tiffin("submit", spec, *arguments, "--host", backend.address)

    assert status == 2
    assert message in errors
    assert backend.state()["requests"] == []


def test_a_choice_is_checked_too(backend: kfp_backend.Server) -> None:
    status, _, errors = tiffin("submit", "training", "--set", "task=binry", "--host", backend.address)

    assert status == 2
    assert "'task' should be one of: auto, binary, multiclass, regression." in errors
    assert backend.state()["requests"] == []


def test_a_run_holds_what_was_asked_for(backend: kfp_backend.Server, spec: Path, tmp_path: Path) -> None:
    backend.set(multi_user=True)
    params = tmp_path / "params.yaml"
    params.write_text("text: from the file\ntimes: 3\n")

    status, output, _ = tiffin(
        "submit", spec, "--set", "times=4", "--params", params, "--experiment", "nightly", "--name", "first",
        "--service-account", "trainer", "--pipeline-root", "gs://bucket/runs", "--namespace", "mine",
        "--host", backend.address,
    )  # fmt: skip

    state = backend.state()
    run, version = only(state["runs"]), only(state["versions"])
    assert status == 0
    assert output == f"{version['name']} runs: {backend.address}/#/runs/details/{run['run_id']}\n"
    assert only(state["experiments"])["display_name"] == "nightly"
    assert only(state["experiments"])["namespace"] == "mine"
    assert run["display_name"] == "first"
    assert run["experiment_id"] == only(state["experiments"])["experiment_id"]
    assert run["service_account"] == "trainer"
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert run["runtime_config"] == {
        "parameters": {"text": "from the file", "times": 4},
        "pipeline_root": "gs://bucket/runs",
    }


def test_each_submission_is_a_run_of_the_one_version_in_the_one_experiment(
    backend: kfp_backend.Server, spec: Path
) -> None:
    for _ in range(2):
        assert tiffin("submit", spec, "--host", backend.address)[0] == 0

    state = backend.state()
    assert (len(state["runs"]), len(state["versions"]), len(state["experiments"])) == (2, 1, 1)
    assert only(state["experiments"])["display_name"] == "toy"


def test_a_run_that_succeeds_is_followed_to_its_end(backend: kfp_backend.Server, spec: Path) -> None:
    end = {"state": "SUCCEEDED", "tasks": {"write-text": "SUCCEEDED", "read-text": "SUCCEEDED"}}
    backend.set(pictures=[{"state": "PENDING", "tasks": {}}, RUNNING, RUNNING, end])

    status, output, _ = tiffin("submit", spec, *QUICK, "--host", backend.address)

    lines = [line.split() for line in output.splitlines()]
    assert status == 0
    assert ["write-text", "running"] in lines
    assert ["write-text", "succeeded", "7.0", "s"] in lines
    assert ["read-text", "succeeded", "7.0", "s"] in lines
    assert " SUCCEEDED in " in output


def test_a_gate_ends_with_status_3_and_its_name(backend: kfp_backend.Server) -> None:
    tasks = {"ingest-examples": "SUCCEEDED", "validate-examples": "SUCCEEDED", "stop-run-2": "FAILED"}
    backend.set(pictures=[{"state": "FAILED", "tasks": {**tasks, "summarize-run": "SUCCEEDED"}}])

    status, output, errors = tiffin("submit", "training", *QUICK, "--json", "--host", backend.address)

    result = json.loads(output)
    assert status == 3
    assert (result["state"], result["stopped_by"]) == ("FAILED", "validation")
    assert "validation" in result["reason"]
    assert {step["name"]: step["state"] for step in result["steps"]}["train-model"] == "skipped"
    assert "stopped by validation" in errors


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ({"state": "FAILED", "tasks": {"write-text": "FAILED"}}, "write-text"),
        ({"state": "FAILED", "tasks": {"write-text": "FAILED"}, "error": "OOM"}, "write-text failed: OOM"),
        ({"state": "FAILED", "tasks": {"read-text-driver": "FAILED"}}, "read-text"),
        ({"state": "FAILED", "tasks": {}, "error": "no quota"}, "no quota"),
        ({"state": "CANCELED", "tasks": {"write-text": "CANCELED"}}, "CANCELED"),
    ],
)
def test_any_other_failure_ends_with_status_1_and_a_reason(
    backend: kfp_backend.Server, spec: Path, picture: dict[str, Any], reason: str
) -> None:
    backend.set(pictures=[RUNNING, picture])

    status, output, _ = tiffin("submit", spec, *QUICK, "--host", backend.address)

    assert status == 1
    assert re.search(rf"^ reason  .*{reason}", output, re.MULTILINE)


def test_following_outlasts_a_restart_of_the_backend(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING, {"state": "SUCCEEDED", "tasks": {}}])
    backend.fail("GET .*/runs/", 0, times=1)
    backend.fail("GET .*/runs/", 503, times=1)

    assert tiffin("submit", spec, *QUICK, "--host", backend.address)[0] == 0


def test_waiting_ends_in_time_and_the_run_goes_on(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING])

    status, _, errors = tiffin("submit", spec, *QUICK, "--timeout", "0.5", "--host", backend.address)

    assert status == 1
    assert "0.5 s" in errors
    assert "RUNNING" in errors
    assert f"{backend.address}/#/runs/details/" in errors


def test_interrupting_leaves_the_run_alone(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING])
    process = command_line.start("submit", spec, *QUICK, "--host", backend.address)
    while not backend.state()["runs"]:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Interrupted." in errors
    assert "Traceback" not in output + errors
    assert not any(":terminate" in line for line in backend.state()["requests"])


def test_a_run_is_never_sent_twice(backend: kfp_backend.Server, spec: Path) -> None:
    backend.fail("POST .*/runs$", 0, after=True)

    status, _, errors = tiffin("submit", spec, "--name", "mine", "--host", backend.address)

    assert status == 1
    assert "'mine'" in errors
    assert len(backend.state()["runs"]) == 1


def test_who_may_read_but_not_run_is_told(backend: kfp_backend.Server, spec: Path) -> None:
    backend.fail("POST .*/runs$", 403, {"message": "User 'ann' is not authorized to create runs"})

    status, _, errors = tiffin("submit", spec, "--host", backend.address)

    assert status == 1
    assert "(403): User 'ann'" in errors
    assert "kubeflow-edit" in errors


def test_a_terminal_shows_the_steps_live(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING, RUNNING, {"state": "SUCCEEDED", "tasks": {"write-text": "SUCCEEDED"}}])
    child, terminal = pty.fork()
    if child == 0:
        arguments = ["submit", str(spec), *QUICK, "--host", backend.address]
        os.execvpe(
            TIFFIN,
            [TIFFIN, *arguments],
            {**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:
            break
        if not part:
            break
        shown += part
    _, status = os.waitpid(child, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 0
    assert b"\x1b[" in shown
    assert "▸".encode() in shown
    assert b"SUCCEEDED" in shown
