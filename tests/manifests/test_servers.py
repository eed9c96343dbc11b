"""Runs the commands of the manifests: the seed writes the first configurations, and servers answer their probes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from support.manifest_rendering import OVERLAYS, render
from support.waiting import free_port
from tiffin.local.environments import find_environment
from tiffin.serving import model_config
from tiffin.serving.root import CANDIDATE, STABLE, ServedModel

MODEL_SERVER = find_environment("model") / "bin" / "tiffin-model-server"


def container(key: str, overlay: str = "local") -> dict[str, Any]:
    spec = yaml.safe_load(render(overlay)[key])["spec"]["template"]["spec"]
    return dict(spec["containers"][0])


def seed(root: Path, overlay: str = "local") -> None:
    job = container("Job/tiffin-seed", overlay)
    assert job["command"][0] == "python"
    environment = os.environ | {"TIFFIN_SERVING_ROOT": str(root)}
    subprocess.run([sys.executable, *job["command"][1:], *job["args"]], env=environment, check=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_seed_writes_empty_configurations(tmp_path: Path, overlay: str) -> None:
    seed(tmp_path, overlay)

    assert set(tmp_path.rglob("*.config")) == {tmp_path / STABLE, tmp_path / CANDIDATE}
    for config in (STABLE, CANDIDATE):
        text = (tmp_path / config).read_text()
        assert text, "TensorFlow Serving cannot map an empty file into memory"
        assert model_config.read_config(text) == model_config.make_config()


def test_the_seed_keeps_existing_configurations(tmp_path: Path) -> None:
    config = ServedModel(str(tmp_path), "taxi").make_config(3)
    (tmp_path / STABLE).write_bytes(config)

    seed(tmp_path)

    assert (tmp_path / STABLE).read_bytes() == config


def expand(argument: str, values: dict[str, str]) -> str:
    """Replace $(NAME) with its value, as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda found: values[found.group(1)], argument)


@pytest.mark.parametrize(("track", "config"), [("stable", STABLE), ("candidate", CANDIDATE)])
def test_a_server_reads_its_own_configuration(track: str, config: str) -> None:
    pod = yaml.safe_load(render("gcp")[f"Deployment/tiffin-{track}"])["spec"]["template"]
    settings = yaml.safe_load(render("gcp")["ConfigMap/tiffin"])["data"]
    values = {}
    for variable in pod["spec"]["containers"][0]["env"]:
        source = variable["valueFrom"]
        if "fieldRef" in source:
            label = re.fullmatch(r"metadata\.labels\['(.+)'\]", source["fieldRef"]["fieldPath"])
            assert label
            values[variable["name"]] = pod["metadata"]["labels"][label.group(1)]
        else:
            values[variable["name"]] = settings[source["configMapKeyRef"]["key"]]

    args = [expand(argument, values) for argument in pod["spec"]["containers"][0]["args"]]

    assert f"--model_config_file={settings['TIFFIN_SERVING_ROOT']}/{config}" in args


def test_a_server_answers_its_probes_before_the_first_deployment(tmp_path: Path) -> None:
    seed(tmp_path)
    serving = container("Deployment/tiffin-stable")
    port = free_port()
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text(yaml.safe_load(render("local")["ConfigMap/tiffin-monitoring"])["data"][monitoring.name])
    values = {"TIFFIN_SERVING_ROOT": str(tmp_path), "TIFFIN_TRACK": "stable"}
    args = [expand(argument, values) for argument in serving["args"]]
    args = [argument.replace("/etc/tiffin/", f"{tmp_path}/") for argument in args]
    args = [f"--port={port}" if argument == "--port=8500" else argument for argument in args]
    args = [f"--rest_api_port={free_port()}" if argument == "--rest_api_port=8501" else argument for argument in args]
    log = tmp_path / "log"

    with log.open("w") as stream, subprocess.Popen([MODEL_SERVER, *args], stdout=stream, stderr=stream) as server:
        try:
            answers = [
                ask(port, serving[probe]["grpc"]["service"], server) for probe in ("startupProbe", "livenessProbe")
            ]
        finally:
            server.kill()

    assert answers == [SERVING, SERVING], log.read_text()
    assert "unknown" not in log.read_text().lower()


# grpc.health.v1.HealthCheckResponse(status=SERVING)
SERVING = b"\x08\x01"


def ask(port: int, service: str, server: "subprocess.Popen[bytes]", seconds: float = 60) -> bytes:
    """Return the response of the health service for `service`; the error's text if the server ended or time ran out."""
    request = b"\x0a" + bytes([len(service)]) + service.encode()
    deadline = time.monotonic() + seconds
    while True:
        # As a kubelet's probe: a new connection each time.
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                return bytes(channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=5))
            except grpc.RpcError as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    return str(error).encode()
        time.sleep(0.2)
