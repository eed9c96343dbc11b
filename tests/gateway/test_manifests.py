"""The programs of the manifests' option envoy take the arguments that the manifests pass."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tiffin.gateway.__main__ import _parser
from tiffin.recorder.program import _parse

GOLDENS = Path(__file__).parents[1] / "goldens" / "manifests"


@pytest.fixture(params=["local", "kubeflow", "gcp"])
def containers(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((GOLDENS / f"{request.param}+envoy.yaml").read_text())
    [deployment] = [one for one in documents if one["kind"] == "Deployment"]
    return {one["name"]: one for one in deployment["spec"]["template"]["spec"]["containers"]}


def arguments(container: dict[str, Any]) -> list[str]:
    return [
        one.replace("$(TIFFIN_SERVING_ROOT)", "/serving").replace("$(TIFFIN_LOG_ROOT)", "/log")
        for one in container["args"]
    ]


def ports(container: dict[str, Any]) -> set[int]:
    return {port["containerPort"] for port in container["ports"]}


def test_the_follower(containers: dict[str, dict[str, Any]]) -> None:
    follower, envoy = containers["follower"], containers["envoy"]
    options = _parser().parse_args(arguments(follower))

    assert follower["command"] == ["python", "-m", "tiffin.gateway"]
    assert {options.port, options.metrics_port} == ports(envoy)
    assert f"{options.folder}/bootstrap.json" in envoy["args"][0]
    assert (options.stable, options.candidate) == ("tiffin-stable-servers:8500", "tiffin-candidate-servers:8500")


def test_the_recorder(containers: dict[str, dict[str, Any]]) -> None:
    recorder = containers["recorder"]
    options, _ = _parse(arguments(recorder))
    follower = _parser().parse_args(arguments(containers["follower"]))

    assert recorder["command"] == ["python", "-m", "tiffin.recorder"]
    assert follower.recorder == f"{options.host}:{options.port}"
    assert ports(recorder) == {options.metrics_port}
