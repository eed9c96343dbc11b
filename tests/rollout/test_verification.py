from pathlib import Path

import pytest

from support.serving_roots import ADA, BOB, make_saved_model, put
from tiffin.gateway.traffic import Traffic
from tiffin.governance.promotion import roll_back
from tiffin.governance.verification import verify_history
from tiffin.rollout import course, settling
from tiffin.rollout.document import Rollout
from tiffin.rollout.plan import Step
from tiffin.rollout.verification import repair_rollout, verify_rollout
from tiffin.serving.history import read_history
from tiffin.serving.root import ROLLOUT, TRAFFIC, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    """A model with the champions 1 and 2, and files of version 3."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    saved_model = make_saved_model(tmp_path)
    put(served, saved_model, 1, 2)
    served.publish(saved_model, 3)
    return served


def start(taxi: ServedModel) -> Rollout:
    rollout = course.start(taxi, 3, ADA, strategy="canary", steps=(Step(weight=5.0),))
    return course.begin(taxi, rollout.id)


def codes(taxi: ServedModel) -> list[str]:
    history = read_history(taxi)
    return [finding.code for finding in (*verify_history(taxi, history), *verify_rollout(taxi, history))]


def test_nothing_is_found_without_a_rollout_during_one_and_after_it(taxi: ServedModel) -> None:
    assert codes(taxi) == []
    rollout = start(taxi)
    assert codes(taxi) == []
    course.pause(taxi, BOB)
    assert codes(taxi) == []
    course.abort(taxi, BOB)
    assert codes(taxi) == []
    course.close(taxi, rollout.id)
    assert (codes(taxi), repair_rollout(taxi)) == ([], [])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_file_that_cannot_be_read(taxi: ServedModel, content: bytes) -> None:
    start(taxi)
    Path(taxi.locate(ROLLOUT)).write_bytes(content)

    assert codes(taxi) == ["ROLLOUT"]
    assert repair_rollout(taxi) == []
    assert codes(taxi) == ["ROLLOUT"]


def test_files_that_were_not_written(taxi: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = start(taxi)
    with monkeypatch.context() as patch:
        patch.setattr(course, "settle", lambda _: rollout)
        course.abort(taxi, BOB)
    assert codes(taxi) == ["UNFINISHED"]
    [finding] = repair_rollout(taxi)

    assert (finding.code, bool(finding.repaired)) == ("UNFINISHED", True)
    assert codes(taxi) == []
    assert read_history(taxi).standing.served == 2


def test_a_record_that_was_not_written(taxi: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settling, "record", lambda *_: None)
        start(taxi)
    assert codes(taxi) == ["UNFINISHED"]
    assert len(repair_rollout(taxi)) == 1

    newest = read_history(taxi).newest
    assert newest
    assert newest.action == "rollout"
    assert codes(taxi) == []


@pytest.mark.parametrize("content", [b"x", Traffic().content])
def test_traffic_that_was_changed_by_hand(taxi: ServedModel, content: bytes) -> None:
    start(taxi)
    Path(taxi.locate(TRAFFIC)).write_bytes(content)
    assert "UNFINISHED" in codes(taxi)
    repair_rollout(taxi)

    assert codes(taxi) == []


def test_a_rollback_during_a_rollout(taxi: ServedModel) -> None:
    start(taxi)
    roll_back(taxi, BOB)

    assert codes(taxi) == ["ROLLOUT"]
    course.abort(taxi, BOB)
    assert codes(taxi) == []
