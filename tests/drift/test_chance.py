"""What distances are by chance."""

import math

import numpy as np
import pytest
from scipy import stats

from tiffin.drift import chance, distances


def test_no_p_values_to_correct():
    assert chance.adjust(np.zeros(0)).tolist() == []


def test_correction_by_hand():
    # Each p-value times 4, divided by its rank, and at most that of the next rank.
    assert chance.adjust(np.array([0.01, 0.04, 0.03, 0.5])).tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


class TestOfBins:
    def test_one_bin_has_no_distance(self):
        assert chance.of_bins(0.0, chance.JENSEN_SHANNON, 1, 10, 10) == chance.Chance(0.0, 1.0, 0.0, 0.0)

    def test_mean_by_hand(self):
        # Two degrees of freedom times 1/100 + 1/400.
        found = chance.of_bins(0.01, chance.POPULATION_STABILITY_INDEX, 3, 100, 400)
        assert found.mean == pytest.approx(2 * 0.0125)
        # The tail of the chi-squared distribution with two degrees of freedom is exp(-x / 2).
        assert found.p_value == pytest.approx(math.exp(-0.01 / 0.0125 / 2))
        assert found.low == 0.0

    def test_interval_excludes_0_if_the_p_value_is_small(self):
        found = chance.of_bins(0.15, chance.POPULATION_STABILITY_INDEX, 3, 100, 400)
        assert found.p_value < 0.025
        assert 0 < found.low < 0.15 < found.high

    @pytest.mark.parametrize("freedom", [1, 9, 20])
    def test_both_ways_to_the_interval_agree(self, freedom, monkeypatch):
        series = [chance._noncentrality(9000.0, freedom, share) for share in (0.025, 0.975)]
        monkeypatch.setattr(chance, "_LONG_SERIES", 100)
        assert [chance._noncentrality(9000.0, freedom, share) for share in (0.025, 0.975)] == pytest.approx(
            series, rel=1e-3
        )


class TestOfShare:
    def test_equal_shares(self):
        found = chance.of_share(5, 50, 10, 100)
        assert found.p_value == 1.0
        assert found.low == 0.0

    def test_fisher_by_hand(self):
        # None of 3 rows, then 3 of 3: one of the 20 ways to draw 3 of 6; twice the tail.
        assert chance.fisher(0, 3, 3, 3) == pytest.approx(0.1)

    def test_newcombe_is_that_of_the_paper(self):
        # Newcombe (1998), table II, method 10: 56/70 and 48/80 give 0.0524 to 0.3339.
        assert chance.newcombe(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)

    def test_mean_by_hand(self):
        found = chance.of_share(50, 100, 50, 100)
        assert found.mean == pytest.approx(math.sqrt(2 / math.pi) * math.sqrt(0.25 * 0.02))


class TestOfWasserstein:
    def test_mean_of_two_values_by_hand(self):
        edges, half = np.array([0.0, 1.0]), np.array([0.5, 0.5, 0.0])
        found = chance.of_wasserstein(0.0, edges, 0.5, half, half, 100, 100)
        # Shares differ by sqrt(2 / pi) sqrt(1/4 * 2/100) on average; a difference of 1 is two deviations.
        assert found.mean == pytest.approx(2 * math.sqrt(2 / math.pi * 0.25 * 0.02))
        assert found.p_value == 1.0
        assert found.low == 0.0


@pytest.mark.parametrize("rows", [200, 2000])
def test_distances_of_equal_rows_are_those_of_chance(rows):
    """Draws from one distribution: the mean of each distance, and the share of small p-values."""
    rng = np.random.default_rng(8)
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    found = {"jensen_shannon": [], "population_stability_index": [], "infinity": [], "wasserstein": []}
    for _ in range(400):
        counts = [np.bincount(np.searchsorted(edges, rng.normal(size=size)), minlength=10) for size in (1000, rows)]
        p, q = counts[0] / 1000, counts[1] / rows
        js = distances.jensen_shannon(p, q)
        psi = distances.population_stability_index(*counts)
        w, deviation = distances.wasserstein(edges, p, q)
        found["jensen_shannon"].append((js, chance.of_bins(js, chance.JENSEN_SHANNON, 10, 1000, rows)))
        found["population_stability_index"].append(
            (psi, chance.of_bins(psi, chance.POPULATION_STABILITY_INDEX, 10, 1000, rows))
        )
        found["infinity"].append((distances.infinity(p, q), chance.of_largest(p, q, 1000, rows)))
        found["wasserstein"].append((w, chance.of_wasserstein(w, edges, deviation, p, q, 1000, rows)))
    for measure, drawn in found.items():
        value, by = np.mean([one for one, _ in drawn]), np.mean([one.mean for _, one in drawn])
        assert value == pytest.approx(by, rel=0.08), measure
        assert np.mean([one.p_value < 0.05 for _, one in drawn]) < 0.09, measure
        assert np.mean([one.low > 0 for _, one in drawn]) < 0.06, measure
