"""Fisher's exact test, compared with probabilities computed by hand and by enumeration."""

import itertools

import pytest

from tiffin.drift.significance import chance, fewest_for_half, most_by_chance


def enumerate_chance(marked, rows, others, other_rows):
    """Draw the other split in every possible way."""
    draws = list(itertools.combinations(range(rows + other_rows), other_rows))
    return sum(sum(row < marked + others for row in draw) >= others for draw in draws) / len(draws)


class TestChance:
    @pytest.mark.parametrize(
        ("marked", "rows", "others", "other_rows"),
        [(0, 6, 1, 3), (0, 6, 3, 3), (2, 6, 2, 4), (5, 6, 1, 3), (6, 6, 2, 3), (1, 1, 0, 1)],
    )
    def test_is_that_of_all_draws(self, marked, rows, others, other_rows):
        assert chance(marked, rows, others, other_rows) == pytest.approx(
            enumerate_chance(marked, rows, others, other_rows)
        )

    def test_of_rows_of_one_split_only(self):
        # 20 / 60 * 19 / 59 * 18 / 58
        assert chance(0, 40, 3, 20) == pytest.approx(20 * 19 * 18 / (60 * 59 * 58))

    def test_of_millions_of_rows(self):
        assert chance(20_000, 2_000_000, 10_500, 1_000_000) < 1e-4
        assert chance(20_000, 2_000_000, 10_000, 1_000_000) == pytest.approx(0.5, abs=0.01)


class TestMostByChance:
    @pytest.mark.parametrize(("rows", "other_rows", "most"), [(200, 100, 8), (20_000, 10_000, 8), (100, 100, 12)])
    def test_of_a_property_of_no_row(self, rows, other_rows, most):
        assert most_by_chance(0, rows, other_rows, 1e-4) == most
        assert chance(0, rows, most, other_rows) >= 1e-4 > chance(0, rows, most + 1, other_rows)

    def test_is_all_rows_of_a_small_split(self):
        assert most_by_chance(0, 20, 3, 1e-4) == 3

    def test_of_a_property_of_every_row(self):
        assert most_by_chance(50, 50, 10, 1e-4) == 10


def test_fewest_for_half():
    fewest = fewest_for_half(2000, 1000, 1e-4)

    assert chance(fewest - 1, 2000, 500, 1000) < 1e-4 <= chance(fewest, 2000, 500, 1000)
    assert fewest_for_half(10, 2, 1e-4) == 0
