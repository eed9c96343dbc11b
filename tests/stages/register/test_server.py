"""Registration on an MLflow server over HTTP: faults, races, and the variables of Kubeflow's MLflow plug-in."""

import os
import re
import subprocess
import sys

import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from support.documents import make_evaluation
from support.forks import Fork, forks
from support.mlflow_server import mlflow_server, proxy
from support.registering import register_here, write_model
from tiffin.artifacts.verdict import write_evaluation
from tiffin.errors import StorageError
from tiffin.stages.register.registry import register
from tiffin.tracking import faults

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

STEP = """
import sys
from tiffin.errors import reported
with reported():
    from tiffin.stages.register.registry import register
    print(register(*sys.argv[1:5], tracking_uri=sys.argv[5], run="run-1").version)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


@pytest.fixture
def client(server):
    return MlflowClient(server)


@pytest.fixture
def name(request):
    return re.sub("[^a-z0-9_-]", "-", request.node.name)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(faults, "WAITS", (0.0,) * len(faults.WAITS))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture
def inputs(tmp_path, model):
    write_evaluation(tmp_path / "evaluation", make_evaluation())
    return model, tmp_path / "evaluation", tmp_path / "out"


def versions(client, name):
    return [int(version.version) for version in client.search_model_versions(f"name = '{name}'")]


def files(client, run_id):
    """Return the folders and files of a run, and of the models that it logged."""
    found = [entry.path for entry in client.list_artifacts(run_id)]
    experiment = client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        # The client's own method looks for the model at the tracking URI of the process.
        store = get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri)
        found += [f"model/{entry.path}" for entry in store.list_artifacts()]
    return found


def is_complete(client, run_id):
    return {"evaluation", "parameters.json", "model/MLmodel", "model/saved_model"} <= set(files(client, run_id))


def refused(inputs, name, address):
    """Return the error of a registration that fails."""
    with pytest.raises(StorageError) as raised:
        register(*inputs, name, tracking_uri=address)
    return str(raised.value)


class TestFaults:
    @pytest.mark.parametrize(
        ("path", "fault"),
        [
            *(("model-versions/create", fault) for fault in ("503", "500", "429", "close", "lose")),
            *((path, "lose") for path in ("runs/create", "mlflow-artifacts", "log-batch", "experiments/create")),
            *((path, "503") for path in ("model-versions/search", "mlflow-artifacts", "runs/update")),
        ],
    )
    def test_a_transient_fault_is_retried_and_leaves_one_version(
        self, server, client, inputs, name, fault, path, capsys
    ):
        failed = []

        def choose(_method, requested):
            if path in requested and len(failed) < 2:
                failed.append(requested)
                return fault
            return ""

        with proxy(server, choose) as address:
            registration = register(*inputs, name, tracking_uri=address, run="run-1")
        lines = capsys.readouterr().err.splitlines()

        # What was created although the answer was lost is found, and not created again.
        assert len(failed) == (1 if fault == "lose" and path in ("model-versions/create", "experiments/create") else 2)
        # The second update of the run is that of its failed attempt, which ends as FAILED.
        retries = 1 if path == "runs/update" else len(failed)
        assert len([line for line in lines if re.search(rf"[0-9] of {len(faults.WAITS)} ", line)]) == retries
        assert versions(client, name) == [registration.version]
        assert is_complete(client, registration.run_id)

    @pytest.mark.parametrize("run", ["run-1", ""])
    def test_a_version_whose_answers_are_lost_is_not_created_twice(self, server, client, inputs, name, run):
        lost = []

        def choose(_method, requested):
            if "model-versions/create" in requested and len(lost) < 1:
                lost.append(requested)
                return "lose"
            return ""

        with proxy(server, choose) as address:
            registration = register(*inputs, name, tracking_uri=address, run=run)

        assert versions(client, name) == [registration.version] == [1]
        assert len(lost) == 1

    def test_a_server_that_always_fails_ends_the_step(self, server, inputs, name):
        requests = []
        with proxy(server, lambda _method, path: requests.append(path) or "503") as address:
            error = refused(inputs, name, address)

        assert len(requests) == len(faults.WAITS) + 1
        assert address in error
        assert "503" in error
        assert not inputs[2].exists()

    def test_no_retry_starts_after_the_time_limit(self, server, inputs, name, monkeypatch):
        monkeypatch.setattr(faults, "LAST_START_SECONDS", -1)
        requests = []
        with proxy(server, lambda _method, path: requests.append(path) or "503") as address:
            refused(inputs, name, address)

        assert len(requests) == 1

    @pytest.mark.parametrize("status", ["401", "403", "404", "400"])
    def test_a_refusal_is_not_retried(self, server, inputs, name, status):
        requests = []
        with proxy(server, lambda _method, path: requests.append(path) or status) as address:
            error = refused(inputs, name, address)

        assert len(requests) == 1
        assert status in error


class TestRaces:
    def race(self, inputs, name, uri, count=3):
        """Register from several processes at once, and return the versions that they report."""
        start = forks().Barrier(count)
        racers = [
            Fork(
                inputs[2].with_name(f"output-{number}"),
                register_here, start, (*map(str, inputs[:2]), f"{inputs[2]}-{number}"), name, uri,
            )
            for number in range(count)
        ]  # fmt: skip
        ends = [racer.wait() for racer in racers]
        assert [end.returncode for end in ends] == [0] * count, ends
        return {int(end.stdout) for end in ends}

    def test_attempts_at_once_agree_on_one_version_of_a_server(self, server, client, inputs, name):
        assert self.race(inputs, name, server) == set(versions(client, name))
        (version,) = versions(client, name)
        run = client.get_model_version(name, version).run_id
        assert is_complete(client, run)
        # The files of the other attempts are deleted.
        experiment = client.get_experiment_by_name(name).experiment_id
        others = [found.info.run_id for found in client.search_runs([experiment]) if found.info.run_id != run]
        assert [files(client, other) for other in others] == [[]] * len(others)

    def test_attempts_at_once_agree_on_one_version_of_a_database(self, inputs, name, tmp_path):
        uri = f"sqlite:///{tmp_path}/mlflow.db"

        assert self.race(inputs, name, uri) == {1}
        assert versions(MlflowClient(uri), name) == [1]

    def test_the_later_of_two_versions_is_deleted(self, server, client, inputs, name):
        """The other attempt registers between this one's search and its creation."""
        other = []

        def choose(_method, requested):
            if "model-versions/create" in requested and not other:
                other.append(register(*inputs[:2], inputs[2].parent / "other", name, tracking_uri=server, run="run-1"))
            return ""

        with proxy(server, choose) as address:
            registration = register(*inputs, name, tracking_uri=address, run="run-1")

        assert registration == other[0]
        assert versions(client, name) == [1]

    def test_a_version_left_by_a_killed_attempt_is_deleted_by_the_next(self, server, client, inputs, name):
        first = register(*inputs, name, tracking_uri=server, run="run-1")
        source = client.get_model_version(name, first.version).source
        client.create_model_version(name, source, first.run_id, tags={"tiffin.run": "run-1"}, model_id=first.model_id)
        assert register(*inputs, name, tracking_uri=server, run="run-1") == first

        assert versions(client, name) == [first.version]
        assert is_complete(client, first.run_id)


