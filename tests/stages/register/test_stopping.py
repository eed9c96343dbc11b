"""Runs that a gate stopped, in MLflow."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from support.documents import make_evaluation, make_manifest, make_training
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Source, Split
from tiffin.artifacts.model import write_training
from tiffin.artifacts.verdict import read_evaluation, write_evaluation
from tiffin.errors import InputError
from tiffin.stages.register.stop import stop
from tiffin.stages.register.stopping import record_stop
from tiffin.tracking import faults

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

REASON = "auc 0.7 is below 0.8."
EVALUATION = make_evaluation(passed=False, reason=REASON, metrics={"auc": 0.7})


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def artifacts(tmp_path):
    """Artifacts of a run whose model did not pass; the derived column is longer than a parameter of MLflow."""
    splits = {"train": Split(60, ()), "eval": Split(30, ())}
    manifest = make_manifest("d1", splits)
    manifest = replace(manifest, sources=(Source("/d.csv", "s", 1),), derive={"long": "1 + " * 2000 + "1"})
    documents.write(tmp_path / "examples" / MANIFEST, manifest)
    write_training(tmp_path / "model", make_training())
    write_evaluation(tmp_path / "evaluation", EVALUATION)
    return {name: str(tmp_path / name) for name in ("examples", "model", "evaluation")}


def test_a_run_of_invalid_data_has_no_metrics(database):
    run_id = record_stop("validation", "1 anomaly", "empty", tracking_uri=database)
    run = MlflowClient(database).get_run(run_id)

    assert run.info.status == "FAILED"
    assert (run.data.tags["tiffin.stopped_by"], run.data.tags["tiffin.verdict"]) == ("validation", "1 anomaly")
    assert (run.data.metrics, run.data.params) == ({}, {})


def test_a_run_of_a_model_that_did_not_pass(database, artifacts, tmp_path):
    client = MlflowClient(database)
    run_id = record_stop(
        "evaluation", REASON, "late", **artifacts, tracking_uri=database, run="run-1", run_name="nightly"
    )
    run = client.get_run(run_id)
    whole = Path(client.download_artifacts(run_id, "parameters.json", str(tmp_path)))

    assert (run.info.status, run.info.run_name) == ("FAILED", "nightly")
    tags = {
        name: run.data.tags[f"tiffin.{name}"] for name in ("run", "run_name", "passed", "stopped_by", "data_version")
    }
    assert tags == {
        "run": "run-1", "run_name": "nightly", "passed": "false", "stopped_by": "evaluation", "data_version": "d1",
    }  # fmt: skip
    assert run.data.metrics == {"auc": 0.7, "training_loss": 0.4}
    assert {found.dataset.name for found in run.inputs.dataset_inputs} == {"d.csv/train", "d.csv/eval"}
    assert read_evaluation(client.download_artifacts(run_id, "evaluation", str(tmp_path / "evaluation"))) == EVALUATION
    assert (len(run.data.params["derive"]), run.data.tags["tiffin.shortened_parameters"]) == (6000, "derive")
    assert json.loads(json.loads(whole.read_text())["derive"]) == {"long": "1 + " * 2000 + "1"}
    assert client.search_model_versions("name = 'late'") == []
    assert client.search_logged_models([run.info.experiment_id]) == []


@pytest.mark.parametrize("run", ["run-2", "it's"])
def test_a_retry_reuses_its_run(database, artifacts, run):
    first = record_stop("evaluation", REASON, "again", **artifacts, tracking_uri=database, run=run)

    assert record_stop("evaluation", REASON, "again", **artifacts, tracking_uri=database, run=run) == first
    assert record_stop("evaluation", REASON, "again", **artifacts, tracking_uri=database, run="other") != first


@pytest.mark.parametrize(("name", "uri"), [("a/b", ""), ("late", "http://ada:hunter2@mlflow")])
def test_invalid_parameters(name, uri):
    with pytest.raises(InputError):
        record_stop("evaluation", REASON, name, tracking_uri=uri)


class TestStep:
    def test_nothing_is_logged_without_a_name(self, capsys, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/mlflow.db")
        with pytest.raises(SystemExit) as raised:
            stop("evaluation", REASON, "")

        assert REASON in raised.value.code
        assert "MLflow" not in capsys.readouterr().err

    def test_a_missing_address_is_told(self, capsys, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with pytest.raises(SystemExit):
            stop("evaluation", REASON, "late")

        assert "MLFLOW_TRACKING_URI" in capsys.readouterr().err

    def test_the_run_is_logged(self, database, artifacts, capsys):
        with pytest.raises(SystemExit) as raised:
            stop("evaluation", REASON, "step", **artifacts, tracking_uri=database)
        client = MlflowClient(database)
        (run,) = client.search_runs([client.get_experiment_by_name("step").experiment_id])

        assert REASON in raised.value.code
        assert run.info.run_id in capsys.readouterr().err

    def test_a_server_that_is_down_does_not_hide_the_reason(self, artifacts, capsys, monkeypatch):
        monkeypatch.setattr(faults, "WAITS", (0.0,))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(SystemExit) as raised:
                stop("evaluation", REASON, "late", tracking_uri=address)
        printed = capsys.readouterr().err.splitlines()

        # Python prints the code of this exception last, and ends with status 1.
        assert raised.value.code.startswith("error: ")
        assert raised.value.code.endswith(REASON)
        assert any(line.startswith("warning: ") and address in line for line in printed)
