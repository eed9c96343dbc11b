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
from tiffin import images

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
        (["--set", "txet=a"], r"--set .*'txet'\. .*'text'\?"),
        (["--set", "times=many"], "'times' .*\"many\""),
        (["--set", "times"], "--set .*'times=VALUE'"),
        (["--deadline", "read-text=soon"], "--deadline .*'read-text=soon'"),
        (["--size", "read-text=huge"], "small, medium, large.*'huge'"),
        (["--size", "raed-text=large"], r"--size .*'raed-text'\. .*'read-text'\?"),
        (["--timeout", "60"], "--timeout .*--wait"),
        (["--pipeline-root", "runs"], "--pipeline-root.*gs://.*'runs'"),
        (["--pipeline-root", "/mnt/runs"], "--pipeline-root.*gs://.*'/mnt/runs'"),
        (["--pipeline-root", "file:///mnt/runs"], "--pipeline-root.*gs://.*'file:///mnt/runs'"),
        (["--lable", "late"], "'--lable'.*--set lable=VALUE"),
        (["--timeuot=60"], r"'--timeuot'.*'--timeout'\?"),
    ],
)
def test_nothing_is_sent_before_the_arguments_are_checked(
    backend: kfp_backend.Server, spec: Path, arguments: list[str], message: str
) -> None:
    status, _, errors = tiffin("submit", spec, *arguments, "--host", backend.address)

    assert status == 2
    assert re.search(message, errors)
    assert backend.state()["requests"] == []


def test_hidden_options_are_not_suggested(backend: kfp_backend.Server, spec: Path) -> None:
    for option in ("--lable", "--pol"):
        status, _, errors = tiffin("submit", spec, option, "1", "--host", backend.address)

        assert status == 2
        assert "--poll" not in errors


@pytest.mark.parametrize("command", [["submit"], ["schedule", "set", "nightly", "--cron", "@daily"]])
@pytest.mark.parametrize("value", ["trips.csv", __file__, f"file://{__file__}"])
def test_a_path_of_this_machine_is_refused_before_anything_is_sent(
    backend: kfp_backend.Server, command: list[str], value: str
) -> None:
    status, output, errors = tiffin(*command, "training", "--set", f"data={value}", "--host", backend.address)

    assert (status, output) == (2, "")
    assert all(part in errors for part in (f"data='{value}'", "ingest-examples", "s3://", "--mount ", "TIFFIN_MOUNT"))
    assert backend.state()["requests"] == []


def test_a_mounted_or_allowed_path_is_sent(backend: kfp_backend.Server) -> None:
    path = ("--set", "data=/data/trips.csv", "--host", backend.address)

    assert tiffin("submit", "training", *path, TIFFIN_MOUNT="ingest=trips:/data")[0] == 0
    assert tiffin("submit", "training", *path, "--mount", "ingest=trips:/data")[0] == 0
    assert tiffin("submit", "training", *path, "--allow-paths")[0] == 0
    assert tiffin("submit", "training", *path, TIFFIN_MOUNT="train=trips:/data")[0] == 2
    sent = [run["runtime_config"]["parameters"]["data"] for run in backend.state()["runs"].values()]
    assert sent == ["/data/trips.csv"] * 3


def test_images_that_are_in_no_registry_are_a_warning(backend: kfp_backend.Server, spec: Path, tmp_path: Path) -> None:
    pushed = tmp_path / "pushed.yaml"
    pushed.write_text(spec.read_text().replace("image: tiffin/", "image: registry.example/team/"))

    status, output, errors = tiffin("submit", spec, "--json", "--host", backend.address)
    scheduled = tiffin("schedule", "set", "nightly", spec, "--cron", "@daily", "--host", backend.address)
    published = tiffin("publish", spec, "--json", "--host", backend.address)
    clean = tiffin("submit", pushed, "--json", "--host", backend.address)

    (warning,) = json.loads(output)["warnings"]
    line = f"warning: {warning}"
    assert (status, scheduled[0], published[0]) == (0, 0, 0)
    assert all(part in warning for part in (images.DATA, images.MODEL, "make images images-push"))
    assert [line in text.splitlines() for text in (errors, scheduled[2], published[2])] == [True] * 3
    assert json.loads(published[1])["warnings"] == [warning]
    assert json.loads(clean[1])["warnings"] == []
    assert "warning:" not in clean[2]


