"""Records of rollouts in the history: each is written once, also if a process is killed at any of its writes."""

import itertools
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from support import forks, killing
from support.serving_roots import ADA, BOB, actions, make_saved_model, newest, put, wait
from tiffin.governance.approval import approve
from tiffin.governance.verification import repair_config, verify_history
from tiffin.rollout import course
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.rollout.evidence import Counted, Progress
from tiffin.rollout.plan import Step
from tiffin.rollout.recording import is_recorded
from tiffin.rollout.settling import settle
from tiffin.rollout.statistics.shares import Tally
from tiffin.rollout.verification import repair_rollout, verify_rollout
from tiffin.serving.history import read_history
from tiffin.serving.root import STABLE, ServedModel

STEPS = (Step(mirror=100.0), Step(weight=5.0))


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    """A model with version 1 in production, and a candidate, version 2, that was approved."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    saved_model = make_saved_model(tmp_path)
    put(served, saved_model, 1)
    wait(served, saved_model, 2, "required")
    approve(served, 2, BOB)
    return served


@pytest.fixture(autouse=True)
def without_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what matters only when the machine stops, and takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def process() -> Iterator[Pool]:
    with forks.pool(1) as pool:
        yield pool


def begin(taxi: ServedModel) -> Rollout:
    rollout = course.start(taxi, 2, ADA, strategy="shadow_canary", steps=STEPS)
    return course.begin(taxi, rollout.id)


def records(taxi: ServedModel) -> list[tuple[str, int | None]]:
    """Return the actions after the approval of the candidate."""
    return actions(taxi)[4:]


def codes(taxi: ServedModel) -> list[str]:
    history = read_history(taxi)
    return [finding.code for finding in (*verify_history(taxi, history), *verify_rollout(taxi, history))]


def test_a_model_without_a_rollout(taxi: ServedModel) -> None:
    assert settle(taxi) is None
    assert (records(taxi), codes(taxi), repair_rollout(taxi)) == ([], [], [])


def test_the_start_has_its_author_and_its_plan(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    record = newest(taxi)

    assert (record.action, record.version, record.rollout) == ("rollout", 2, rollout.id)
    assert replace(record.author, why="") == replace(ADA, why="")
    assert record.author.why == f"{ADA.why} (shadow_canary: copies of 100 %, 5 %)"
    assert read_history(taxi).standing.candidate == 2
    assert codes(taxi) == []


def test_records_without_a_rollout_are_as_before(taxi: ServedModel) -> None:
    assert b"rollout" not in newest(taxi).content


def test_an_abort_has_its_reason_and_the_counts(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.advance(taxi, rollout.id, 0)
    progress = Progress(candidate=Counted(Tally(1200, 7)))
    course.change(taxi, rollout.id, lambda now: replace(now, progress=progress))
    course.abort(taxi, BOB)
    record = newest(taxi)

    assert (record.action, record.version, record.author.who) == ("abort", 2, "bob")
    assert record.author.why == f"{BOB.why}, in step 2 of 2 (5 %), after 1,200 requests, of which 7 failed"
    assert read_history(taxi).standing.candidate is None
    course.close(taxi, rollout.id)
    assert records(taxi) == [("rollout", 2), ("abort", 2)]
    assert codes(taxi) == []


def test_after_an_inconclusive_rollout_the_candidate_waits_as_before(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.stop(taxi, rollout.id, "inconclusive", "no requests")
    course.close(taxi, rollout.id)

    assert records(taxi) == [("rollout", 2), ("inconclusive", 2)]
    assert newest(taxi).author.who == course.ANALYSIS
    assert read_history(taxi).standing.candidate == 2


def test_a_promoted_rollout_has_no_other_end(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.stop(taxi, rollout.id, "promoted", "")
    course.close(taxi, rollout.id)

    assert records(taxi) == [("rollout", 2)]


def test_each_of_two_rollouts_has_records(taxi: ServedModel) -> None:
    for _ in range(2):
        rollout = begin(taxi)
        course.abort(taxi, BOB)
        course.close(taxi, rollout.id)

    assert records(taxi) == [("rollout", 2), ("abort", 2)] * 2
    assert len({record.rollout for record in read_history(taxi).records[4:]}) == 2


def test_an_abort_is_recorded_although_the_config_was_changed_by_hand(taxi: ServedModel) -> None:
    begin(taxi)
    Path(taxi.locate(STABLE)).write_bytes(b"model_config_list {}")
    course.abort(taxi, BOB)

    assert records(taxi) == [("rollout", 2), ("abort", 2)]


def test_a_rollout_of_an_earlier_tiffin_gets_no_records_once_it_is_over(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.stop(taxi, rollout.id, "aborted", "x")
    ended = course.close(taxi, rollout.id)
    for record in read_history(taxi).records[4:]:
        Path(taxi.locate("history", f"{record.number:08}.json")).unlink()
    settle(taxi)

    assert (records(taxi), is_recorded(read_history(taxi), ended)) == ([], True)


def test_a_process_that_is_killed_before_any_of_its_writes(taxi: ServedModel, tmp_path: Path, process: Pool) -> None:
    """The next one goes on, and ends with the same records."""
    root, saved = Path(taxi.root), tmp_path / "saved"
    shutil.copytree(root, saved)
    for write in itertools.count(1):
        was_killed = process.apply(killing.kill_at_write, (taxi.root, "abort", 2, write))
        assert set(codes(taxi)) <= {"UNFINISHED"}, write
        if write % 2:
            repair_rollout(taxi)
            repair_config(taxi, BOB)
            assert codes(taxi) == [], write
        killing.CHANGES["abort"](taxi, 2)
        rollout, _ = read_rollout(taxi)
        assert rollout
        assert rollout.is_over
        assert records(taxi) == [("rollout", 2), ("abort", 2)], write
        assert codes(taxi) == [], write
        if not was_killed:
            break
        # In the same place, which is part of the configs.
        shutil.rmtree(root)
        shutil.copytree(saved, root)
    assert write > 8
