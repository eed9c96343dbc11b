import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from support.serving_roots import ADA, BOB, EVE, make_saved_model, put, wait
from tiffin.errors import Conflict, InputError
from tiffin.gateway.table import Served, Table, parse_table
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import read_traffic
from tiffin.governance.promotion import promoting, roll_back
from tiffin.rollout import course
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.rollout.plan import Limits, Step, make_steps
from tiffin.rollout.settling import is_settled, settle
from tiffin.serving.root import CANDIDATE, GATEWAY, ROLLOUT, TRAFFIC, ServedModel

STEPS = (Step(mirror=100.0), Step(weight=5.0), Step(weight=50.0))


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return make_saved_model(tmp_path)


@pytest.fixture
def taxi(tmp_path: Path, saved_model: Path) -> ServedModel:
    """A model with version 1 in production, and files of version 2."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    put(served, saved_model, 1)
    served.publish(saved_model, 2)
    return served


def begin(taxi: ServedModel, steps: tuple[Step, ...] = STEPS) -> Rollout:
    return course.start(taxi, 2, ADA, strategy="shadow_canary", steps=steps)


def table(taxi: ServedModel) -> Table:
    return parse_table(((Path(taxi.root) / GATEWAY).read_bytes(), ""), taxi.root)


def files(taxi: ServedModel) -> tuple[list[int], Traffic]:
    """Return the versions of the candidate servers, and the traffic, as the servers and the gateway read them."""
    merged = (Path(taxi.root) / CANDIDATE).read_bytes()
    assert table(taxi).models["taxi"].traffic == read_traffic(taxi)
    return taxi.versions_in((merged, "")), read_traffic(taxi)


def test_a_model_without_a_rollout(taxi: ServedModel) -> None:
    assert read_rollout(taxi) == (None, None)
    assert settle(taxi) is None
    for change in (course.pause, course.resume, course.promote, course.abort):
        with pytest.raises(InputError):
            change(taxi, BOB)
    assert taxi.read(TRAFFIC) is None


def test_a_rollout_from_start_to_promotion(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    assert (rollout.phase, rollout.version, rollout.stable, rollout.author) == ("starting", 2, 1, ADA)
    assert files(taxi) == ([2], Traffic())
    seen = []
    course.begin(taxi, rollout.id)
    for step in range(3):
        seen.append(files(taxi))
        course.advance(taxi, rollout.id, step)
    assert seen == [
        ([2], Traffic(2, mirror=100, stable=1)),
        ([2], Traffic(2, 5, stable=1)),
        ([2], Traffic(2, 50, stable=1)),
    ]
    promoting, _ = read_rollout(taxi)
    assert promoting
    assert promoting.phase == "promoting"
    # Requests stay divided until the stable servers have the version.
    assert files(taxi) == ([2], Traffic(2, 50, stable=1))

    course.stop(taxi, rollout.id, "promoted", "")
    assert files(taxi) == ([2], Traffic())
    closed = course.close(taxi, rollout.id)
    assert (closed.phase, closed.outcome, closed.is_over) == ("over", "promoted", True)
    assert files(taxi) == ([], Traffic())


def test_a_direct_rollout_is_promoted_at_once(taxi: ServedModel) -> None:
    rollout = course.start(taxi, 2, ADA, strategy="direct", steps=make_steps("direct"))

    assert course.begin(taxi, rollout.id).phase == "promoting"
    assert files(taxi) == ([2], Traffic(2, stable=1))


def test_pause_and_resume(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.begin(taxi, rollout.id)
    course.advance(taxi, rollout.id, 0)
    paused = course.pause(taxi, BOB)
    assert (paused.phase, paused.by, paused.reason) == ("paused", "bob", BOB.why)
    assert files(taxi) == ([2], Traffic(2, 5, stable=1))
    # The analysis does not go on meanwhile.
    assert course.advance(taxi, rollout.id, 1) == paused

    assert (course.resume(taxi, EVE).phase, course.resume) == ("running", course.resume)
    with pytest.raises(InputError):
        course.resume(taxi, EVE)


def test_a_rollback_takes_the_requests_from_the_candidate_at_once(taxi: ServedModel, saved_model: Path) -> None:
    """Also while nobody drives the rollout."""
    put(taxi, saved_model, 3)
    taxi.publish(saved_model, 4)
    rollout = course.start(taxi, 4, ADA, strategy="canary", steps=STEPS[1:])
    course.begin(taxi, rollout.id)
    assert table(taxi).models["taxi"] == Served(3, Traffic(4, 5, stable=3))

    roll_back(taxi, BOB)
    assert table(taxi).models["taxi"] == Served(1, Traffic())


def test_the_promotion_of_the_candidate_itself_keeps_its_requests(taxi: ServedModel, saved_model: Path) -> None:
    rollout = begin(taxi, STEPS[1:])
    course.begin(taxi, rollout.id)
    put(taxi, saved_model, 2)

    assert table(taxi).models["taxi"] == Served(2, Traffic(2, 5, stable=1))


@pytest.mark.parametrize("after", ["starting", "running", "paused"])
def test_abort(taxi: ServedModel, after: str) -> None:
    rollout = begin(taxi)
    if after != "starting":
        course.begin(taxi, rollout.id)
    if after == "paused":
        course.pause(taxi, BOB)
    ending = course.abort(taxi, BOB)
    assert (ending.phase, ending.outcome, ending.by) == ("ending", "aborted", "bob")
    assert files(taxi) == ([2], Traffic())

    course.close(taxi, rollout.id)
    assert files(taxi) == ([], Traffic())
    with pytest.raises(InputError):
        course.abort(taxi, BOB)


def test_a_promotion_cannot_be_aborted(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    course.begin(taxi, rollout.id)
    course.promote(taxi, BOB)

    with pytest.raises(InputError):
        course.abort(taxi, BOB)
    # What the analysis finds has no effect on an end either.
    course.stop(taxi, rollout.id, "promoted", "")
    assert course.stop(taxi, rollout.id, "aborted", "worse").outcome == "promoted"


def test_a_second_rollout_is_refused_while_one_is_under_way(taxi: ServedModel, saved_model: Path) -> None:
    rollout = begin(taxi)
    taxi.publish(saved_model, 3)
    with pytest.raises(Conflict, match="ada"):
        course.start(taxi, 3, BOB, strategy="canary", steps=make_steps("canary"))
    with pytest.raises(Conflict):
        begin(taxi)

    course.abort(taxi, BOB)
    course.close(taxi, rollout.id)
    assert course.start(taxi, 3, BOB, strategy="canary", steps=make_steps("canary")).version == 3
    # A process that still drives the first one changes nothing.
    with pytest.raises(InputError, match=rollout.id):
        course.advance(taxi, rollout.id, 0)


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_retry_goes_on_with_a_rollout_that_was_killed_while_it_was_promoted(
    taxi: ServedModel, is_confirmed: bool
) -> None:
    author = replace(ADA, run="r1")
    rollout = course.start(taxi, 2, author, strategy="direct", steps=())
    course.begin(taxi, rollout.id)
    with contextlib.suppress(KeyboardInterrupt), promoting(taxi, 2, author):
        found = course.start(taxi, 2, author, strategy="direct", steps=())
        if not is_confirmed:
            raise KeyboardInterrupt
    if is_confirmed:
        found = course.start(taxi, 2, author, strategy="direct", steps=())

    assert (found.id, found.phase) == (rollout.id, "promoting")


def test_a_retry_of_the_same_run_goes_on(taxi: ServedModel) -> None:
    author = replace(ADA, run="r1")
    rollout = course.start(taxi, 2, author, strategy="canary", steps=make_steps("canary"))
    course.begin(taxi, rollout.id)

    again = course.start(taxi, 2, author, strategy="canary", steps=make_steps("canary"))
    assert (again.id, again.phase) == (rollout.id, "running")


def test_versions_that_cannot_be_rolled_out(taxi: ServedModel, saved_model: Path, tmp_path: Path) -> None:
    wait(taxi, saved_model, 3, "required")
    empty = ServedModel(str(tmp_path / "other"), "taxi")
    empty.publish(saved_model, 1)
    for served, version in ((taxi, 9), (taxi, 1), (taxi, 3), (empty, 1)):
        with pytest.raises(InputError, match=str(version)):
            course.start(served, version, ADA, strategy="direct", steps=())
        assert served.read(ROLLOUT) is None
    with pytest.raises(InputError, match="max_latency_ratio"):
        course.start(taxi, 2, ADA, strategy="direct", steps=(), limits=Limits(max_latency_ratio=0))


@pytest.mark.parametrize("file", [CANDIDATE, TRAFFIC])
def test_what_a_killed_process_left_is_settled(taxi: ServedModel, file: str) -> None:
    rollout = begin(taxi)
    rollout = course.begin(taxi, rollout.id)
    Path(taxi.locate(file)).unlink()
    assert not is_settled(taxi, rollout)

    assert settle(taxi) == rollout
    assert is_settled(taxi, rollout)
    assert files(taxi) == ([2], Traffic(2, mirror=100, stable=1))


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_a_file_that_is_no_rollout(taxi: ServedModel, content: bytes) -> None:
    Path(taxi.locate(ROLLOUT)).write_bytes(content)

    with pytest.raises(InputError, match=ROLLOUT):
        read_rollout(taxi)


def test_equal_rollouts_give_equal_bytes(taxi: ServedModel) -> None:
    rollout = begin(taxi)
    found, state = read_rollout(taxi)

    assert found == rollout
    assert state
    assert rollout.content == state[0]
