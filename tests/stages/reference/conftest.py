"""An MLflow server, and versions that are registered in it."""

import re
from dataclasses import asdict

import pytest
from mlflow import MlflowClient

from support.mlflow_server import mlflow_server
from support.references import write_artifacts
from tiffin.serving.root import ServedModel
from tiffin.stages.register.registry import register
from tiffin.tracking import faults


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The folder of the MLflow server, with its artifacts."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def server(store):
    with mlflow_server(store) as address:
        yield address


@pytest.fixture
def client(server):
    return MlflowClient(server)


@pytest.fixture
def name(request):
    return re.sub("[^a-z0-9_-]", "-", request.node.name)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(faults, "WAITS", (0.0,) * 2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    return write_artifacts(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def versions(artifacts, server, tmp_path, name):
    """Return a function that registers a version with everything, or with other inputs."""

    def make(run="", **changed):
        inputs = {key: value for key, value in (asdict(artifacts) | changed).items() if value}
        model, evaluation = inputs.pop("model"), inputs.pop("evaluation")
        return register(model, evaluation, tmp_path / "registered", name, tracking_uri=server, run=run, **inputs)

    return make


@pytest.fixture
def served(tmp_path, name):
    (tmp_path / "root").mkdir()
    return ServedModel(str(tmp_path / "root"), name)
