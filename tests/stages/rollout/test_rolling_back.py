"""The step that returns to the version before."""

import pytest

from support.serving_roots import make_saved_model, put
from tiffin.artifacts.rollback import read_rollback
from tiffin.errors import InputError
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel
from tiffin.stages.rollout.rolling_back import roll_back_to_previous


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.delenv("TIFFIN_SERVING_ADDRESS", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    served = ServedModel(str(tmp_path / "serving"), "taxi")
    put(served, make_saved_model(tmp_path / "saved"), 1, 2)
    return served


@pytest.fixture
def back(served, tmp_path):
    def run(version=2, **options):
        given = {"why": "monitoring found ERROR_RATE", "serving_root": served.root, "run": "r1"} | options
        return roll_back_to_previous(tmp_path / "out", "taxi", version, **given)

    return run


def test_without_a_serving_root(back, monkeypatch):
    monkeypatch.delenv("TIFFIN_SERVING_ROOT", raising=False)
    with pytest.raises(InputError, match="TIFFIN_SERVING_ROOT"):
        back(serving_root="")


def test_the_version_before_is_in_production_again(back, served, tmp_path):
    found = back(requested_by="ada")
    assert (found.leaving, found.version, found.by, found.why) == (2, 1, "ada", "monitoring found ERROR_RATE")
    assert read_rollback(tmp_path / "out") == found
    newest = read_history(served).newest
    assert (newest.action, newest.standing.champion, newest.author.run) == ("rollback", 1, "r1")


def test_another_attempt_of_the_run_goes_back_once(back, served):
    first = back()
    again = back()
    assert (again.version, again.is_new, again.at) == (1, False, first.at)
    assert [record.action for record in read_history(served).records].count("rollback") == 1


def test_another_version_is_in_production(back, served):
    with pytest.raises(InputError, match="2"):
        back(version=7)
    assert read_history(served).standing.champion == 2


def test_whatever_is_in_production(back, served):
    assert (back(version=0).leaving, read_history(served).standing.champion) == (2, 1)


def test_a_server_that_does_not_answer_is_told(back, served):
    found = back(serving_address="127.0.0.1:9", deadline_seconds=0.5)
    assert found.version == 1
    assert found.problem
    assert read_history(served).standing.champion == 1


def test_a_reason_of_several_lines_is_one(back, served):
    assert back(why="first\nsecond").why == "first second"
