"""MLflow's client, and the runs that it finds."""

import pytest

from tiffin.tracking.client import client_of, find_runs

RUNS_IN = ("model",)
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def test_a_new_database_has_no_runs(database):
    with client_of(database) as client:
        assert find_runs(client, "run-1") == []


def test_runs_in_any_of_more_experiments_than_one_page(database, monkeypatch):
    with client_of(database) as client:
        numbers = [client.create_experiment(f"experiment {number}") for number in range(3)]
        runs = [client.create_run(number, tags={"tiffin.run": "run-2"}).info.run_id for number in numbers]
        search = client.search_experiments
        monkeypatch.setattr(client, "search_experiments", lambda **about: search(max_results=1, **about))

        assert {run.info.run_id for run in find_runs(client, "run-2")} == set(runs)
        assert [run.info.run_id for run in find_runs(client, "run-2", numbers[1:2])] == runs[1:2]
