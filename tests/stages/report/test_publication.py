"""The report and the model card in the MLflow runs of a pipeline run."""

import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from support.documents import make_summary
from tiffin.artifacts.registration import Registration
from tiffin.artifacts.summary import Step
from tiffin.stages.report.publication import publish
from tiffin.tracking import faults

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def client(database):
    return MlflowClient(database)


@pytest.fixture
def files(tmp_path):
    for name in ("report.html", "card.md"):
        (tmp_path / name).write_text(name)
    return [tmp_path / "report.html", tmp_path / "card.md"]


def create_run(client, experiment, folder, **tags):
    """Create a run in an experiment, whose files are in a folder."""
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment, folder.as_uri())
    return client.create_run(number, tags={f"tiffin.{name}": value for name, value in tags.items()}).info.run_id


def registered(**runs):
    """Return a summary with a registration for each step."""
    steps = {step: Step(registration=Registration("m", 1, run_id, "d", "s", "v")) for step, run_id in runs.items()}
    return make_summary(steps=steps)


def files_of(client, run_id):
    return sorted(entry.path for entry in client.list_artifacts(run_id, "report"))


@pytest.mark.parametrize(
    ("summary", "uri"),
    [
        (make_summary(), "http://localhost:9"),
        (make_summary(state="FAILED"), "http://localhost:9"),
        (make_summary(stopped_by="validation"), ""),
    ],
)
def test_a_run_that_logged_nothing_needs_no_mlflow(summary, uri, files, capfd):
    publish(summary, files, uri, "run-1")

    assert capfd.readouterr() == ("", "")


def test_all_models_of_a_run(client, database, files, tmp_path, capfd):
    one, two = (create_run(client, name, tmp_path / "mlflow") for name in ("one", "two"))
    publish(registered(first=one, second=two), files, database)

    assert files_of(client, one) == files_of(client, two) == ["report/card.md", "report/report.html"]
    page = client.download_artifacts(one, "report/report.html", str(tmp_path / "mlflow"))
    assert Path(page).read_text() == "report.html"
    assert {one, two} <= set(capfd.readouterr().err.replace(",", "").split())


def test_again(client, database, files, tmp_path):
    one = create_run(client, "again", tmp_path / "mlflow")
    publish(registered(first=one), files, database)
    files[0].write_text("second")
    publish(registered(first=one), files, database)
    page = client.download_artifacts(one, "report/report.html", str(tmp_path / "mlflow"))

    assert files_of(client, one) == ["report/card.md", "report/report.html"]
    assert Path(page).read_text() == "second"


@pytest.mark.parametrize("run", ["training-20261128-1234", "it's mine"])
def test_a_stopped_run_is_found_by_its_id(run, client, database, files, tmp_path):
    mine = create_run(client, f"stopped {run}", tmp_path / "mlflow", run=run, stopped_by="evaluation")
    other = create_run(client, f"stopped {run}", tmp_path / "mlflow", run=f"{run}-2", stopped_by="evaluation")
    publish(make_summary(stopped_by="evaluation"), files, database, run)

    assert (files_of(client, mine), files_of(client, other)) == (["report/card.md", "report/report.html"], [])


def test_without_its_id_a_stopped_run_has_no_report(client, database, files, tmp_path, capfd):
    mine = create_run(client, "unnamed", tmp_path / "mlflow", run="", stopped_by="validation")
    publish(make_summary(stopped_by="validation"), files, database)

    assert files_of(client, mine) == []
    assert capfd.readouterr() == ("", "")


class TestFaults:
    """Each is a line in the log of the step, which succeeds."""

    def warning(self, capfd):
        [line] = capfd.readouterr().err.splitlines()
        assert line.startswith("warning: ")
        return line

    def test_no_address(self, files, capfd):
        publish(registered(first="r"), files)

        assert "MLFLOW_TRACKING_URI" in self.warning(capfd)

    def test_mlflow_is_down(self, files, capfd, monkeypatch):
        monkeypatch.setattr(faults, "WAITS", ())
        # As tracking/client.py sets it at its import, which may have been in another test's environment.
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        with socket.create_server(("127.0.0.1", 0)) as closed:
            uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        publish(registered(first="r"), files, uri)

        assert f"'{uri}': Connection refused" in self.warning(capfd)

    def test_a_password_is_masked(self, files, capfd, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:hun/ter2@mlflow")
        publish(registered(first="r"), files)

        assert "ter2" not in self.warning(capfd)

    def test_a_run_that_was_deleted_for_good(self, database, files, capfd):
        publish(registered(first="0" * 32), files, database)

        assert "0" * 32 in self.warning(capfd)

    def test_a_defect(self, database, files, capfd):
        publish(registered(first="r"), [*files, "missing"], database)

        self.warning(capfd)