def test_choices_are_checked(backend: kfp_backend.Server) -> None:
    status, _, errors = tiffin("submit", "training", "--set", "task=binry", "--host", backend.address)

    assert status == 2
    assert re.search("'task' .*auto, binary, multiclass, regression", errors)
    assert backend.state()["requests"] == []


def test_a_run_has_the_given_options(backend: kfp_backend.Server, spec: Path, tmp_path: Path) -> None:
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
    assert re.fullmatch(f"Submitted {version['name']}: {backend.address}/#/runs/details/{run['run_id']}\n", output)
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


def test_submissions_share_one_version_and_one_experiment(backend: kfp_backend.Server, spec: Path) -> None:
    for _ in range(2):
        assert tiffin("submit", spec, "--host", backend.address)[0] == 0

    state = backend.state()
    assert (len(state["runs"]), len(state["versions"]), len(state["experiments"])) == (2, 1, 1)
    assert only(state["experiments"])["display_name"] == "toy"


def test_wait_follows_a_run_to_its_end(backend: kfp_backend.Server, spec: Path) -> None:
    end = {"state": "SUCCEEDED", "tasks": {"write-text": "SUCCEEDED", "read-text": "SUCCEEDED"}}
    backend.set(pictures=[{"state": "PENDING", "tasks": {}}, RUNNING, RUNNING, end])

    status, output, _ = tiffin("submit", spec, *QUICK, "--host", backend.address)

    lines = [line.split() for line in output.splitlines()]
    assert status == 0
    # Without a terminal, each step is one line, at its end.
    assert [line for line in lines if line[:1] in (["write-text"], ["read-text"])] == [
        [step, "succeeded", "7.0", "s"] for step in ("write-text", "read-text")
    ]
    assert " SUCCEEDED in " in output


def test_a_run_that_a_gate_stops_exits_with_3_and_the_gate(backend: kfp_backend.Server) -> None:
    tasks = {"ingest-examples": "SUCCEEDED", "validate-examples": "SUCCEEDED", "stop-run-3": "FAILED"}
    backend.set(pictures=[{"state": "FAILED", "tasks": {**tasks, "summarize-run": "SUCCEEDED"}}])

    status, output, errors = tiffin("submit", "training", *QUICK, "--json", "--host", backend.address)

    result = json.loads(output)
    assert status == 3
    assert (result["state"], result["stopped_by"]) == ("FAILED", "validation")
    assert "validation" in result["reason"]
    assert {step["name"]: step["state"] for step in result["steps"]}["train-model"] == "skipped"
    assert re.search(" FAILED in .*validation$", errors, re.MULTILINE)


