"""Verdicts of monitoring in MLflow, also after it did not respond."""

import socket

import pytest
from mlflow import MlflowClient

from tiffin.artifacts import documents
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.monitoring import Monitoring, Outcome
from tiffin.stages.report.outcomes import send_outcomes
from tiffin.tracking import faults

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def client(database):
    return MlflowClient(database)


@pytest.fixture
def version(client, request):
    """A registered version: name and MLflow run."""
    name = request.node.name
    run_id = client.create_run(client.create_experiment(name)).info.run_id
    client.create_registered_model(name)
    client.create_model_version(name, "file:///none", run_id)
    return name, run_id


@pytest.fixture
def outcomes(tmp_path, version):
    """Return a function that writes an outcome into the state of the model."""

    def write(hour, verdict, **metrics):
        name, run_id = version
        found = Outcome(name, 1, run_id, f"2026-03-01T{hour:02}:00:00+00:00", verdict, "reason", metrics)
        documents.write(tmp_path / "state" / "unsent" / f"{hour:02}.json", found)

    return write


def monitored(tmp_path):
    return Monitoring(
        "m", 1, "", "", "healthy", "", "", (), 0, 0, 0, 0, (), (), None, None, None, (), None, "d1", "0.1.0",
        status=str(tmp_path / "state" / "status.json"),
    )  # fmt: skip


def waiting(tmp_path):
    return sorted(path.name for path in (tmp_path / "state" / "unsent").glob("*.json"))


def test_nothing_to_send(tmp_path, database, capfd):
    send_outcomes([], database)
    send_outcomes([monitored(tmp_path)], database)
    assert capfd.readouterr().err == ""


def test_verdicts_are_metrics_of_the_run_and_tags_of_the_version(tmp_path, outcomes, version, client, database, capfd):
    name, run_id = version
    outcomes(11, "healthy", **{"monitoring.auc": 0.9})
    outcomes(12, "drifted", **{"monitoring.auc": 0.8})
    send_outcomes([monitored(tmp_path)], database)

    history = client.get_metric_history(run_id, "monitoring.auc")
    assert [(one.value, one.timestamp) for one in history] == [(0.9, 1_772_362_800_000), (0.8, 1_772_366_400_000)]
    tags = client.get_model_version(name, "1").tags
    assert (tags["tiffin.monitoring.verdict"], tags["tiffin.monitoring.monitored"][:13]) == ("drifted", "2026-03-01T12")
    assert waiting(tmp_path) == []
    assert "2 verdicts" in capfd.readouterr().err


def test_an_outcome_is_kept_while_mlflow_does_not_respond(
    tmp_path, outcomes, version, client, database, capfd, monkeypatch
):
    monkeypatch.setattr(faults, "WAITS", (0.0,) * 2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    outcomes(11, "degraded", **{"monitoring.auc": 0.7})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        send_outcomes([monitored(tmp_path)], f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert waiting(tmp_path) == ["11.json"]
    assert any(line.startswith(WARNING) for line in capfd.readouterr().err.splitlines())

    outcomes(12, "healthy", **{"monitoring.auc": 0.9})
    send_outcomes([monitored(tmp_path)], database)
    assert [one.value for one in client.get_metric_history(version[1], "monitoring.auc")] == [0.7, 0.9]
    assert waiting(tmp_path) == []


def test_a_version_that_was_deleted(tmp_path, outcomes, version, client, database):
    outcomes(11, "healthy", **{"monitoring.auc": 0.9})
    client.delete_model_version(version[0], "1")
    send_outcomes([monitored(tmp_path)], database)
    assert waiting(tmp_path) == []


def test_without_a_tracking_uri_nothing_is_sent(tmp_path, outcomes, version, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outcomes(11, "healthy")
    send_outcomes([monitored(tmp_path)])
    assert waiting(tmp_path) == ["11.json"]
