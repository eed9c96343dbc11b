"""Mean and deviation of numbers in batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.quality.moments import Moments


def moments(*batches):
    found = Moments()
    for batch in batches:
        found.add(np.array(batch, float))
    return found


def test_of_nothing():
    assert (moments().count, moments([]).mean) == (0, 0.0)


def test_by_hand():
    found = moments([1, 2], [], [6])

    assert (found.count, found.mean) == (3, 3.0)
    assert found.deviation() == pytest.approx((14 / 3) ** 0.5)
    assert found.deviation(1) == pytest.approx(7**0.5)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), min_size=1, max_size=8), st.sampled_from([0, 1e9, -1e12]))
def test_are_those_of_all_numbers(batches, offset):
    batches = [[value + offset for value in batch] for batch in [*batches, [1.0, 2.0]]]
    whole = np.concatenate(batches)
    found = moments(*batches)

    assert found.mean == pytest.approx(whole.mean(), rel=1e-12)
    assert found.deviation(1) == pytest.approx(whole.std(ddof=1), rel=1e-6, abs=1e-3)


def test_numbers_beyond_float64_are_not_finite():
    found = moments([1e300, -1e300], [1e300])

    assert not np.isfinite(found.deviation())
