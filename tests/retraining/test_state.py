"""The state of retrainings, also when several processes change it at once."""

import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest

from tiffin.artifacts.retraining import KEPT, Attempt, RetrainingState
from tiffin.errors import InputError
from tiffin.retraining.decision import Asked, Rules, decide
from tiffin.retraining.state import change, end, locate, pause, read_state, resume, with_expired, with_started

NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)


def attempt(run="r1", started=NOON):
    return Attempt(run, "schedule", "", 3, "d1", started.isoformat())


@pytest.fixture
def uri(tmp_path):
    return locate(str(tmp_path / "trips"))


def test_a_model_without_a_state(uri, tmp_path):
    assert read_state(uri, "trips") == RetrainingState("trips")
    assert change(uri, "trips", lambda before: before) == RetrainingState("trips")
    assert not (tmp_path / "trips").exists()


def test_a_retraining_starts_and_ends(uri):
    change(uri, "trips", lambda before: with_started(before, attempt()))
    assert end(uri, "trips", "r1", "promoted", version=4, reason="better", now=NOON + timedelta(hours=2))
    (found,) = read_state(uri, "trips").attempts
    assert (found.outcome, found.new_version, found.reason) == ("promoted", 4, "better")
    assert found.ended == "2026-03-08T14:00:00+00:00"


def test_a_retraining_ends_once(uri):
    change(uri, "trips", lambda before: with_started(before, attempt()))
    assert end(uri, "trips", "r1", "rejected", version=4, reason="worse", now=NOON)
    assert not end(uri, "trips", "r1", "failed", version=0, reason="", now=NOON)
    assert not end(uri, "trips", "r2", "failed", version=0, reason="", now=NOON)
    assert read_state(uri, "trips").attempts[0].outcome == "rejected"


def test_the_same_run_starts_once():
    once = with_started(RetrainingState("trips"), attempt())
    assert with_started(once, attempt(started=NOON + timedelta(hours=1))) == once


def test_old_retrainings_are_forgotten():
    found = RetrainingState("trips")
    for number in range(KEPT + 5):
        found = with_started(found, attempt(f"r{number}"))
    assert [found.attempts[0].run, found.attempts[-1].run, len(found.attempts)] == ["r5", f"r{KEPT + 4}", KEPT]


def test_a_retraining_that_told_no_end_expires():
    before = with_started(RetrainingState("trips"), attempt())
    assert with_expired(before, NOON + timedelta(hours=95), timedelta(hours=96)) == before
    (found,) = with_expired(before, NOON + timedelta(hours=96), timedelta(hours=96)).attempts
    assert (found.outcome, found.ended) == ("expired", "2026-03-12T12:00:00+00:00")


def test_pause_and_resume(uri):
    with pytest.raises(InputError):
        resume(uri, "trips")
    found = pause(uri, "trips", by="ada", why="labels are wrong", now=NOON)
    assert (found.paused.by, found.paused.since) == ("ada", "2026-03-08T12:00:00+00:00")
    with pytest.raises(InputError, match="ada"):
        pause(uri, "trips", by="bob", why="", now=NOON)
    assert resume(uri, "trips").paused is None


def test_a_damaged_state_is_told_and_kept(uri, tmp_path):
    path = tmp_path / "trips" / "retrainings.json"
    path.parent.mkdir()
    path.write_text('{"model": 3}')
    with pytest.raises(InputError, match=r"retrainings\.json"):
        read_state(uri, "trips")
    with pytest.raises(InputError):
        change(uri, "trips", lambda before: with_started(before, attempt()))
    assert path.read_text() == '{"model": 3}'


def start(uri, run, barrier, answers):
    barrier.wait()
    codes = []

    def claim(before):
        codes.append(decide(before, Asked(run, "schedule", data=run), Rules("retrain"), NOON)[0])
        return with_started(before, attempt(run)) if codes[-1] == "START" else before

    change(uri, "trips", claim)
    answers.put(codes[-1])


def test_of_two_triggers_at_once_one_starts(uri):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=start, args=(uri, f"r{number}", barrier, answers)) for number in range(4)]
    for process in processes:
        process.start()
    found = sorted(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert found == ["RUNNING", "RUNNING", "RUNNING", "START"]
    assert len(read_state(uri, "trips").attempts) == 1
