"""Confidence sequences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.rollout.statistics.intervals import (
    LEAST_ROWS,
    Interval,
    Moments,
    asymptotic_interval,
    mean_interval,
    moments,
    share_interval,
)


def test_empty() -> None:
    assert share_interval(0, 0) == Interval(0, 1)
    assert mean_interval(Moments(), -1, 3) == Interval(-1, 3)
    assert asymptotic_interval(Moments()) is None
    assert (Moments().mean, Moments().variance) == (None, 0)


def test_by_hand() -> None:
    # Without any success, the uniform mixture is 1 / (n + 1): (1 - p) ** n = 0.05 / (n + 1).
    assert share_interval(0, 99) == Interval(0, pytest.approx(1 - (0.05 / 100) ** (1 / 99)))
    assert share_interval(99, 99).high == 1
    assert Interval(1, 2) - Interval(0.5, 4) == Interval(-3, 1.5)
    assert moments(np.array([1.0, 2.0, 3.0])) == Moments(3, 6, 14)
    assert moments(np.array([1.0, 2.0, 3.0])).variance == pytest.approx(2 / 3)


@given(st.integers(0, 2000), st.integers(0, 2000), st.floats(0.001, 0.5))
def test_a_share_is_within_its_interval(number: int, others: int, level: float) -> None:
    of = number + others
    found, mirrored = share_interval(number, of, level=level), share_interval(others, of, level=level)

    assert 0 <= found.low <= (number / of if of else 0.5) <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-6)
    assert share_interval(number, of, level=level / 2).low <= found.low + 1e-12


@given(st.lists(st.floats(-3, 5), min_size=1, max_size=60))
def test_a_mean_is_within_its_interval(values: list[float]) -> None:
    found = moments(np.array(values))
    interval = mean_interval(found, -3, 5)

    assert -3 <= interval.low <= found.total / found.rows + 1e-9
    assert found.total / found.rows - 1e-9 <= interval.high <= 5
    assert found + Moments() == found


def covered(chance: np.random.Generator, kind: str) -> bool:
    """Return whether all intervals of one run hold the true value."""
    looks = np.unique(np.geomspace(1 if kind != "asymptotic" else LEAST_ROWS, 3000, 15).astype(int))
    if kind == "share":
        sums = (chance.random(3000) < 0.1).cumsum()
        found = [share_interval(int(sums[n - 1]), int(n), level=0.1) for n in looks]
        return all(one.low <= 0.1 <= one.high for one in found)
    values = chance.beta(0.5, 4.5, 3000) if kind == "mean" else chance.exponential(0.1, 3000)
    sums, squares = values.cumsum(), (values**2).cumsum()
    parts = [Moments(int(n), float(sums[n - 1]), float(squares[n - 1])) for n in looks]
    ends = [
        mean_interval(one, 0, 1, level=0.1) if kind == "mean" else asymptotic_interval(one, level=0.1) for one in parts
    ]
    return all(one is not None and one.low <= 0.1 <= one.high for one in ends)


@pytest.mark.parametrize("kind", ["share", "mean", "asymptotic"])
def test_all_intervals_of_a_run_hold_the_true_value(kind: str) -> None:
    """150 runs at a level of 10 %: 15 would miss it at most; 23 or more would come about by 2 %."""
    chance = np.random.default_rng(5)
    missed = sum(not covered(chance, kind) for _ in range(150))

    assert missed <= 22


def test_the_widths() -> None:
    """An interval that is valid at all looks is about twice as wide as one for a single look."""
    share = share_interval(1000, 10_000)
    once = 2 * 1.96 * math.sqrt(0.09 / 10_000)
    values = moments(np.random.default_rng(6).beta(2, 2, 10_000))
    mean = mean_interval(values, 0, 1)

    assert once < share.high - share.low < 2.2 * once
    assert 1 < (mean.high - mean.low) / (2 * 1.96 * math.sqrt(values.variance / 10_000)) < 2.2
    ends = asymptotic_interval(values)
    assert ends is not None
    assert 1 < (ends.high - ends.low) / (2 * 1.96 * math.sqrt(values.variance / 10_000)) < 2.2
