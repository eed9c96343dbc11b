"""The parts of a run in containers that need no engine; tests/images/engine has the rest."""

import inspect
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kfp import local
from kfp.local import docker_task_handler, task_dispatcher

from support import toy_pipelines as toys
from support.command_line import TIFFIN
from tiffin.errors import TiffinError
from tiffin.local.containers.engine import refuse_podman
from tiffin.local.containers.runs import local_paths
from tiffin.local.containers.steps import judge
from tiffin.local.tasks import missing_outputs

FINE = {"ExitCode": 0, "OOMKilled": False}


def command(folder: Path) -> list[str]:
    outputs = {
        "outputFile": str(folder / "executor_output.json"),
        "parameters": {"rows": {"outputFile": str(folder / "rows")}},
        "artifacts": {
            "table": {"artifacts": [{"uri": str(folder / "table"), "type": {"schemaTitle": "system.Artifact"}}]},
            "scores": {"artifacts": [{"uri": str(folder / "scores"), "type": {"schemaTitle": "system.Metrics"}}]},
        },
    }
    return ["python3", "-m", "x", "--executor_input", json.dumps({"outputs": outputs})]


def test_kfp_runs_docker_tasks_with_the_handler_that_ours_replaces() -> None:
    handler = docker_task_handler.DockerTaskHandler

    assert list(inspect.signature(handler).parameters) == [
        "image",
        "full_command",
        "pipeline_root",
        "runner",
        "env_vars",
    ]
    assert list(inspect.signature(handler.get_volumes_to_mount).parameters) == ["self", "client"]
    assert "docker_task_handler.DockerTaskHandler" in inspect.getsource(task_dispatcher)
    assert {"mounts", "read_only", "cap_drop", "network", "user"} <= local.DockerRunner.DOCKER_CONTAINER_RUN_ARGS


def test_podman_is_refused() -> None:
    with pytest.raises(TiffinError, match=r"--docker .*podman .*unix:///p\.sock"):
        refuse_podman({"Components": [{"Name": "Podman Engine"}]}, "unix:///p.sock")

    refuse_podman({"Components": [{"Name": "Engine"}, {"Name": "containerd"}]}, "x")
    refuse_podman({}, "x")


def test_without_an_engine_nothing_runs(tmp_path: Path) -> None:
    spec = toys.write_spec(toys.waiting, tmp_path)
    done = subprocess.run(
        [TIFFIN, "run", str(spec), "--docker", "--set", "note=x"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert all(part in done.stderr for part in (f"unix://{tmp_path}/none.sock", "DOCKER_HOST", "--docker"))
    assert list(tmp_path.glob(".tiffin/runs/*")) == []


def test_outputs_are_missing_until_they_are_written(tmp_path: Path) -> None:
    assert missing_outputs(command(tmp_path)) == ["rows", "scores", "table"]

    (tmp_path / "executor_output.json").write_text('{"parameterValues": {"rows": 3}}')
    assert missing_outputs(command(tmp_path)) == ["table"]

    (tmp_path / "table").write_text("x")
    assert missing_outputs(command(tmp_path)) == []


@pytest.mark.parametrize(
    ("state", "output", "code", "reason"),
    [
        ({"ExitCode": 137, "OOMKilled": True}, "", 137, "2 GiB"),
        ({"ExitCode": 0, "OOMKilled": True}, "", 137, "2 GiB"),
        (FINE, "", 1, "rows, scores, table"),
        ({"ExitCode": 137, "OOMKilled": False}, "", 137, "signal 9"),
        ({"ExitCode": 1}, "PermissionError: [Errno 13] Permission denied: '/x/y'\n", 1, "'/x/y': Permission denied"),
        ({"ExitCode": 1}, "OSError: [Errno 30] Read-only file system: '/x'\n", 1, "'/x': Read-only file system"),
        ({"ExitCode": 1}, "OSError: [Errno 28] No space left on device: '/x'\n", 1, "'/x': No space left on device"),
        ({"ExitCode": 2}, "sh: 1: cannot create /x: Read-only file system\n", 2, "'/x': Read-only file system"),
        ({"ExitCode": 1}, "ZeroDivisionError: a bug\n", 1, ""),
        ({"ExitCode": 1}, "error: `fail` should be empty.\n", 1, ""),
    ],
)
def test_the_reason_of_a_failed_container(
    tmp_path: Path, state: dict[str, Any], output: str, code: int, reason: str
) -> None:
    log = tmp_path / "log"
    log.write_text(output)

    found = judge(state, command(tmp_path), log, str(2**31))

    assert found[0] == code
    assert reason in found[1]
    assert bool(reason) == bool(found[1])


def test_input_files_are_mounted_read_only_and_output_folders_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trips").mkdir()
    (tmp_path / "trips" / "a.csv").write_text("x\n")
    (tmp_path / "late").write_text("a file with the name of the label")

    found = local_paths(
        {
            "data": "trips/*.csv",
            "expected_schema": str(tmp_path / "trips" / "a.csv"),
            "data_root": "made",
            "state": "kept",
            "label": "late",
            "serving_root": "gs://bucket/models",
            "epochs": 3,
            "nothing": "",
            "absent": "/not/there.csv",
        }
    )

    assert found == [
        (tmp_path / "kept", False),
        (tmp_path / "made", False),
        (tmp_path / "trips", True),
        (tmp_path / "trips" / "a.csv", True),
    ]
    assert os.path.isdir("made")
