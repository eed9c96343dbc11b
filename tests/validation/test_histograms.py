"""The histograms are those of TFDV's own functions, bit for bit."""

import importlib.util

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiffin.validation.histograms import generate_equi_width, weigh_bins
from tiffin.validation.tfdv import tfdv


@pytest.fixture(scope="module")
def original():
    """TFDV's module without our functions."""
    assert tfdv
    spec = importlib.util.find_spec("tensorflow_data_validation.utils.quantiles_util")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VALUES = st.floats(allow_nan=False, width=32) | st.integers(-3, 3).map(float) | st.floats(-1e308, 1e308)


def quantiles_of(values, count):
    """Return `count` quantiles of the values, and the number of values up to each."""
    ordered = np.sort(np.array(values, np.float64))
    places = np.linspace(0, len(ordered) - 1, count).round().astype(int)
    return ordered[places], np.searchsorted(ordered, ordered[places], side="right").astype(np.float64)


def test_equal_values_by_hand():
    """Ten values 0 and two values 1: three equal bins share the zeros."""
    low, high, weights = weigh_bins(np.array([0.0, 0, 0, 0, 1]), np.array([10.0, 10, 10, 10, 12]))

    assert low.tolist() == [0, 0, 0, 0]
    assert high.tolist() == [0, 0, 0, 1]
    assert weights.tolist() == pytest.approx([10 / 3, 10 / 3, 10 / 3, 2])


@example(values=[0.0], count=2)
@example(values=[-np.inf, 1.0, np.inf], count=3)
@example(values=[np.inf], count=4)
@example(values=[0.0, 0.0, 0.0, 1.0], count=33)
@example(values=[-1e308, 1e308], count=5)
@given(values=st.lists(VALUES, min_size=1, max_size=60), count=st.integers(2, 40))
def test_any_values(original, values, count):
    quantiles, cumulative = quantiles_of(values, count)
    finite = [value for value in values if np.isfinite(value)]
    limits = min(finite, default=np.inf), max(finite, default=-np.inf)
    infinite = sum(value == np.inf for value in values)
    with np.errstate(all="ignore"):
        try:
            expected = original.generate_equi_width_histogram(quantiles, cumulative, *limits, 10, infinite)
        except (ValueError, IndexError, ZeroDivisionError):
            return
        bins = original._get_bin_weights(quantiles, cumulative)
        found = generate_equi_width(original._strip_infinities, quantiles, cumulative, *limits, 10, infinite)

    assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
    for ours, theirs in zip(weigh_bins(quantiles, cumulative), bins, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_thousands_of_quantiles(original):
    values = np.concatenate([np.random.default_rng(1).lognormal(size=5000), np.zeros(3000)])
    quantiles, cumulative = quantiles_of(values, 3201)
    limits = float(values.min()), float(values.max()), 10, 0

    found = generate_equi_width(original._strip_infinities, quantiles, cumulative, *limits)
    assert found == original.generate_equi_width_histogram(quantiles, cumulative, *limits)
    assert len(found.buckets) == 10
