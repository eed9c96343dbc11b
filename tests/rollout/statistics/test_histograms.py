"""Counts in bins: readings, differences, sums and quantiles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.rollout.statistics.histograms import (
    Histogram,
    count,
    difference,
    from_cumulative,
    has_restarted,
    merge,
    quantile,
)

BOUNDS = (1.0, 2.0, 4.0)


def test_empty() -> None:
    assert Histogram().total == 0
    assert quantile(Histogram(), 0.5) is None
    assert quantile(Histogram(BOUNDS, (0, 0, 0, 0)), 0.5) is None
    assert merge([]) == merge([Histogram(), Histogram()]) == Histogram()
    assert difference({}, {}) == Histogram()
    assert count(np.array([]), BOUNDS) == Histogram(BOUNDS, (0, 0, 0, 0))


def test_buckets_of_prometheus() -> None:
    found = from_cumulative([1.0, 2.0, 4.0, math.inf], [3, 3, 10, 12])

    assert found == Histogram(BOUNDS, (3, 0, 7, 2))
    assert (found.total, found.above(0), found.above(2)) == (12, 9, 2)


@pytest.mark.parametrize(
    ("bounds", "totals"), [([], []), ([1.0], [1]), ([1.0, math.inf], [1]), ([1.0, math.inf], [2, 1])]
)
def test_buckets_that_are_not_cumulative(bounds: list[float], totals: list[int]) -> None:
    with pytest.raises(InputError, match="Received"):
        from_cumulative(bounds, totals)


def test_a_value_at_a_bound_is_below_it() -> None:
    values = np.array([-math.inf, 0.5, 1.0, 1.1, 4.0, 5.0, math.inf, math.nan])

    assert count(values, BOUNDS) == Histogram(BOUNDS, (3, 1, 1, 2))


def test_quantiles_are_interpolated() -> None:
    found = Histogram(BOUNDS, (10, 20, 60, 10))

    assert quantile(found, 0.05) == pytest.approx(0.5)
    assert quantile(found, 0.2) == pytest.approx(1.5)
    assert quantile(found, 0.6) == pytest.approx(3)
    assert quantile(found, 0.99) == 4
    assert quantile(found, 0) == 0


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_in_the_bin_of_the_exact_one(values: list[float], share: float) -> None:
    bounds = tuple(float(number) for number in range(1, 101))
    found = quantile(count(np.array(values), bounds), share)
    exact = np.quantile(values, share, method="inverted_cdf")

    assert found is not None
    assert abs(found - exact) <= 1


def test_two_readings_of_servers() -> None:
    before = {
        "a": Histogram(BOUNDS, (1, 2, 3, 4)),
        "b": Histogram(BOUNDS, (9, 9, 9, 9)),
        "c": Histogram(BOUNDS, (1, 0, 0, 0)),
    }
    now = {
        "a": Histogram(BOUNDS, (2, 2, 3, 9)),
        "b": Histogram(BOUNDS, (1, 0, 0, 2)),
        "d": Histogram(BOUNDS, (7, 7, 7, 7)),
    }

    assert not has_restarted(before["a"], now["a"])
    assert has_restarted(before["b"], now["b"])
    # 1 and 5 of a, all of b, which restarted; nothing of d, which may have counted for long.
    assert difference(before, now) == Histogram(BOUNDS, (2, 0, 0, 7))


def test_a_server_with_other_bins_restarted() -> None:
    now = Histogram((1.0,), (3, 4))

    assert difference({"a": Histogram(BOUNDS, (1, 1, 1, 1))}, {"a": now}) == now


COUNTS = st.lists(st.integers(0, 10**9), min_size=4, max_size=4).map(tuple)


@given(COUNTS, COUNTS, COUNTS)
def test_differences_add_up(start: tuple[int, ...], more: tuple[int, ...], last: tuple[int, ...]) -> None:
    first, second, third = (Histogram(BOUNDS, start), *(Histogram(BOUNDS, one) for one in (more, last)))
    readings = first, merge([first, second]), merge([first, second, third])

    assert difference({"a": readings[0]}, {"a": readings[1]}) == second
    assert difference({"a": readings[0]}, {"a": readings[2]}) == merge([second, third])


def test_other_bounds_do_not_add_up() -> None:
    with pytest.raises(InputError, match=r"\(1\.0,\).*\(2\.0,\)"):
        merge([Histogram((1.0,), (1, 0)), Histogram((2.0,), (1, 0))])


@pytest.mark.parametrize(
    ("bounds", "counts"), [((1.0,), (1,)), ((1.0, 1.0), (0, 0, 0)), ((math.nan,), (0, 0)), ((1.0,), (-1, 0))]
)
def test_no_histogram(bounds: tuple[float, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="Received"):
        Histogram(bounds, counts)
