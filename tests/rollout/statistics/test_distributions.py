"""The comparison of distributions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.rollout.statistics.distributions import compare, radius
from tiffin.rollout.statistics.histograms import Histogram, count, merge

BINS = (0.25, 0.5, 0.75)


def test_empty() -> None:
    for stable, candidate in ((Histogram(), Histogram()), (Histogram(BINS, (1, 2, 3, 4)), Histogram())):
        found = compare(stable, candidate)

        assert (found.distance, found.at_least, found.at, found.is_significant) == (0, 0, None, False)
        assert found.log_e_value == -math.inf
    assert compare(Histogram((), (5,)), Histogram((), (9,))).distance == 0


def test_by_hand() -> None:
    found = compare(Histogram(BINS, (1000, 1000, 1000, 1000)), Histogram(BINS, (0, 1000, 1000, 2000)), level=0.1)

    assert (found.distance, found.at) == (0.25, 0.25)
    assert found.at_least == pytest.approx(0.25 - 2 * radius(4000, 0.05))
    assert found.is_significant
    assert found.log_e_value == pytest.approx(math.log(10))
    assert not compare(
        Histogram(BINS, (1000, 1000, 1000, 1000)), Histogram(BINS, (0, 1000, 1000, 2000)), tolerance=0.2
    ).is_significant


def test_the_radius() -> None:
    # Of Howard and Ramdas' formula.
    assert radius(10_000, 0.05) == pytest.approx(
        0.85 * math.sqrt((math.log(math.log(math.e * 1e4)) + 0.8 * math.log(1612 / 0.05)) / 1e4)
    )
    assert radius(1, 0.05) == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_distance_is_symmetric_and_parts_add_up(ours: list[float], theirs: list[float]) -> None:
    stable, candidate = count(np.array(ours), BINS), count(np.array(theirs), BINS)
    parts = merge([count(np.array(ours[:1]), BINS), count(np.array(ours[1:]), BINS)])

    assert parts == stable
    assert compare(stable, candidate).distance == compare(candidate, stable).distance
    assert 0 <= compare(stable, candidate).at_least <= compare(stable, candidate).distance <= 1


def test_the_same_distribution_is_never_found_different() -> None:
    chance = np.random.default_rng(4)
    found = 0
    for _ in range(100):
        sides = np.zeros((2, 4), int)
        for _ in range(30):
            sides += chance.multinomial(50, [0.25] * 4, size=2)
            found += compare(*(Histogram(BINS, tuple(side.tolist())) for side in sides), level=0.2).is_significant

    assert found == 0


def test_other_bins() -> None:
    with pytest.raises(InputError, match=r"\(0\.5,\)"):
        compare(Histogram(BINS, (1, 1, 1, 1)), Histogram((0.5,), (1, 1)))
