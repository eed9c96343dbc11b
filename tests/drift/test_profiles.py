"""Profiles of numbers and texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.drift.profiles import Numbers, Texts, add, count_numbers, find_edges, make_texts, rebin

_NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=60)


class TestEdges:
    def test_no_values(self):
        assert find_edges(np.array([])) == ()
        assert find_edges(np.array([np.nan, np.inf])) == ()

    def test_quantiles_are_values(self):
        assert find_edges(np.arange(1, 9), bins=4) == (2.0, 4.0, 6.0, 8.0)

    def test_a_frequent_value_is_one_edge(self):
        assert find_edges(np.array([0, 0, 0, 0, 0, 0, 1, 2]), bins=4) == (0.0, 2.0)


class TestCountNumbers:
    def test_no_values(self):
        found = count_numbers(np.array([]), (1.0, 2.0), missing=3)
        assert (found.rows, found.missing, found.counts) == (3, 3, (0, 0, 0))

    def test_values_at_an_edge_are_below_it(self):
        found = count_numbers(np.array([0.5, 1.0, 1.5, 2.0, 2.5, np.nan, np.inf]), (1.0, 2.0), missing=1)
        assert found.counts == (2, 2, 2)
        assert (found.rows, found.missing, found.present) == (8, 2, 6)
        assert (found.low, found.high) == (0.5, np.inf)

    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    @pytest.mark.parametrize("edges", [0, 1, 31, 64, 65])
    def test_many_numbers_as_few(self, kind, edges):
        """Many numbers are compared with each edge, few ones find their bin: half of these numbers are edges."""
        rng = np.random.default_rng(edges)
        own = np.unique(rng.normal(size=edges).astype(kind))
        numbers = np.concatenate([rng.choice(own, 5000) if edges else [], rng.normal(size=5000), [np.inf, -np.inf]])
        numbers = numbers.astype(kind)
        parts = [count_numbers(part, tuple(own.tolist())).counts for part in np.array_split(numbers, 10)]
        assert count_numbers(numbers, tuple(own.tolist())).counts == tuple(map(sum, zip(*parts, strict=True)))


class TestTexts:
    def test_no_values(self):
        assert make_texts(2, 2, {}) == Texts(2, 2, {}, 0, True)

    def test_the_most_frequent_values_are_listed(self):
        found = make_texts(10, 1, {"b": 2, "a": 2, "c": 4, "d": 1}, most=3)
        assert list(found.counts.items()) == [("c", 4), ("a", 2), ("b", 2)]
        assert (found.others, found.listed_all) == (1, False)


class TestRebin:
    def test_no_values(self):
        assert rebin(count_numbers(np.array([]), (1.0,)), (5.0,)).tolist() == [0.0, 0.0]

    def test_values_are_spread_evenly_between_edges(self):
        numbers = Numbers(8, 0, (2.0, 4.0), (4, 4, 0), low=0.0, high=4.0)
        assert rebin(numbers, (1.0, 3.0)).tolist() == [2.0, 4.0, 2.0]

    def test_a_frequent_value_stays_whole(self):
        numbers = Numbers(10, 0, (0.0, 4.0), (6, 4, 0), low=0.0, high=4.0)
        assert rebin(numbers, (-1.0, 0.0)).tolist() == [0.0, 6.0, 4.0]

    def test_values_at_an_edge_are_not_spread(self):
        """Of the 10 values above 28 and up to 32, 8 are 32."""
        numbers = Numbers(20, 0, (28.0, 32.0), (10, 10, 0), low=28.0, high=32.0, at_edges=(10, 8, 0))
        assert rebin(numbers, (28.0, 30.0)).tolist() == [10.0, 1.0, 9.0]

    @given(_NUMBERS, _NUMBERS, _NUMBERS)
    def test_every_value_is_in_one_bin(self, values, own, others):
        numbers = count_numbers(np.array(values), find_edges(np.array(own)))
        found = rebin(numbers, find_edges(np.array(others)))
        assert found.sum() == pytest.approx(len(values))
        assert (found >= 0).all()


class TestAdd:
    def test_other_edges(self):
        with pytest.raises(ValueError, match="bins"):
            add(count_numbers(np.array([1]), (1.0,)), count_numbers(np.array([1]), (2.0,)))

    @given(_NUMBERS, _NUMBERS)
    def test_numbers_add_up(self, one, other):
        edges = (-10.0, 0.0, 10.0)
        found = add(count_numbers(np.array(one), edges), count_numbers(np.array(other), edges))
        expected = count_numbers(np.array([*one, *other]), edges)
        assert (found.counts, found.rows) == (expected.counts, expected.rows)
        np.testing.assert_equal((found.low, found.high), (expected.low, expected.high))

    def test_texts_add_up(self):
        found = add(make_texts(3, 0, {"a": 2, "b": 1}), make_texts(4, 1, {"b": 3}))
        assert found == Texts(7, 1, {"b": 4, "a": 2}, 0, True)
