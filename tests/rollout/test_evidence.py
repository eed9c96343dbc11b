import itertools
import json
import math
from dataclasses import replace

import pytest

from tiffin.artifacts import documents
from tiffin.gateway.stats import Side
from tiffin.rollout.evidence import Progress, begin, begin_step, look
from tiffin.rollout.plan import Limits
from tiffin.rollout.statistics.shares import Tally

LIMITS = Limits()
BOUNDS = (1.0, 2.0, 4.0, 8.0)


def side(requests: int, errors: int = 0, slow: int = 0) -> Side:
    """Return a side whose requests take 2 ms, and some 8 ms."""
    fast = requests - slow
    return Side(requests, errors, BOUNDS, (0, fast, fast, requests))


def test_without_a_look_nothing_is_known() -> None:
    progress = Progress()

    assert (progress.looks, progress.requests, progress.stable.tally) == (0, 0, Tally())
    assert not progress.decision.is_worse
    assert progress.decision.e_value == pytest.approx(1)


def test_the_first_look_at_a_gateway_counts_nothing() -> None:
    progress = look(Progress(), {"a": {"stable": side(500, 3), "candidate": side(50)}}, LIMITS)

    assert (progress.stable.tally, progress.candidate.tally, progress.looks) == (Tally(), Tally(), 1)


def test_looks_add_up_over_gateways() -> None:
    readings = [
        {"a": {}},
        {"a": {"stable": side(90, 1), "candidate": side(10)}, "b": {"stable": side(1000)}},
        {"a": {"stable": side(180, 1), "candidate": side(20, 2)}, "b": {"stable": side(1010), "candidate": side(5)}},
    ]
    progress = Progress()
    for reading in readings:
        progress = look(progress, reading, LIMITS)

    assert progress.stable.tally == Tally(190, 1)
    assert progress.candidate.tally == Tally(25, 2)
    assert progress.candidate.latency.total == 25
    assert (progress.looks, progress.restarts) == (3, 0)


@pytest.mark.parametrize("again", [side(4, 1), Side()])
def test_a_gateway_that_restarted_counts_from_zero(again: Side) -> None:
    progress = Progress()
    for reading in ({"a": {}}, {"a": {"candidate": side(10, 2)}}, {"a": {"candidate": again}}):
        progress = look(progress, reading, LIMITS)

    assert progress.candidate.tally == Tally(10 + again.requests, 2 + again.errors)
    assert progress.restarts == 1


def test_a_gateway_that_is_away_is_counted_when_it_is_back() -> None:
    progress = Progress()
    for reading in ({"a": {}}, {}, {"a": {"stable": side(10)}}):
        progress = look(progress, reading, LIMITS)

    assert progress.stable.tally == Tally(10)


def test_copies_count_as_requests_of_the_candidate() -> None:
    progress = Progress()
    for reading in ({"a": {}}, {"a": {"stable": side(10), "mirror": side(10, 4)}}):
        progress = look(progress, reading, LIMITS)

    assert (progress.stable.tally, progress.candidate.tally) == (Tally(10), Tally(10, 4))


def test_requests_of_a_step() -> None:
    progress = look(look(Progress(), {"a": {}}, LIMITS), {"a": {"candidate": side(10)}}, LIMITS)
    progress = begin_step(progress)
    assert progress.requests == 0

    assert look(progress, {"a": {"candidate": side(17)}}, LIMITS).requests == 7


def many(looks: int, errors: int = 0, slow: int = 0) -> Progress:
    """Return the progress after looks with 50 more requests of each side, of which the candidate's fail or are slow."""
    progress = look(Progress(), {"a": {}}, LIMITS)
    for number in range(1, looks + 1):
        candidate = side(50 * number, errors * number, slow * number)
        progress = look(progress, {"a": {"stable": side(50 * number, slow=2 * number), "candidate": candidate}}, LIMITS)
    return progress


def test_candidates_that_are_as_good_are_not_worse() -> None:
    assert not many(40).decision.is_worse


@pytest.mark.parametrize(("more", "leading"), [({"errors": 5}, "errors"), ({"slow": 40}, "latency")])
def test_candidates_that_are_worse(more: dict[str, int], leading: str) -> None:
    decision = many(20, **more).decision

    assert (decision.is_worse, decision.leading.partition("_")[0]) == (True, leading)


def test_another_process_can_go_on() -> None:
    half = many(6, errors=1)
    read = documents.parse(documents.format_document(half), Progress, "here")
    assert read == half

    reading = {"a": {"stable": side(350, slow=14), "candidate": side(350, 7)}}
    assert look(read, reading, LIMITS) == look(half, reading, LIMITS)
    assert all(map(json.dumps, documents.to_json(half).values()))


def test_the_order_of_gateways_does_not_matter() -> None:
    sides = {"a": side(10, 1), "b": side(20), "c": side(5, 5)}
    found = {
        look(look(Progress(), {name: {} for name in "abc"}, LIMITS), {name: {"stable": sides[name]} for name in order}, LIMITS)
        .stable.tally
        for order in itertools.permutations("abc")
    }  # fmt: skip

    assert found == {Tally(35, 6)}


def test_a_limit_of_answers_takes_its_part_of_the_level() -> None:
    """Together, the tests have 5 %; those without a limit have none of it."""
    assert begin(LIMITS) == Progress()
    for limits in (Limits(min_agreement=0.9), Limits(max_distance=0.1), Limits(min_agreement=0.9, max_distance=0.1)):
        progress = begin(limits)
        assert math.fsum(progress.levels.values()) == pytest.approx(0.05)
        assert progress.errors.level == progress.levels["errors"] < Progress().levels["errors"]
        assert not progress.decision.is_worse


@pytest.mark.parametrize("name", ["agreement", "predictions"])
def test_a_limit_of_answers_decides_alone(name: str) -> None:
    progress = replace(begin(Limits(min_agreement=0.9, max_distance=0.1)), answers=(name,))

    assert (progress.decision.is_worse, progress.decision.leading) == (True, name)
    assert documents.parse(documents.format_document(progress), Progress, "here") == progress
