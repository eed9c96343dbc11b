"""What of a run in containers can be told without an engine; the rest is in tests/images/engine."""

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
from tiffin.local.containers.steps import judge, missing_outputs

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


def test_kfp_runs_docker_tasks_through_the_handler_that_ours_replaces() -> None:
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
    with pytest.raises(TiffinError, match=r"podman at .*, whose socket reports steps that failed as succeeded"):
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
    assert "--docker needs a Docker engine that answers. Received from unix://" in done.stderr
    assert "Without --docker, no engine is needed." in done.stderr
    assert list(tmp_path.glob(".tiffin/runs/*")) == []


def test_outputs_are_missing_until_they_are_written(tmp_path: Path) -> None:
    assert missing_outputs(command(tmp_path)) == ["rows", "scores", "table"]

    (tmp_path / "executor_output.json").write_text('{"parameterValues": {"rows": 3}}')
    assert missing_outputs(command(tmp_path)) == ["table"]

    (tmp_path / "table").write_text("x")
    assert missing_outputs(command(tmp_path)) == []


@pytest.mark.parametrize(
    ("state", "said", "code", "reason"),
    [
        ({"ExitCode": 137, "OOMKilled": True}, "", 137, "killed for memory: it needed more than its limit of 2 GiB"),
        ({"ExitCode": 0, "OOMKilled": True}, "", 137, "killed for memory"),
        (FINE, "", 1, "ended with status 0 and without its outputs: rows, scores, table"),
        ({"ExitCode": 137, "OOMKilled": False}, "", 137, "ended by signal 9"),
        ({"ExitCode": 1}, "PermissionError: [Errno 13] Permission denied: '/x/y'\n", 1, "could not write '/x/y': Perm"),
        ({"ExitCode": 1}, "OSError: [Errno 30] Read-only file system: '/x'\n", 1, "write '/x': Read-only file system"),
        ({"ExitCode": 1}, "OSError: [Errno 28] No space left on device: '/x'\n", 1, "write '/x': No space left"),
        ({"ExitCode": 2}, "sh: 1: cannot create /x: Read-only file system\n", 2, "write '/x': Read-only file system"),
        ({"ExitCode": 1}, "ZeroDivisionError: a bug\n", 1, ""),
        ({"ExitCode": 1}, "error: `fail` should be empty.\n", 1, ""),
    ],
)
def test_each_end_is_told_from_the_others(
    tmp_path: Path, state: dict[str, Any], said: str, code: int, reason: str
) -> None:
    log = tmp_path / "log"
    log.write_text(said)

    found = judge(state, command(tmp_path), log, str(2**31))

    assert found[0] == code
    assert reason in found[1]
    assert bool(reason) == bool(found[1])


def test_files_that_parameters_name_are_mounted_and_folders_that_they_write_to_are_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trips").mkdir()
    (tmp_path / "trips" / "a.csv").write_text("x\n")
    (tmp_path / "late").write_text("a file that has the label's name")

    found = local_paths(
        {
            "data": "trips/*.csv",
            "expected_schema": str(tmp_path / "trips" / "a.csv"),
            "data_root": "made",
            "label": "late",
            "serving_root": "gs://bucket/models",
            "epochs": 3,
            "nothing": "",
            "absent": "/not/there.csv",
        }
    )

    assert found == [(tmp_path / "made", False), (tmp_path / "trips", True), (tmp_path / "trips" / "a.csv", True)]
    assert os.path.isdir("made")
