"""Registration in MLflow, with a SQLite database."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from support.documents import make_evaluation, make_manifest, make_training
from support.forks import Fork
from support.registering import INPUTS, register_here, write_model
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Source, Split
from tiffin.artifacts.model import Settings, read_training, saved_model
from tiffin.artifacts.recipe import RECIPE
from tiffin.artifacts.registration import Registration, read_registration
from tiffin.artifacts.verdict import read_evaluation, write_evaluation
from tiffin.errors import EXPLAINED, InputError
from tiffin.stages.register.registry import register
from tiffin.stages.traits import database_uri

# Raised when MLflow creates the tables of a new database.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

SETTINGS = Settings(hidden_units=(8,), epochs=2, batch_size=128, learning_rate=0.02, dropout=0.2)
RECORD = make_training(settings=SETTINGS)
EVALUATION = make_evaluation(
    gate_digest="g1",
    verdict_digest="v1",
    reason="log_loss 0.3 is better than guessing (0.69) by 0.39, at least 0.3 with 95 % confidence on 90 rows.",
)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An MLflow database, shared by the tests: its tables take seconds to create."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/new/mlflow.db"


@pytest.fixture
def name(request):
    """A model name unique to the test, since the tests share a database."""
    return request.node.name.replace("[", "-").replace("]", "")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("trained") / "model", RECORD)


@pytest.fixture
def evaluation(tmp_path):
    write_evaluation(tmp_path / "evaluation", EVALUATION)
    return tmp_path / "evaluation"


class TestRegistered:
    @pytest.fixture
    def registration(self, model, evaluation, tmp_path, name, database):
        return register(model, evaluation, tmp_path / "out", name, tracking_uri=database, run="run-1")

    def test_the_artifact_describes_the_version(self, registration, name, tmp_path):
        assert registration == read_registration(tmp_path / "out")
        assert registration == Registration(name, 1, registration.run_id, "d1", "s1", "0.1.0", registration.model_id)

    def test_the_version_has_tags_in_the_registry(self, registration, name, database):
        version = MlflowClient(database).get_model_version(name, "1")

        assert version.run_id == registration.run_id
        assert version.tags == {
            "tiffin.data_version": "d1", "tiffin.schema_digest": "s1", "tiffin.spec_version": "0.1.0", "tiffin.run": "run-1",
            "tiffin.gate_digest": "g1", "tiffin.verdict_digest": "v1",
        }  # fmt: skip
        assert version.status == "READY"

    def test_the_run_has_parameters_metrics_and_the_verdict(self, registration, database):
        client = MlflowClient(database)
        run = client.get_run(registration.run_id)
        losses = client.get_metric_history(registration.run_id, "training_loss")

        assert run.info.status == "FINISHED"
        assert run.data.params == {
            "epochs": "2", "hidden_units": "[8]", "learning_rate": "0.02", "batch_size": "128", "dropout": "0.2", "seed": "1",
            "weight_decay": "0.01", "label": "late", "task": "binary", "rows": "240", "columns": '["km"]',
            "classes": '["0", "1"]', "thresholds": '{"auc": 0.8}',
        }  # fmt: skip
        assert run.data.metrics == {"auc": 0.9, "training_loss": 0.4}
        assert [(loss.step, loss.value) for loss in losses] == [(1, 0.6), (2, 0.4)]
        assert run.data.tags["tiffin.verdict"] == EVALUATION.reason

    def test_the_model_can_be_downloaded_from_the_version(self, registration, name, database, tmp_path):
        from mlflow.artifacts import download_artifacts

        source = MlflowClient(database).get_model_version_download_uri(name, "1")
        (tmp_path / "copy").mkdir()
        copy = download_artifacts(source, dst_path=str(tmp_path / "copy"), tracking_uri=database)

        assert read_training(copy) == RECORD, copy

    def test_the_experiment_has_the_models_name(self, registration, name, database):
        client = MlflowClient(database)

        assert client.get_experiment(client.get_run(registration.run_id).info.experiment_id).name == name

    def test_a_retry_reuses_its_version(self, registration, model, evaluation, tmp_path, name, database):
        again = register(model, evaluation, tmp_path / "again", name, tracking_uri=database, run="run-1")

        assert again == registration
        assert len(MlflowClient(database).search_model_versions(f"name = '{name}'")) == 1

    @pytest.mark.parametrize("run", ["run-2", ""])
    def test_another_run_creates_another_version(self, registration, model, evaluation, tmp_path, name, database, run):
        again = register(
            model, evaluation, tmp_path / "again", name, tracking_uri=database, run=run, experiment="other"
        )

        assert (again.version, again.run_id == registration.run_id) == (2, False)

    def test_the_tracking_uri_may_come_from_the_environment(
        self, model, evaluation, tmp_path, name, database, monkeypatch
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)

        assert register(model, evaluation, tmp_path / "out", name).version == 1


class TestContent:
    """The data, the evaluation and other files of a run."""

    @pytest.fixture
    def registration(self, model, evaluation, tmp_path, name, database):
        columns = tuple(replace(column, logical=None) for column in INPUTS)
        manifest = replace(
            make_manifest("d1", {"train": Split(60, ()), "eval": Split(30, ())}, columns),
            sources=(Source("/data/d.csv", "sha", 9),), derive={"twice": "2 * km"},
            renamed={"Kilometres (km)": "kilometres_km"},
        )  # fmt: skip
        documents.write(tmp_path / "examples" / MANIFEST, manifest)
        row = {"kilometres_km": 1.5, "city": "Ulm", "ordered_at": "2024-01-02T03:04:05", "rush": 1}
        (tmp_path / "examples" / "sample_rows.jsonl").write_text(json.dumps(row) + "\n")
        (tmp_path / "plots").mkdir()
        (tmp_path / "plots" / "roc.svg").write_text("<svg/>")
        (tmp_path / "report.html").write_text("<html/>")
        return register(
            model, evaluation, tmp_path / "out", name, examples=tmp_path / "examples",
            files=[tmp_path / "plots", tmp_path / "report.html"], tracking_uri=database, run="run-1", run_name="nightly",
        )  # fmt: skip

    def test_data_sets_and_parameters_of_ingest(self, registration, database):
        run = MlflowClient(database).get_run(registration.run_id)
        inputs = run.inputs.dataset_inputs

        assert {(i.dataset.name, i.dataset.digest) for i in inputs} == {("d.csv/train", "d1"), ("d.csv/eval", "d1")}
        assert (run.data.params["data"], run.data.params["derive"]) == ('["/data/d.csv"]', '{"twice": "2 * km"}')

    def test_name_and_outcome_of_the_pipeline_run(self, registration, database):
        run = MlflowClient(database).get_run(registration.run_id)

        assert run.info.run_name == run.data.tags["tiffin.run_name"] == "nightly"
        assert (run.data.tags["tiffin.run"], run.data.tags["tiffin.passed"]) == ("run-1", "true")
        assert "tiffin.stopped_by" not in run.data.tags

    def test_metrics_are_about_the_model_and_the_data(self, registration, database):
        model = MlflowClient(database).get_logged_model(registration.model_id)

        assert {(m.key, m.dataset_name, m.dataset_digest) for m in model.metrics} == {("auc", "d.csv/eval", "d1")}

    def test_the_verdict_and_other_files(self, registration, database, tmp_path):
        client = MlflowClient(database)

        assert (
            read_evaluation(client.download_artifacts(registration.run_id, "evaluation", str(tmp_path))) == EVALUATION
        )
        paths = [entry.path for entry in client.list_artifacts(registration.run_id, "reports")]
        assert sorted(paths) == ["reports/plots", "reports/report.html"]

    def test_the_model_is_linked_with_its_version(self, registration, name, database):
        model = MlflowClient(database).get_logged_model(registration.model_id)

        assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": name, "version": 1}]
        assert model.source_run_id == registration.run_id
        assert model.status == "READY"

    def test_mlflow_loads_the_version(self, registration, name, database, monkeypatch):
        import mlflow.pyfunc

        mlflow.set_tracking_uri(database)
        try:
            found = mlflow.pyfunc.load_model(f"models:/{name}/1")
            answers = found.predict(found.input_example)
        finally:
            mlflow.set_tracking_uri(None)

        assert answers["texts"].tolist() == ["Ulm|2024-01-02T03:04:05"]


class TestBadInput:
    def test_a_model_without_a_recipe(self, model, evaluation, tmp_path, name, database):
        shutil.copytree(model, tmp_path / "old")
        (saved_model(tmp_path / "old") / RECIPE).unlink()
        with pytest.raises(InputError, match=r"tiffin_recipe\.json"):
            register(tmp_path / "old", evaluation, tmp_path / "out", name, tracking_uri=database)

        assert MlflowClient(database).get_experiment_by_name(name) is None

    def versions(self, database):
        return len(MlflowClient(database).search_registered_models())

    def test_no_tracking_uri(self, model, evaluation, tmp_path):
        with pytest.raises(InputError, match=r"tracking_uri=''.*MLFLOW_TRACKING_URI"):
            register(model, evaluation, tmp_path / "out", "taxi")

    @pytest.mark.parametrize("bad", ["", " ", "a/b", "a b", "-a", "'; drop", "ü", "x" * 129, "a\n"])
    def test_an_invalid_name(self, model, evaluation, tmp_path, database, bad):
        with pytest.raises(InputError, match=re.escape(f"model_name='{bad}'")):
            register(model, evaluation, tmp_path / "out", bad, tracking_uri=database)

        assert not (tmp_path / "out").exists()

    def test_a_password_in_a_parameter(self, model, evaluation, tmp_path, database, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
        with pytest.raises(InputError, match=r"^tracking_uri .*MLFLOW_TRACKING_PASSWORD"):
            register(model, evaluation, tmp_path / "out", "taxi", tracking_uri="http://ada:hunter2@mlflow:5000")

        assert not (tmp_path / "out").exists()

    def test_a_model_that_did_not_pass(self, model, tmp_path, name, database):
        write_evaluation(tmp_path / "bad", make_evaluation(passed=False, reason="`auc`"))
        before = self.versions(database)
        with pytest.raises(InputError, match=r"^evaluation .*: passed=false, .*`auc`"):
            register(model, tmp_path / "bad", tmp_path / "out", name, tracking_uri=database)

        assert self.versions(database) == before
        assert not (tmp_path / "out").exists()

    def test_an_evaluation_without_a_verdict(self, model, tmp_path, name, database):
        with pytest.raises(InputError, match=r"verdict\.json.*/empty'"):
            register(model, tmp_path / "empty", tmp_path / "out", name, tracking_uri=database)


def test_the_files_are_beside_a_database_whatever_its_path(model, evaluation, tmp_path, name):
    folder = tmp_path / "a%41b #ü"
    uri = database_uri(folder / "mlflow.db")
    registration = register(model, evaluation, tmp_path / "out", name, tracking_uri=uri)
    [graph] = tmp_path.rglob("mlflow/models/*/artifacts/saved_model/saved_model.pb")
    # The client's own method looks for the model at the tracking URI of the process.
    store = get_artifact_repository(MlflowClient(uri).get_logged_model(registration.model_id).artifact_location)
    copy = store.download_artifacts("saved_model/saved_model.pb", str(tmp_path))

    assert graph.is_relative_to(folder / "mlflow")
    assert Path(copy).read_bytes() == graph.read_bytes()
    # MLflow also creates the folder that the URI names before it is decoded, and leaves it empty.
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name == "mlflow.db"] == [
        folder / "mlflow.db"
    ]
    assert not (tmp_path / "aAb #ü").exists()


class TestUnreachable:
    """A single error message, without a traceback."""

    def register(self, model, evaluation, tmp_path, uri, **environment):
        """Register in a fork."""
        places = (str(model), str(evaluation), str(tmp_path / "out"))
        return self.check(
            Fork(tmp_path / "output", register_here, None, places, "taxi", uri, **environment).wait(), tmp_path
        )

    def check(self, ended, tmp_path):
        """Check that a registration failed with one error, and return it."""
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]

        assert ended.returncode == EXPLAINED, ended.stderr
        assert len(errors) == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert not (tmp_path / "out").exists()
        return errors[0]

    def test_no_server_listens(self, model, evaluation, tmp_path):
        """In a new process, as MLflow reads some variables when it is imported."""
        script = (
            "import sys; from tiffin.errors import reported\n"
            "with reported():\n"
            "    from tiffin.tracking import faults\n"
            "    from tiffin.stages.register.registry import register\n"
            "    faults.WAITS = (0.0,)\n"
            "    register(*sys.argv[1:4], 'taxi')\n"
        )
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            # A password is allowed in the environment, not in a parameter.
            address = f"http://u:secret@127.0.0.1:{taken.getsockname()[1]}"
            ended = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", script, str(model), str(evaluation), str(tmp_path / "out")],
                capture_output=True, text=True, timeout=240, env={**os.environ, "MLFLOW_TRACKING_URI": address},
            )  # fmt: skip
            error = self.check(ended, tmp_path)

        assert "'http://***@127.0.0.1:" in error
        assert "secret" not in error

    @pytest.mark.parametrize("login", ["u:hun/secret", "u:123/secret", "u:hun@secret", "secret:x/y"])
    def test_a_login_that_is_not_encoded(self, model, evaluation, tmp_path, login):
        error = self.register(model, evaluation, tmp_path, "", MLFLOW_TRACKING_URI=f"http://{login}@127.0.0.1:9")

        assert "MLFLOW_TRACKING_URI" in error
        assert "secret" not in error

    @pytest.mark.parametrize("scheme", ["mysql", "mssql"])
    def test_a_database_without_its_driver(self, model, evaluation, tmp_path, scheme):
        error = self.register(
            model, evaluation, tmp_path, "", MLFLOW_TRACKING_URI=f"{scheme}://ada:secret@127.0.0.1:9/mlflow"
        )

        assert scheme in error
        assert "pip install 'mlflow[db]'" in error
        assert "secret" not in error

    def test_another_server_listens(self, model, evaluation, tmp_path):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

            do_POST = do_GET  # noqa: N815

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            error = self.register(model, evaluation, tmp_path, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            server.server_close()

        assert "404" in error

    @pytest.mark.parametrize("uri", ["sqlite:////dev/null/mlflow.db", "ftp://host/mlflow", "nonsense://"])
    def test_an_invalid_uri(self, model, evaluation, tmp_path, uri):
        error = self.register(model, evaluation, tmp_path, uri)

        assert f"'{uri}'" in error

    def test_an_invalid_database(self, model, evaluation, tmp_path):
        (tmp_path / "mlflow.db").write_bytes(b"a,b\n1,2\n" * 999)
        error = self.register(model, evaluation, tmp_path, f"sqlite:///{tmp_path}/mlflow.db")

        assert "mlflow.db" in error
