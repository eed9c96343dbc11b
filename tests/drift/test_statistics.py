"""Profiles from TFDV's statistics."""

import numpy as np
import pytest

from support.written import table, write_examples
from tiffin.artifacts.statistics import find_split
from tiffin.drift.comparison import Sides, compare
from tiffin.drift.profiles import Texts
from tiffin.drift.rows import count_rows
from tiffin.drift.statistics import read_profiles
from tiffin.validation.statistics import compute


def _profiles(folder, **columns):
    rows = table(**columns)
    return read_profiles(find_split(compute(write_examples(folder, {"train": rows})), "train"))


def test_no_values(tmp_path):
    found = _profiles(tmp_path, km=[None, None], city=["", ""])
    assert found["km"].present == 0
    assert found["city"].rows == 2


def test_texts(tmp_path):
    found = _profiles(tmp_path, city=["Oslo"] * 3 + ["Rome"] + [None])
    assert found["city"] == Texts(5, 1, {"Oslo": 3, "Rome": 1}, 0, True)


def test_a_column_of_one_value(tmp_path):
    found = _profiles(tmp_path, km=[7.5] * 100)["km"]
    assert (found.edges, found.counts) == ((7.5,), (100.0, 0.0))


def test_frequent_values_have_bins_of_their_own(tmp_path):
    found = _profiles(tmp_path, paid=[0] * 70 + [1] * 30)["paid"]
    assert found.edges == (0.0, 1.0)
    assert found.counts == pytest.approx((70, 30, 0), abs=1)


@pytest.mark.filterwarnings("ignore:invalid value")  # of TFDV, about the deviation of infinities
def test_values_that_are_not_finite(tmp_path):
    values = [float("nan")] * 10 + [float("inf")] * 10 + [float("-inf")] * 10 + [float(n) for n in range(70)]
    found = _profiles(tmp_path, km=values)["km"]
    assert np.isfinite(found.edges).all()
    assert (found.rows, found.missing) == (100, 10)
    assert sum(found.counts) == pytest.approx(90)


def test_statistics_and_rows_of_the_same_data_are_close(tmp_path):
    """The baseline is from statistics; the rows are counted one by one in its bins."""
    rng = np.random.default_rng(3)
    rows = table(
        normal=rng.normal(size=20_000).tolist(),
        heavy=rng.lognormal(0, 2, 20_000).tolist(),
        counts=rng.poisson(4, 20_000).tolist(),
        city=rng.choice(["Oslo", "Rome", "Bonn"], 20_000).tolist(),
    )
    before = read_profiles(find_split(compute(write_examples(tmp_path, {"train": rows})), "train"))
    [batch] = rows.to_batches()
    found = compare(before, count_rows(batch, before), Sides("statistics", "rows"))
    assert not found.drifted
    for column in found.columns:
        for one in column.distances:
            assert one.value <= max(one.by_chance, 1e-3), (column.column, one.measure)


def test_two_statistics(tmp_path):
    rng = np.random.default_rng(4)

    def draw(name, shift):
        return _profiles(
            tmp_path / name, km=(rng.normal(size=5000) + shift).tolist(), stops=rng.poisson(3, 5000).tolist()
        )

    before = draw("before", 0.0)
    assert not compare(before, draw("same", 0.0), Sides("a", "b")).drifted
    found = compare(before, draw("shifted", 0.2), Sides("a", "b"))
    assert [(one.column, one.drifted) for one in found.columns] == [("km", True), ("stops", False)]
    [moved] = [one for one in found.columns[0].distances if one.measure == "wasserstein"]
    assert moved.value == pytest.approx(0.2, abs=0.05)
