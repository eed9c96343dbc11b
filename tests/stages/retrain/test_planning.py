"""The step that decides whether a model is trained again."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.serving_roots import make_saved_model, put
from support.watched import MODEL, VERSION, write_watched_reference
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Source, read_manifest
from tiffin.artifacts.retraining import read_retraining
from tiffin.errors import InputError
from tiffin.retraining.state import end, locate, pause, read_state
from tiffin.serving.root import ServedModel
from tiffin.stages.retrain.planning import plan

NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    path = write_watched_reference(folder)
    data = folder / "old.csv"
    data.write_text("km,late\n1,0\n")
    manifest = replace(
        read_manifest(path), sources=(Source(str(data), "sha", data.stat().st_size),), derive={"far": "km > 5"}
    )
    documents.write(path / MANIFEST, manifest)
    return path


@pytest.fixture
def new(tmp_path):
    folder = tmp_path / "day=1"
    folder.mkdir()
    (folder / "trips.csv").write_text("km,late\n2,1\n3,0\n")
    return f"{tmp_path}/day={{span}}/trips.csv"


@pytest.fixture
def decide(tmp_path, reference):
    def run(training=None, **options):
        given = {"state": str(tmp_path / "state"), "run": "r1", "now": NOON} | options
        return plan(tmp_path / "out", reference, training or {}, **given)

    return run


@pytest.fixture
def uri(tmp_path):
    return locate(str(tmp_path / "state" / MODEL))


def test_no_state_and_no_log(decide, monkeypatch):
    monkeypatch.delenv("TIFFIN_LOG_ROOT", raising=False)
    with pytest.raises(InputError):
        decide(state="")


def test_a_retraining_by_hand(decide, uri, tmp_path):
    found = decide()
    assert (found.code, found.starts, found.version, found.state) == ("START", True, VERSION, uri)
    assert read_retraining(tmp_path / "out") == found
    (attempt,) = read_state(uri, MODEL).attempts
    assert (attempt.run, attempt.outcome, attempt.started) == ("r1", "running", "2026-03-08T12:00:00+00:00")


def test_settings_of_the_version_in_production(decide):
    found = decide({"epochs": 3.0, "label": "lateness"})
    assert found.settings["epochs"] == 3
    assert found.settings["label"] == "lateness"
    assert found.settings["derive"] == {"far": "km > 5"}
    assert str(found.settings["data"]).endswith("old.csv")
    assert [(note.code, note.count) for note in found.notes] == [("SETTINGS_TAKEN", 2)]


def test_the_newest_span(decide, new):
    found = decide({"data": new})
    assert found.spans == ("1",)
    assert found.settings["data"] == new.replace("{span}", "1")


def test_the_trigger_data_asks_for_a_new_span(decide, new, uri):
    assert decide(trigger="data").code == "NO_NEW_DATA"
    assert decide({"data": new}, trigger="data").code == "START"
    end(uri, MODEL, "r1", "rejected", version=0, reason="", now=NOON)
    later = NOON + timedelta(days=2)
    assert decide({"data": new}, trigger="data", run="r2", now=later).code == "NO_NEW_DATA"


def test_monitoring_asks(decide, new, uri):
    worse = {"training": {"data": new}, "trigger": "monitoring", "verdict": "degraded", "cause": "CONCEPT_DRIFT"}
    asked = decide(policy="ask", **worse)
    assert (asked.code, asked.asks) == ("ASK", True)
    assert f"model_name={MODEL}" in asked.action
    assert read_state(uri, MODEL).attempts == ()
    assert decide(policy="none", **worse).code == "POLICY_NONE"
    assert decide(policy="retrain", **worse).code == "START"
    assert read_state(uri, MODEL).attempts[0].cause == "CONCEPT_DRIFT"
    assert decide(policy="retrain", run="r2", **worse).code == "RUNNING"


def test_a_failed_retraining_is_not_repeated_within_the_cool_down(decide, new, uri):
    worse = {"training": {"data": new}, "trigger": "monitoring", "verdict": "degraded", "cause": "CONCEPT_DRIFT"}
    assert decide(**worse).starts
    end(uri, MODEL, "r1", "failed", version=0, reason="out of memory", now=NOON)
    found = decide(run="r2", now=NOON + timedelta(hours=23), **worse)
    assert found.code == "COOL_DOWN"
    assert "failed" in found.reason


def test_nothing_new_to_learn_from(decide):
    worse = {"trigger": "monitoring", "verdict": "degraded", "cause": "CONCEPT_DRIFT"}
    assert decide(**worse).code == "SAME_DATA"
    # Labelled answers are new, and need a window and labels.
    assert decide(labelled_window="7d", **worse).code == "SAME_DATA"
    assert decide(labels="labels.csv", **worse).code == "SAME_DATA"
    assert decide(labelled_window="7d", labels="labels.csv", **worse).code == "START"


def test_a_loop_on_bad_data_ends_in_a_question(decide, new, uri):
    """Each day brings new data that no model is better on: three tries, then a person is asked, once a day."""
    codes = []
    for day in range(6):
        found = decide(
            training={"data": new}, run=f"r{day}", now=NOON + timedelta(days=day), trigger="monitoring", verdict="degraded",
            cause=f"DATA_DRIFT:day{day}",
        )  # fmt: skip
        codes.append(found.code)
        end(uri, MODEL, f"r{day}", "rejected", version=0, reason="worse", now=NOON + timedelta(days=day, hours=1))
    assert codes == ["START", "START", "START", "BUDGET", "BUDGET", "BUDGET"]
    assert "by hand" in found.action


def test_paused(decide, uri):
    pause(uri, MODEL, by="ada", why="", now=NOON)
    found = decide()
    assert (found.code, found.starts, found.action) == (
        "PAUSED",
        False,
        f"Allow it again with: tiffin monitor resume {MODEL}.",
    )


def test_a_retraining_whose_run_was_lost_expires(decide, uri):
    assert decide().starts
    found = decide(run="r2", now=NOON + timedelta(hours=97))
    assert (found.code, [note.code for note in found.notes if note.code == "EXPIRED"]) == ("START", ["EXPIRED"])
    assert [one.outcome for one in read_state(uri, MODEL).attempts] == ["expired", "running"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"trigger": "moon"},
        {"policy": "maybe"},
        {"spans": 0},
        {"cool_down_hours": -1.0},
        {"max_per_week": -1},
        {"roll_back_hours": -1.0},
        {"training": {"epoch": 1}},
    ],
)
def test_wrong_parameters(decide, uri, wrong):
    with pytest.raises(InputError):
        decide(wrong.pop("training", None), **wrong)
    assert read_state(uri, MODEL).attempts == ()


class TestRollBack:
    WORSE = {"trigger": "monitoring", "verdict": "degraded", "cause": "ERROR_RATE", "policy": "none"}  # noqa: RUF012

    @pytest.fixture
    def root(self, tmp_path):
        """A serving root with version 2 in production, then version 3."""
        put(ServedModel(str(tmp_path / "serving"), MODEL), make_saved_model(tmp_path / "saved"), 2, VERSION)
        return tmp_path / "serving"

    def test_a_new_version_that_fails(self, decide, root):
        now = datetime.now(UTC)
        assert decide(roll_back_hours=24.0, serving_root=str(root), now=now, **self.WORSE).rolls_back
        later = now + timedelta(hours=25)
        assert not decide(roll_back_hours=24.0, serving_root=str(root), now=later, **self.WORSE).rolls_back
        assert not decide(serving_root=str(root), now=now, **self.WORSE).rolls_back

    def test_no_serving_root(self, decide, tmp_path):
        assert not decide(roll_back_hours=24.0, serving_root=str(tmp_path / "none"), **self.WORSE).rolls_back


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from tiffin.artifacts import retraining
from tiffin.stages.retrain import planning
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
planning.write_retraining = kill
planning.plan(sys.argv[1], sys.argv[2], {}, state=sys.argv[3], run="r1", now=datetime(2026, 3, 8, 12, tzinfo=UTC))
"""


def test_a_step_that_is_killed_after_its_claim_goes_on(decide, reference, tmp_path, uri):
    """The retry of KFP has the same run ID."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "out"), str(reference), str(tmp_path / "state")],
        env={**os.environ},
    )
    assert done.returncode == -signal.SIGKILL
    assert [one.outcome for one in read_state(uri, MODEL).attempts] == ["running"]
    assert decide(run="r2").code == "RUNNING"
    assert decide(run="r1").code == "START"
    assert len(read_state(uri, MODEL).attempts) == 1


def test_the_same_input_gives_the_same_bytes(decide, uri, tmp_path):
    artifacts = []
    for _ in range(2):
        decide()
        artifacts.append(((tmp_path / "out" / "retraining.json").read_bytes(), Path(uri).read_bytes()))
        Path(uri).unlink()
    assert artifacts[0] == artifacts[1]
