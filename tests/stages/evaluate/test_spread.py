"""Rows that are evenly spread over a split."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tiffin.stages.evaluate.spread import Spread


def test_no_rows():
    assert Spread(0, 10).choose(0).tolist() == []


def test_every_third_row_across_batches():
    spread = Spread(rows=7, most=3)

    assert [spread.choose(count).tolist() for count in (2, 0, 2, 3)] == [[0], [], [1], [2]]


@given(st.lists(st.integers(0, 20), max_size=10), st.integers(1, 30))
def test_batches_do_not_matter(counts, most):
    rows = sum(counts)
    spread, starts = Spread(rows, most), np.cumsum([0, *counts])
    chosen = [
        start + row for start, count in zip(starts, counts, strict=False) for row in spread.choose(count).tolist()
    ]

    assert chosen == Spread(rows, most).choose(rows).tolist()
    assert min(rows, 1) <= len(chosen) <= most
    assert rows > most or chosen == list(range(rows))
