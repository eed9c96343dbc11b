"""Registration on an MLflow server whose database is PostgreSQL, which dies and comes back."""

import pytest
from mlflow import MlflowClient

from support.documents import make_evaluation
from support.forks import Fork, forks
from support.mlflow_server import mlflow_server, proxy
from support.postgres import postgres
from support.registering import register_here, write_model
from tiffin.artifacts.verdict import write_evaluation
from tiffin.errors import StorageError
from tiffin.stages.register.registry import register
from tiffin.tracking import faults


@pytest.fixture(scope="module")
def database():
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), database.uri) as address:
        yield address


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture
def inputs(tmp_path, model, monkeypatch):
    monkeypatch.setattr(faults, "WAITS", (0.0,) * len(faults.WAITS))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_evaluation(tmp_path / "evaluation", make_evaluation())
    return model, tmp_path / "evaluation", tmp_path / "out"


def versions(address, name):
    return sorted(int(found.version) for found in MlflowClient(address).search_model_versions(f"name = '{name}'"))


def check_complete(address, name):
    """Check that each version can be loaded from: its run has ended, and its model is ready and has its files."""
    client = MlflowClient(address)
    for version in client.search_model_versions(f"name = '{name}'"):
        run = client.get_run(version.run_id)
        (output,) = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        assert (run.info.status, model.status) == ("FINISHED", "READY")
        assert version.source == model.artifact_location
        assert run.data.params["label"] == "late"


def test_two_registrations_at_once(server, inputs, tmp_path):
    """Of two pipeline runs: each makes a version."""
    start = forks().Barrier(2)
    steps = [
        Fork(
            tmp_path / f"output-{run}",
            register_here, start, (*map(str, inputs[:2]), str(tmp_path / run)), "twice", server, run,
        )
        for run in ("run-1", "run-2")
    ]  # fmt: skip
    ends = [step.wait() for step in steps]

    assert [end.returncode for end in ends] == [0, 0], ends
    assert sorted(int(end.stdout) for end in ends) == versions(server, "twice") == [1, 2]
    check_complete(server, "twice")


@pytest.mark.parametrize("path", ["runs/create", "log-batch", "logged-models", "model-versions/create"])
def test_a_database_that_dies_and_comes_back(server, database, inputs, path):
    name, failed = path.replace("/", "-"), []

    def choose(_method, requested):
        if path in requested and len(failed) < 2:
            failed.append(requested)
            if len(failed) == 1:
                database.crash()
        elif failed and not database.answers():
            database.start()
        return ""

    with proxy(server, choose) as address:
        registration = register(*inputs, name, tracking_uri=address, run="run-1")

    assert failed
    assert versions(server, name) == [registration.version] == [1]
    check_complete(server, name)


def test_a_database_that_stays_down(server, database, inputs):
    def choose(_method, requested):
        if "logged-models" in requested:
            database.crash()
        return ""

    with proxy(server, choose) as address, pytest.raises(StorageError) as raised:
        register(*inputs, "down", tracking_uri=address, run="run-1")
    assert address in str(raised.value)
    assert not inputs[2].exists()

    database.start()
    assert versions(server, "down") == []
    # The next attempt of the pipeline's step.
    assert register(*inputs, "down", tracking_uri=server, run="run-1").version == 1
    check_complete(server, "down")