class TestPlugIn:
    """Kubeflow's plug-in sets MLFLOW_TRACKING_URI, MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_ID together."""

    @pytest.fixture
    def parent(self, client, name):
        experiment = client.create_experiment(f"kubeflow-{name}")
        return client.create_run(experiment).info

    def register(self, inputs, name, monkeypatch, parameter="", experiment="", **variables):
        for variable, value in variables.items():
            monkeypatch.setenv(f"MLFLOW_{variable}", value)
        return register(*inputs, name, tracking_uri=parameter, experiment=experiment, run="run-1")

    def run(self, client, registration):
        found = client.get_run(registration.run_id)
        return found.data.tags.get("mlflow.parentRunId"), found.info.experiment_id

    @pytest.mark.parametrize("from_parameter", [False, True])
    @pytest.mark.parametrize("with_experiment", [False, True])
    def test_the_models_run_is_nested(
        self, server, client, inputs, name, parent, monkeypatch, from_parameter, with_experiment
    ):
        variables = {"RUN_ID": parent.run_id, "TRACKING_URI": "http://127.0.0.1:9" if from_parameter else server}
        variables |= {"EXPERIMENT_ID": parent.experiment_id} if with_experiment else {}
        parameter = server if from_parameter else ""
        registration = self.register(inputs, name, monkeypatch, parameter, **variables)

        assert self.run(client, registration) == (parent.run_id, parent.experiment_id)
        assert registration.run_id != parent.run_id
        assert client.get_run(parent.run_id).info.status == "RUNNING"

    def test_the_experiment_of_the_parameter_is_used(self, server, client, inputs, name, parent, monkeypatch):
        variables = {"RUN_ID": parent.run_id, "TRACKING_URI": server, "EXPERIMENT_ID": parent.experiment_id}
        registration = self.register(inputs, name, monkeypatch, experiment=f"own-{name}", **variables)

        assert self.run(client, registration) == (
            parent.run_id, client.get_experiment_by_name(f"own-{name}").experiment_id,
        )  # fmt: skip

    @pytest.mark.parametrize("from_parameter", [False, True])
    def test_a_run_of_another_mlflow_is_not_a_parent(
        self, server, client, inputs, name, monkeypatch, from_parameter, capsys
    ):
        variables = {"RUN_ID": "0" * 32, "EXPERIMENT_ID": "1"}
        variables["TRACKING_URI"] = "http://127.0.0.1:9" if from_parameter else server
        registration = self.register(inputs, name, monkeypatch, server if from_parameter else "", **variables)

        assert self.run(client, registration) == (None, client.get_experiment_by_name(name).experiment_id)
        assert "0" * 32 in capsys.readouterr().err

    def test_a_deleted_run_is_not_a_parent(self, server, client, inputs, name, parent, monkeypatch):
        client.delete_run(parent.run_id)
        registration = self.register(inputs, name, monkeypatch, RUN_ID=parent.run_id, TRACKING_URI=server)

        assert self.run(client, registration)[0] is None

    def test_an_experiment_alone_is_used(self, server, client, inputs, name, parent, monkeypatch):
        variables = {"TRACKING_URI": server, "EXPERIMENT_ID": parent.experiment_id}
        registration = self.register(inputs, name, monkeypatch, **variables)

        assert self.run(client, registration) == (None, parent.experiment_id)

    @pytest.mark.parametrize("experiment", ["999999", "x"])
    def test_an_unknown_experiment_is_reported(self, server, client, inputs, name, monkeypatch, experiment, capsys):
        registration = self.register(inputs, name, monkeypatch, TRACKING_URI=server, EXPERIMENT_ID=experiment)

        assert self.run(client, registration) == (None, client.get_experiment_by_name(name).experiment_id)
        assert f" {experiment}," in capsys.readouterr().err

    def test_the_environment_of_the_plug_in_in_a_new_process(self, server, client, inputs, name, parent):
        """MLflow reads some variables when it is imported."""
        variables = {
            "MLFLOW_RUN_ID": parent.run_id, "MLFLOW_TRACKING_URI": server, "MLFLOW_EXPERIMENT_ID": parent.experiment_id,
        }  # fmt: skip
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", STEP, *map(str, inputs), name, ""],
            capture_output=True, text=True, timeout=240, env={**os.environ, **variables},
        )  # fmt: skip

        assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
        assert self.run(client, register(*inputs, name, tracking_uri=server, run="run-1"))[0] == parent.run_id