@pytest.mark.parametrize(
    ("approval", "deployed", "status"), [("none", "SUCCEEDED", 0), ("required", "SUCCEEDED", 4), ("four_eyes", "SKIPPED", 0)]
)  # fmt: skip
def test_a_run_whose_model_waits_for_approval_exits_with_4(
    backend: kfp_backend.Server, approval: str, deployed: str, status: int
) -> None:
    tasks = {"evaluate-model": "SUCCEEDED", "deploy-model": deployed, "summarize-run": "SUCCEEDED"}
    backend.set(pictures=[{"state": "SUCCEEDED", "tasks": tasks}])
    ended, output, _ = tiffin(
        "submit", "training", *QUICK, "--set", f"approval={approval}", "--json", "--host", backend.address,
        TIFFIN_USER="ada",
    )  # fmt: skip
    result = json.loads(output)

    assert (ended, result["waiting"], result["state"]) == (status, status == 4, "SUCCEEDED")
    # Who asked for the run travels with it.
    [sent] = backend.state()["runs"].values()
    assert sent["runtime_config"]["parameters"]["requested_by"] == "ada"


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ({"state": "FAILED", "tasks": {"write-text": "FAILED"}}, "write-text"),
        ({"state": "FAILED", "tasks": {"write-text": "FAILED"}, "error": "OOM"}, "write-text.*OOM"),
        ({"state": "FAILED", "tasks": {"read-text-driver": "FAILED"}}, "read-text"),
        ({"state": "FAILED", "tasks": {}, "error": "no quota"}, "quota"),
        ({"state": "CANCELED", "tasks": {"write-text": "CANCELED"}}, "CANCELED"),
    ],
)
def test_any_other_failure_exits_with_1_and_a_reason(
    backend: kfp_backend.Server, spec: Path, picture: dict[str, Any], reason: str
) -> None:
    backend.set(pictures=[RUNNING, picture])

    status, output, _ = tiffin("submit", spec, *QUICK, "--host", backend.address)

    assert status == 1
    assert re.search(rf"^ +reason  .*{reason}", output, re.MULTILINE)


@pytest.mark.parametrize("source", ["api", "archive"])
def test_the_reason_is_the_error_in_the_steps_log(backend: kfp_backend.Server, spec: Path, source: str) -> None:
    """As Kubeflow Pipelines 2.17 is installed: the run and its tasks have no error, and every template has retries."""
    log = "row 7\nerror: text should be short. Received: 'a b'.\n"
    backend.set(
        pictures=[RUNNING, {"state": "FAILED", "tasks": {"write-text": "FAILED"}}],
        logs={"write-text": [log]},
        logs_from=source,
        retried=True,
    )

    status, output, errors = tiffin("submit", spec, *QUICK, "--json", "--host", backend.address)

    result = json.loads(output)
    assert status == 1
    assert result["failed_step"] == "write-text"
    assert result["reason"].endswith("text should be short. Received: 'a b'.")
    assert result["reason"] in errors


def test_wait_survives_a_restart_of_the_backend(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING, {"state": "SUCCEEDED", "tasks": {}}])
    backend.fail("GET .*/runs/", 0, times=1)
    backend.fail("GET .*/runs/", 503, times=1)

    assert tiffin("submit", spec, *QUICK, "--host", backend.address)[0] == 0


def test_timeout_ends_the_wait_and_the_run_continues(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING])

    status, _, errors = tiffin("submit", spec, *QUICK, "--timeout", "0.5", "--host", backend.address)

    assert status == 1
    assert re.search(f"0\\.5 s.*RUNNING.*{backend.address}", errors)
    assert not any(":terminate" in line for line in backend.state()["requests"])


def test_an_interruption_does_not_stop_the_run(backend: kfp_backend.Server, spec: Path) -> None:
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


def test_missing_permission_to_run_is_an_error(backend: kfp_backend.Server, spec: Path) -> None:
    backend.fail("POST .*/runs$", 403, {"message": "User 'ann' is not authorized to create runs"})

    status, _, errors = tiffin("submit", spec, "--host", backend.address)

    assert status == 1
    assert re.search("403.*'ann'", errors)
    assert "kubeflow-edit" in errors


def test_a_terminal_shows_live_progress(backend: kfp_backend.Server, spec: Path) -> None:
    backend.set(pictures=[RUNNING, RUNNING, {"state": "SUCCEEDED", "tasks": {"write-text": "SUCCEEDED"}}])
    backend.fail("GET .*/runs/", 503)
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
    # Above the table, in a line of its own.
    assert re.search(rb"\n[^\r\n\xe2]*503.*2 of 10\r?\n", shown)
