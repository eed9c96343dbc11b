"""Distances between distributions of the same bins, with numbers that one can check by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.drift import distances

_COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


def _shares(*values):
    return np.array(values, np.float64)


class TestJensenShannon:
    def test_equal_shares_are_zero(self):
        assert distances.jensen_shannon(_shares(0.5, 0.5), _shares(0.5, 0.5)) == 0.0

    def test_nothing_in_common_is_one_bit(self):
        assert distances.jensen_shannon(_shares(1, 0), _shares(0, 1)) == 1.0

    def test_value_by_hand(self):
        # m = (3/8, 5/8)
        first = 0.5 * math.log2(4 / 3) + 0.5 * math.log2(4 / 5)
        second = 0.25 * math.log2(2 / 3) + 0.75 * math.log2(6 / 5)
        found = distances.jensen_shannon(_shares(0.5, 0.5), _shares(0.25, 0.75))
        assert found == pytest.approx((first + second) / 2)
        assert found == pytest.approx(0.0488, abs=5e-5)

    def test_it_is_tfdvs(self):
        # TFDV reports 0.0685405 for these values.
        found = distances.jensen_shannon(_shares(0.6, 0.4, 0), _shares(0.4, 0.5, 0.1))
        assert found == pytest.approx(0.0685405, abs=5e-8)

    @given(_COUNTS, st.randoms())
    def test_it_is_symmetric_and_between_0_and_1(self, counts, random):
        p = np.array(counts) / sum(counts)
        q = np.array(random.sample(counts, len(counts))) / sum(counts)
        assert 0 <= distances.jensen_shannon(p, q) <= 1
        assert distances.jensen_shannon(p, q) == pytest.approx(distances.jensen_shannon(q, p))


class TestPopulationStabilityIndex:
    def test_equal_counts_are_zero(self):
        assert distances.population_stability_index(_shares(3, 4), _shares(3, 4)) == 0.0

    def test_value_by_hand(self):
        # With half a row more in each bin: (1/2, 1/2) and (1/6, 5/6).
        expected = (1 / 6 - 1 / 2) * math.log(1 / 3) + (5 / 6 - 1 / 2) * math.log(5 / 3)
        assert distances.population_stability_index(_shares(1, 1), _shares(0, 2)) == pytest.approx(expected)

    def test_a_shift_of_normal_numbers(self):
        # Without bins, it is the square of the shift in deviations; ten bins lose a few percent of it.
        from scipy import stats

        edges = stats.norm.ppf(np.arange(0.1, 1, 0.1))
        cumulated = [np.concatenate([[0], stats.norm.cdf(edges, shift), [1]]) for shift in (0.0, 0.5)]
        before, now = (np.diff(one) * 1e9 for one in cumulated)
        assert distances.population_stability_index(before, now) == pytest.approx(0.25, rel=0.1)


class TestInfinity:
    def test_largest_difference(self):
        assert distances.infinity(_shares(0.6, 0.4, 0), _shares(0.4, 0.5, 0.1)) == pytest.approx(0.2)

    def test_no_bins(self):
        assert distances.infinity(_shares(), _shares()) == 0.0


class TestWasserstein:
    def test_one_edge_has_no_distance(self):
        found, deviation = distances.wasserstein(_shares(3), _shares(1, 0), _shares(0.5, 0.5))
        assert math.isnan(found)
        assert deviation == 0.0

    def test_value_by_hand(self):
        # Half of the values are 0 and half are 2, with a deviation of 1; then all are 2: they moved by 1 on average.
        found, deviation = distances.wasserstein(_shares(0, 1, 2), _shares(0.5, 0, 0.5, 0), _shares(0, 0, 1, 0))
        assert deviation == 1.0
        assert found == 1.0

    def test_values_above_the_last_edge_count_as_the_last_edge(self):
        found, _ = distances.wasserstein(_shares(0, 1, 2), _shares(0.5, 0, 0.5, 0), _shares(0, 0, 0, 1))
        assert found == 1.0

    @pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e12, 1e300])
    def test_it_does_not_depend_on_the_unit(self, scale):
        edges = _shares(0, 1, 2, 5) * scale
        found, _ = distances.wasserstein(edges, _shares(0.2, 0.3, 0.3, 0.2, 0), _shares(0.1, 0.2, 0.3, 0.4, 0))
        expected, _ = distances.wasserstein(
            _shares(0, 1, 2, 5), _shares(0.2, 0.3, 0.3, 0.2, 0), _shares(0.1, 0.2, 0.3, 0.4, 0)
        )
        assert found == pytest.approx(expected)
