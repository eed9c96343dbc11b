"""The test of two shares: exact by enumeration, and by simulation."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.rollout.statistics import shares
from tiffin.rollout.statistics.shares import Evidence, Tally, look


def plus(tally: Tally, requests: int, errors: int) -> Tally:
    return Tally(tally.requests + requests, tally.errors + errors)


def binomial(number: int, of: int, share: float) -> float:
    return math.comb(of, number) * share**number * (1 - share) ** (of - number)


def test_nothing_is_known_at_the_start() -> None:
    start = Evidence()

    assert (start.e_value, start.p_value, start.is_worse) == (pytest.approx(1), pytest.approx(1), False)
    assert look(start, Tally(), Tally()) == start
    assert look(start, Tally(100, 7), Tally()) == start
    assert look(start, Tally(), Tally(100, 100)) == start


def test_a_look_without_requests_of_one_version_is_made_up_for_by_the_next() -> None:
    first = look(Evidence(), Tally(40, 1), Tally(0, 0))

    assert look(first, Tally(90, 2), Tally(10, 3)) == look(Evidence(), Tally(90, 2), Tally(10, 3))


def test_no_errors_and_only_errors_say_nothing() -> None:
    assert look(Evidence(), Tally(950), Tally(50)).e_value == pytest.approx(1)
    assert look(Evidence(), Tally(950, 950), Tally(50, 50)).e_value == pytest.approx(1)


def test_the_expected_errors_are_those_of_the_urn() -> None:
    found = look(Evidence(), Tally(90, 4), Tally(10, 2))

    assert found.expected == pytest.approx(6 * 10 / 100)
    # Of R's dhyper: the variance of a hypergeometric distribution.
    assert found.variance == pytest.approx(6 * 0.1 * 0.9 * 94 / 99)
    assert (found.stable, found.candidate) == (Tally(90, 4), Tally(10, 2))


@pytest.mark.parametrize("tolerance", [0.0, 0.1])
@pytest.mark.parametrize("before", [Evidence(), look(Evidence(), Tally(30, 2), Tally(9, 2))])
@pytest.mark.parametrize(("stable", "candidate"), [(9, 1), (3, 3), (1, 6)])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_evidence_is_expected_to_stay_as_it_is(
    before: Evidence, stable: int, candidate: int, share: float, tolerance: float
) -> None:
    """All outcomes of a look, with their probabilities, for a candidate at the border of the null hypothesis."""
    of_candidate = 1 - (1 - share) * (1 - tolerance)
    expected = math.fsum(
        binomial(ours, stable, share)
        * binomial(theirs, candidate, of_candidate)
        * look(
            before,
            plus(before.stable, stable, ours),
            plus(before.candidate, candidate, theirs),
            tolerance=tolerance,
        ).e_value
        for ours, theirs in itertools.product(range(stable + 1), range(candidate + 1))
    )

    assert expected == pytest.approx(before.e_value, rel=1e-5)
    assert expected <= before.e_value * (1 + 1e-9)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 0.99), st.floats(0, 1), st.integers(1, 4), st.integers(1, 4), st.floats(0, 0.5))
def test_a_candidate_that_is_better_gains_nothing(
    share: float, part: float, stable: int, candidate: int, tolerance: float
) -> None:
    of_candidate = part * (1 - (1 - share) * (1 - tolerance))
    expected = math.fsum(
        binomial(ours, stable, share)
        * binomial(theirs, candidate, of_candidate)
        * look(Evidence(), Tally(stable, ours), Tally(candidate, theirs), tolerance=tolerance).e_value
        for ours, theirs in itertools.product(range(stable + 1), range(candidate + 1))
    )

    assert expected <= 1 + 1e-9


LOOKS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1)), max_size=8)


@settings(deadline=None, max_examples=50)
@given(LOOKS, st.integers(1, 50), st.integers(1, 50), st.data())
def test_more_errors_of_the_candidate_are_more_evidence(
    looks: list[tuple[int, int, float, float]], ours: int, theirs: int, data: st.DataObject
) -> None:
    evidence, stable, candidate = Evidence(), Tally(), Tally()
    for more_ours, more_theirs, bad, worse in looks:
        stable = plus(stable, more_ours, int(bad * more_ours))
        candidate = plus(candidate, more_theirs, int(worse * more_theirs))
        evidence = look(evidence, stable, candidate)
        assert math.isfinite(evidence.log_e_value)
        assert 0 < evidence.p_value <= 1
    of_ours, of_theirs = data.draw(st.integers(1, ours)), data.draw(st.integers(0, theirs - 1))
    less = look(evidence, plus(stable, ours, of_ours), plus(candidate, theirs, of_theirs))
    more = look(evidence, plus(stable, ours, of_ours - 1), plus(candidate, theirs, of_theirs + 1))

    assert less.log_e_value <= more.log_e_value + 1e-9


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.data())
def test_the_urn_is_the_hypergeometric_distribution(stable: int, candidate: int, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, stable + candidate))
    urn = shares._Urn(candidate, stable, errors)
    chances = np.exp(urn.logs)
    number = data.draw(st.integers(0, len(chances) - 1))
    exact = math.comb(candidate, urn.low + number) * math.comb(stable, errors - urn.low - number)

    assert chances[number] == pytest.approx(float(exact / math.comb(stable + candidate, errors)), rel=1e-6, abs=1e-300)
    assert chances @ urn.counts == pytest.approx(urn.mean, abs=1e-6)
    assert chances @ (urn.counts - urn.mean) ** 2 == pytest.approx(urn.variance, rel=1e-6, abs=1e-9)


def test_a_process_that_was_killed_goes_on() -> None:
    evidence = look(Evidence(level=0.03), Tally(950, 3), Tally(50, 2))
    read = documents.parse(json.dumps(documents.to_json(evidence), allow_nan=False), Evidence, "rollout.json")

    assert read == evidence
    assert look(read, Tally(1900, 7), Tally(100, 5)) == look(evidence, Tally(1900, 7), Tally(100, 5))


@pytest.mark.parametrize(("weight", "at_most"), [(0.05, 4), (0.5, 13)])
def test_a_candidate_that_always_fails_is_found_at_once(weight: float, at_most: int) -> None:
    chance = np.random.default_rng(1)
    evidence, stable, candidate = Evidence(level=0.04), Tally(), Tally()
    while not evidence.is_worse:
        requests = int(chance.binomial(10, weight))
        stable, candidate = plus(stable, 10 - requests, 0), plus(candidate, requests, requests)
        evidence = look(evidence, stable, candidate)

    assert candidate.requests <= at_most


@pytest.mark.parametrize("weight", [0.05, 0.5])
def test_errors_that_come_and_go_for_both_versions_are_no_evidence(weight: float) -> None:
    """100 rollouts, of which 5 % would be 5; 11 or more would come about by 1 %. Shares of errors and weights change."""
    chance = np.random.default_rng(2)
    aborted = 0
    for _ in range(100):
        evidence, stable, candidate = Evidence(), Tally(), Tally()
        for number in range(40):
            share = 0.3 if chance.random() < 0.2 else 0.01
            requests = int(chance.binomial(100, weight if number < 20 else 0.5))
            candidate = plus(candidate, requests, int(chance.binomial(requests, share)))
            stable = plus(stable, 100 - requests, int(chance.binomial(100 - requests, share)))
            evidence = look(evidence, stable, candidate)
            if evidence.is_worse:
                aborted += 1
                break

    assert aborted <= 10


def test_a_tolerance_allows_more_errors() -> None:
    counts = Tally(19_000, 190), Tally(1000, 40)

    assert look(Evidence(), *counts).is_worse
    assert not look(Evidence(), *counts, tolerance=0.03).is_worse
    assert look(Evidence(), *counts, tolerance=0.01).e_value < look(Evidence(), *counts, tolerance=0.005).e_value


def test_large_counts() -> None:
    same = look(Evidence(), Tally(10_000_000, 1_000_000), Tally(500_000, 50_000))
    worse = look(Evidence(), Tally(10_000_000, 1_000_000), Tally(500_000, 75_000))

    assert not same.is_worse
    assert worse.is_worse
    assert math.isfinite(worse.log_e_value)


@pytest.mark.parametrize(
    ("stable", "candidate"),
    [
        (Tally(9, 0), Tally(10, 0)),
        (Tally(10, 0), Tally(10, 11)),
        (Tally(20, 0), Tally(20, -1)),
        (Tally(12, 3), Tally(12, 0)),
    ],
)
def test_counts_that_are_not_possible(stable: Tally, candidate: Tally) -> None:
    evidence = look(Evidence(), Tally(10, 0), Tally(10, 0))

    with pytest.raises(InputError, match=r"Tally"):
        look(evidence, stable, candidate)


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_a_tolerance_that_is_no_share(tolerance: float) -> None:
    with pytest.raises(InputError, match=f"tolerance.*{tolerance}"):
        look(Evidence(), Tally(1), Tally(1), tolerance=tolerance)
