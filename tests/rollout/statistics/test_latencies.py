"""The test of latencies."""

import json

import numpy as np
import pytest

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.rollout.statistics.histograms import Histogram
from tiffin.rollout.statistics.latencies import LatencyEvidence, Limit, find_limit, look
from tiffin.rollout.statistics.shares import Evidence, Tally

BOUNDS = (10.0, 20.0, 40.0, 80.0)


def start(quantile: float = 0.99) -> LatencyEvidence:
    return LatencyEvidence(quantile, Evidence())


def counted(*counts: int) -> Histogram:
    return Histogram(BOUNDS, counts)


def test_empty() -> None:
    found = look(start(), Histogram(), Histogram())

    assert (found.slow.e_value, found.limit) == (pytest.approx(1), None)
    assert look(start(), counted(0, 0, 0, 0, 0), counted(0, 0, 0, 0, 0)).limit is None


def test_the_limit_is_near_the_quantile() -> None:
    stable = counted(300, 600, 90, 9, 1)

    assert find_limit(stable, 0.99, 1.0) == Limit(40, 40)
    assert find_limit(stable, 0.5, 1.0) == Limit(10, 10)
    assert find_limit(stable, 0.99, 1.5) == Limit(40, 80)
    assert Limit(40, 80).ratio == 2
    # No bound is three times as high as 40: the next bound with one is 20.
    assert find_limit(stable, 0.99, 3.0) == Limit(20, 80)
    assert find_limit(stable, 0.99, 9.0) is None
    assert find_limit(counted(30, 60, 9, 0, 0), 0.99, 1.0) is None
    assert find_limit(counted(1000, 0, 0, 0, 0), 0.99, 1.0) is None


def test_slow_requests_after_the_first_look_are_compared() -> None:
    first = look(start(), counted(500, 490, 5, 5, 0), counted(20, 20, 0, 0, 10))
    second = look(first, counted(1000, 980, 10, 10, 0), counted(40, 40, 1, 1, 18))

    assert first.slow == Evidence()
    assert second.limit == Limit(20, 20)
    assert (second.slow.stable, second.slow.candidate) == (Tally(1000, 10), Tally(50, 10))
    assert second.slow.is_worse


def test_a_look_without_requests_of_one_version_is_made_up_for_by_the_next() -> None:
    first = look(start(), counted(500, 490, 5, 5, 0), counted(1, 0, 0, 0, 0))
    without = look(first, counted(900, 490, 5, 5, 0), counted(1, 0, 0, 0, 0))
    both = counted(1000, 980, 10, 10, 0), counted(30, 9, 9, 0, 0)

    assert without == first
    assert look(without, *both) == look(first, *both)


def test_a_ratio_allows_more() -> None:
    first = look(start(), counted(500, 490, 5, 5, 0), counted(0, 0, 0, 0, 0))
    later = counted(5000, 4900, 50, 50, 0), counted(100, 100, 20, 2, 0)

    assert look(first, *later).slow.is_worse
    assert not look(first, *later, max_ratio=2).slow.is_worse


def test_a_process_that_was_killed_goes_on() -> None:
    for evidence in (
        start(),
        look(
            look(start(), counted(500, 490, 5, 5, 0), counted(1, 0, 0, 0, 0)),
            counted(900, 490, 5, 5, 0),
            counted(9, 0, 0, 0, 0),
        ),
    ):
        text = json.dumps(documents.to_json(evidence), allow_nan=False)

        assert documents.parse(text, LatencyEvidence, "rollout.json") == evidence


def test_the_same_latencies_are_seldom_slower() -> None:
    """100 rollouts: 5 % would be 5; 11 or more would come about by 1 %."""
    chance = np.random.default_rng(3)
    worse = 0
    for _ in range(100):
        evidence, stable, candidate = start(), np.zeros(5, int), np.zeros(5, int)
        for _ in range(20):
            stable, candidate = (
                side + chance.multinomial(100, [0.5, 0.3, 0.17, 0.02, 0.01]) for side in (stable, candidate)
            )
            evidence = look(evidence, counted(*stable.tolist()), counted(*candidate.tolist()))
        worse += evidence.slow.is_worse

    assert worse <= 10


@pytest.mark.parametrize("ratio", [0.9, 0.0, float("nan")])
def test_a_ratio_below_1(ratio: float) -> None:
    with pytest.raises(InputError, match=f"max_ratio.*{ratio}"):
        look(start(), Histogram(), Histogram(), max_ratio=ratio)


def test_counts_that_are_not_possible() -> None:
    first = look(start(), counted(500, 490, 5, 5, 0), counted(1, 0, 0, 0, 0))

    with pytest.raises(InputError, match=r"\(400, 490"):
        look(first, counted(400, 490, 5, 5, 0), counted(1, 0, 0, 0, 0))
    with pytest.raises(InputError, match=r"\(1\.0,\)"):
        look(first, counted(600, 490, 5, 5, 0), Histogram((1.0,), (1, 1)))
