"""Permissions of what a step writes, under the umask of Argo's executor and under one that keeps files private."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tiffin.local.environments import find_environment
from tiffin.stages.ingest.component import ingest_examples


@pytest.mark.parametrize(("umask", "file", "folder"), [(0, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_a_step_in_the_executor_of_kubeflow_pipelines(tmp_path: Path, umask: int, file: int, folder: int) -> None:
    """The command of the compiled component, as a pod runs it; the executor writes the last file, after the step."""

    def artifact(name: str) -> dict[str, object]:
        kind = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}
        return {"artifacts": [{"name": name, "type": kind, "uri": str(tmp_path / name), "metadata": {}}]}

    asked = {
        "inputs": {"parameterValues": {"data": "sample:deliveries", "data_root": str(tmp_path / "data_root")}},
        "outputs": {
            "parameters": {name: {"outputFile": str(tmp_path / name)} for name in ("data_version", "rows")},
            "artifacts": {"examples": artifact("examples")},
            "outputFile": str(tmp_path / "executor_output.json"),
        },
    }
    container = ingest_examples.component_spec.implementation.container
    command = [json.dumps(asked) if text == "{{$}}" else str(text) for text in (*container.command, *container.args)]
    path = f"{find_environment('data') / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, umask=umask, timeout=250,
        env={**os.environ, "PATH": path},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    made = [tmp_path / "executor_output.json"]
    for top in ("examples", "data_root"):
        made += [tmp_path / top, *(tmp_path / top).rglob("*")]
    assert len(made) > 8
    for place in made:
        assert oct(place.stat().st_mode & 0o777) == oct(folder if place.is_dir() else file), place
