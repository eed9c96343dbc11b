"""Bins that two profiles share."""

import numpy as np
import pytest

from tiffin.drift.bins import find_known, share_numbers, share_texts
from tiffin.drift.profiles import count_numbers, find_edges, make_texts


def _numbers(values, edges=None, **about):
    values = np.asarray(values, np.float64)
    return count_numbers(values, find_edges(values) if edges is None else edges, **about)


class TestNumbers:
    def test_no_values(self):
        shared, fine = share_numbers(_numbers([]), _numbers([]))
        assert shared.names == ()
        assert fine.before.tolist() == [0]

    def test_ten_bins_of_equal_size(self):
        baseline = _numbers(np.arange(320), find_edges(np.arange(320))[:-1])
        shared, _ = share_numbers(baseline, baseline)
        assert len(shared.names) == 10
        assert shared.before.sum() == 320
        assert shared.before.min() >= 20
        assert shared.before.tolist() == shared.now.tolist()

    def test_missing_values_have_a_bin(self):
        shared, _ = share_numbers(_numbers([0, 1] * 50), _numbers([0, 1] * 50, (0.0, 1.0), missing=7))
        assert shared.names == ("<= 0", "0 to 1", "missing")
        assert shared.now.tolist() == [50, 50, 7]

    def test_booleans_have_names(self):
        baseline = _numbers([0, 1] * 50, logical="boolean")
        assert share_numbers(baseline, baseline)[0].names == ("false", "true")


class TestTexts:
    def test_no_values(self):
        assert share_texts(make_texts(0, 0, {}), make_texts(0, 0, {}))[0].names == ()

    def test_new_and_missing_values_have_bins(self):
        before, now = make_texts(100, 0, {"a": 60, "b": 40}), make_texts(100, 10, {"a": 60, "b": 10, "c": 20})
        shared, known = share_texts(before, now)
        assert dict(zip(shared.names, shared.now.tolist(), strict=True)) == {
            "a": 60,
            "b": 10,
            "new values": 20,
            "missing": 10,
        }
        assert (known.least, known.new, known.new_before) == (1, 20, 0)

    def test_rows_with_single_values_are_as_many_as_new_ones(self):
        """If 30 of 100 rows have a value of their own, 30 of another 100 are expected to have a new one."""
        before = make_texts(100, 0, {"a": 70} | {f"id {number}": 1 for number in range(30)})
        shared, known = share_texts(before, make_texts(100, 0, {"a": 70} | {f"no {number}": 1 for number in range(30)}))
        assert known.new_before == known.new == 30
        assert shared.names == ("a", "new values")
        assert shared.before.tolist() == shared.now.tolist() == [70, 30]

    def test_rows_that_repeat_those_of_the_baseline_are_no_change(self):
        """As in data that grows: each row of the baseline has a value of its own, and 60 of 100 rows have one of them."""
        before = make_texts(60, 0, {f"v{place}": 1 for place in range(60)})
        now = make_texts(100, 0, {f"v{place}": 1 for place in range(100)})
        shared, known = share_texts(before, now)
        assert (known.new_before, known.new, known.not_fewer) == (60, 40, 24)
        assert dict(zip(shared.names, zip(shared.before / 60, shared.now / 100, strict=True), strict=True)) == {
            "other values": (0.6, 0.6), "new values": (0.4, 0.4),
        }  # fmt: skip

    def test_of_unlisted_values_only_frequent_ones_are_known(self):
        before = make_texts(1000, 0, {"a": 600, "b": 100} | {f"v{n}": 3 for n in range(100)}, most=50)
        known = find_known(before, make_texts(10, 0, {"a": 6, "v0": 1, "v99": 3}))
        assert known.values == {"a", "b"}
        assert (known.least, known.new_before, known.new) == (4, 300, 4)


@pytest.mark.parametrize("size", [300, 30_000])
def test_long_tails_are_not_new(size):
    """The share of new values of a long tail is the expected one, whatever the number of rows."""
    rng = np.random.default_rng(4)
    weights = 1 / np.arange(1, 5001) ** 1.1

    def draw(rows):
        values, counts = np.unique(rng.choice(5000, rows, p=weights / weights.sum()).astype(str), return_counts=True)
        return make_texts(rows, 0, dict(zip(values.tolist(), counts.tolist(), strict=True)))

    found = [find_known(draw(5000), draw(size)) for _ in range(20)]
    apart = [one.new / size - one.new_before / 5000 for one in found]
    assert abs(np.mean(apart)) < 0.01
