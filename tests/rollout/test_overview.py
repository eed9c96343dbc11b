from pathlib import Path

import pytest

from support.serving_roots import ADA, BOB, make_saved_model, put
from tiffin.governance.overview import overview
from tiffin.governance.promotion import roll_back
from tiffin.rollout import course
from tiffin.rollout.overview import add_rollout, find_under_way
from tiffin.rollout.plan import Step
from tiffin.serving.root import ROLLOUT, ServedModel

STEPS = (Step(mirror=100.0), Step(weight=5.0))


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    """A model with the champions 1 and 2, and files of version 3."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    saved_model = make_saved_model(tmp_path)
    put(served, saved_model, 1, 2)
    served.publish(saved_model, 3)
    return served


def traffic(taxi: ServedModel) -> dict[str, float]:
    return overview(taxi).traffic


def test_a_model_without_a_rollout(taxi: ServedModel) -> None:
    assert find_under_way(taxi) is None
    assert traffic(taxi) == {"2": 100.0}


def test_a_rollout_step_by_step(taxi: ServedModel) -> None:
    rollout = course.start(taxi, 3, ADA, strategy="shadow_canary", steps=STEPS)
    found = find_under_way(taxi)
    assert found
    assert (found.version, found.stable, found.by, found.why) == (3, 2, ADA.who, ADA.why)
    assert (found.phase, found.step, found.steps, found.weight, found.mirror) == ("starting", 1, 2, 0, 0)

    course.begin(taxi, rollout.id)
    found = find_under_way(taxi)
    assert found
    assert (found.phase, found.step, found.weight, found.mirror) == ("running", 1, 0, 100)
    assert traffic(taxi) == {"2": 100.0}

    course.advance(taxi, rollout.id, 0)
    found = find_under_way(taxi)
    assert found
    assert (found.step, found.weight, found.mirror) == (2, 5, 0)
    assert traffic(taxi) == {"2": 95.0, "3": 5.0}

    course.abort(taxi, BOB)
    found = find_under_way(taxi)
    assert found
    assert (found.phase, found.outcome, found.weight) == ("ending", "aborted", 0)
    course.close(taxi, rollout.id)
    assert find_under_way(taxi) is None


def test_a_rollback_takes_all_requests(taxi: ServedModel) -> None:
    rollout = course.start(taxi, 3, ADA, strategy="canary", steps=STEPS[1:])
    course.begin(taxi, rollout.id)
    roll_back(taxi, BOB)

    assert traffic(taxi) == {"1": 100.0}


def test_a_file_that_cannot_be_read_is_a_finding(taxi: ServedModel) -> None:
    course.start(taxi, 3, ADA, strategy="canary", steps=STEPS[1:])
    Path(taxi.locate(ROLLOUT)).write_bytes(b"{}")
    found, rollout = add_rollout(taxi, overview(taxi))

    assert rollout is None
    assert [finding.code for finding in found.findings] == ["ROLLOUT"]
