"""How the retraining of a run ended, in the state that the next decision is made from."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from support.documents import make_summary
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.retraining import Attempt, Retraining
from tiffin.artifacts.rollout import RolloutResult
from tiffin.artifacts.summary import RegisteredModel, Step
from tiffin.retraining.state import change, locate, read_state, with_started
from tiffin.stages.report.retrainings import end_retrainings, find_outcome

ROLLED_OUT = RolloutResult("trips", 4, 3, "canary", "promoted", "", "analysis", "", "", 9, 0, 9, 0)


@pytest.fixture
def uri(tmp_path):
    return locate(str(tmp_path / "trips"))


@pytest.fixture
def started(uri):
    attempt = Attempt("r1", "hand", "", 3, "d1", datetime.now(UTC).isoformat())
    change(uri, "trips", lambda before: with_started(before, attempt))


def summary(uri, code="START", **changed):
    decided = Retraining("trips", 3, "hand", "", code, "", "", {}, (), uri, "r1")
    return make_summary(steps={"plan": Step(retraining=decided)}, reason="Because.", **changed)


def test_a_run_without_a_retraining(uri):
    end_retrainings(make_summary())
    end_retrainings(summary(uri, "COOL_DOWN"))
    assert read_state(uri, "trips").attempts == ()


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "deployed"),
        ({"state": "WAITING"}, "waiting"),
        ({"state": "FAILED"}, "failed"),
        ({"state": "FAILED", "stopped_by": "evaluation"}, "rejected"),
    ],
)
def test_outcomes(uri, started, capfd, changed, outcome):
    end_retrainings(summary(uri, model=RegisteredModel("trips", 4), **changed))
    (found,) = read_state(uri, "trips").attempts
    assert (found.outcome, found.new_version, found.reason) == (outcome, 4, "Because.")
    assert capfd.readouterr().err.rstrip().endswith(f": {outcome}")


def test_after_a_rollout(uri):
    found = summary(uri)
    steps = {**found.steps, "roll-out": Step(rollout=ROLLED_OUT)}
    assert find_outcome(replace(found, steps=steps)) == ("promoted", 0)


def test_the_exit_steps_of_nested_pipelines_tell_it_once(uri, started, capfd):
    for outcome in ("evaluation", None):
        end_retrainings(summary(uri, state="FAILED", stopped_by=outcome))
    assert read_state(uri, "trips").attempts[0].outcome == "rejected"
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_state_that_cannot_be_read_is_a_warning(uri, started, tmp_path, capfd):
    (tmp_path / "trips" / "retrainings.json").write_text("{")
    end_retrainings(summary(uri))
    assert WARNING in capfd.readouterr().err
