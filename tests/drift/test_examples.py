"""Profiles of examples, counted from rows: exact, whatever the shards and batches are."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.drift import examples as counting
from tiffin.drift.comparison import Sides, compare
from tiffin.drift.examples import count_examples, count_split, profile_examples
from tiffin.drift.profiles import Texts, count_numbers, find_edges
from tiffin.drift.statistics import read_profiles
from tiffin.errors import InputError

_SIDES = Sides("the other examples", "these")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes examples with a split train, of one table or of several shards."""
    numbers = iter(range(1000))
    return lambda rows, **splits: write_examples(tmp_path / f"examples {next(numbers)}", {"train": rows, **splits})


def test_no_rows(write):
    folder = write(table(km=[], city=[]).cast(pa.schema([("km", pa.float64()), ("city", pa.string())])))
    found = profile_examples(folder, "train")
    assert list(found) == ["km", "city"]
    # Its limits are NaN, which equals nothing.
    assert (found["km"].rows, found["km"].edges, found["km"].counts) == (0, (), (0.0,))
    assert found["city"] == Texts(0, 0)
    assert count_examples(folder, "train", found)["km"].rows == 0
    assert not compare(found, found, _SIDES).drifted


def test_no_value(write):
    folder = write(
        table(km=[None, None], city=["a", None]).cast(pa.schema([("km", pa.float64()), ("city", pa.string())]))
    )
    found = profile_examples(folder, "train")
    assert (found["km"].missing, found["km"].edges, found["city"].missing) == (2, (), 1)


def test_by_hand(write):
    before = write(table(km=[1, 2, 2, 4], city=["Oslo", "Oslo", "Rome", None]))
    found = profile_examples(before, "train")
    assert (found["km"].edges, found["km"].counts) == ((1.0, 2.0, 4.0), (1, 2, 1, 0))
    assert found["city"] == Texts(4, 1, {"Oslo": 2, "Rome": 1})
    now = write(table(km=[None, 0, 3, 9], city=["Bonn", "Rome", "Rome", ""]))
    counted = count_examples(now, "train", found)
    assert (counted["km"].counts, counted["km"].missing) == ((1, 0, 1, 1), 1)
    assert counted["city"] == Texts(4, 0, {"Rome": 2, "": 1, "Bonn": 1}, 0, True, True)


def test_a_column_that_one_side_lacks(write):
    before, now = write(table(km=[1, 2] * 50, old=[1, 2] * 50)), write(table(km=[1, 2] * 50, new=["a"] * 100))
    baseline = profile_examples(before, "train")
    found = compare(baseline, count_examples(now, "train", baseline), _SIDES)
    assert [(one.column, one.kind, one.rows_before, one.rows) for one in found.columns] == [
        ("old", "absent", 100, 0), ("new", "absent", 0, 100), ("km", "numbers", 100, 100),
    ]  # fmt: skip


def test_another_type(write):
    before, now = write(table(km=[1, 2] * 50)), write(table(km=["1", "2"] * 50))
    for one, other in ((before, now), (now, before)):
        baseline = profile_examples(one, "train")
        [found] = compare(baseline, count_examples(other, "train", baseline), _SIDES).columns
        assert (found.kind, found.drifted) == ("absent", True)


def test_what_integers_stand_for(write):
    def written(rows):
        folder = write(rows)
        logical = {"day": "date", "paid": "boolean"}
        manifest = read_manifest(folder)
        columns = tuple(replace(column, logical=logical.get(column.name)) for column in manifest.columns)
        documents.write(folder / MANIFEST, replace(manifest, columns=columns))
        return folder

    before = written(table(day=[0, 86_400] * 100, paid=[0, 1] * 100))
    now = written(table(day=[864_000, 950_400] * 100, paid=[1, 1] * 100))
    baseline = profile_examples(before, "train")
    assert [one.logical for one in baseline.values()] == ["date", "boolean"]
    found = compare(baseline, count_examples(now, "train", baseline), _SIDES)
    assert [(one.column, one.drifted) for one in found.columns] == [("paid", True), ("day", False)]
    assert [one.name for one in found.columns[0].bins] == ["false", "true"]
    assert [note.code for note in found.notes] == ["DATES_NOT_JUDGED"]


def test_rows_and_their_statistics_agree(write):
    """An empty text is a text, and NaN is missing, as in TFDV's statistics."""
    from tiffin.validation.statistics import compute

    rows = table(km=[1.5, 2.5, float("nan"), None] * 50, city=["Oslo", "", None, "Rome"] * 50, late=[0, 1, 1, 1] * 50)
    folder = write(rows)
    baseline = read_profiles(compute(folder).datasets[0])
    now = count_examples(folder, "train", baseline)
    for name, one in now.items():
        assert (one.rows, one.missing) == (200, baseline[name].missing), name
    assert now["city"].counts == baseline["city"].counts == {"": 50, "Oslo": 50, "Rome": 50}
    assert now["late"].counts == pytest.approx(baseline["late"].counts)
    assert not compare(baseline, now, _SIDES).drifted


def test_shards_and_batches_do_not_matter(write, monkeypatch):
    rng = np.random.default_rng(3)
    rows = table(km=rng.normal(size=9000).tolist(), city=rng.choice(["a", "b", "c"], 9000).tolist())
    monkeypatch.setattr(counting, "_SAMPLED_ROWS", 2000)
    whole = profile_examples(write(rows), "train")
    monkeypatch.setattr(counting, "_BATCH_ROWS", 1024)
    shards = write([rows.slice(0, 100), rows.slice(100, 5000), rows.slice(5100)])
    assert profile_examples(shards, "train") == whole
    assert count_examples(shards, "train", whole) == count_examples(write(rows), "train", whole)


def test_counts_are_exact_in_the_bins_of_a_sample(write, monkeypatch):
    values = np.random.default_rng(4).lognormal(size=20_000)
    monkeypatch.setattr(counting, "_SAMPLED_ROWS", 1500)
    found = profile_examples(write(table(km=values.tolist())), "train")["km"]
    assert len(found.edges) == 32
    assert found.counts == count_numbers(values, found.edges).counts
    # About as many rows in each, but for the last one, which few rows are above.
    assert min(found.counts[:-1]) > 20_000 / 32 / 2
    assert (found.low, found.high) == (values.min(), values.max())


def test_few_rows_have_the_edges_of_all(write):
    values = np.random.default_rng(5).normal(size=5000)
    found = profile_examples(write(table(km=values.tolist())), "train")["km"]
    assert found.edges == find_edges(values)


def test_frequent_texts_among_very_many_are_counted_exactly(write, monkeypatch):
    rng = np.random.default_rng(6)
    words = [f"w{number}" for number in np.minimum(rng.zipf(1.3, 40_000), 10**9)]
    monkeypatch.setattr(counting, "_BATCH_ROWS", 4096)
    monkeypatch.setattr(counting, "_CANDIDATES", 2000)
    found = profile_examples(write(table(word=words)), "train")["word"]
    exact = Counter(words)
    assert len(exact) > 4000
    assert len(found.counts) == 1000
    assert found.counts == {value: exact[value] for value in found.counts}
    assert found.others == 40_000 - sum(found.counts.values())
    assert {value for value, _ in exact.most_common(100)} <= found.counts.keys()
    assert not found.listed_all


def test_an_unknown_split(write):
    folder = write(table(km=[1, 2]))
    for count in (profile_examples, count_split):
        with pytest.raises(InputError, match="split='eval'"):
            count(folder, "eval")


def test_distances_and_p_values_are_those_of_scipy(write):
    """Integers below 32 have a bin each, so that nothing is estimated."""
    rng = np.random.default_rng(7)
    before, now = rng.integers(0, 20, 600), rng.integers(0, 20, 400) + rng.integers(0, 2, 400)
    flags = [int(row % 3 == 0) for row in range(600)], [int(row % 2 == 0) for row in range(400)]
    one = write(table(km=before.tolist(), city=["a" if flag else None for flag in flags[0]]))
    other = write(table(km=now.tolist(), city=["a" if flag else None for flag in flags[1]]))
    baseline = profile_examples(one, "train")
    found = compare(baseline, count_examples(other, "train", baseline), _SIDES)
    columns = {column.column: {d.measure: d for d in column.distances} for column in found.columns}

    # Values above the last edge count as the last edge.
    expected = stats.wasserstein_distance(before, np.minimum(now, 19)) / before.std()
    assert columns["km"]["wasserstein"].value == pytest.approx(expected, rel=1e-5)
    bins = next(column for column in found.columns if column.column == "km").bins
    counts = np.array([[one.before * 600, one.now * 400] for one in bins])
    pearson = stats.chi2_contingency(counts, correction=False).pvalue
    index = columns["km"]["population_stability_index"]
    of_index = stats.chi2.sf(index.value / (1 / 600 + 1 / 400), len(bins) - 1)
    assert index.p_value == pytest.approx(max(pearson, of_index), rel=1e-4)
    tail = stats.hypergeom.cdf(200, 1000, 600, 400)
    assert columns["city"]["missing_share"].value == pytest.approx(2 / 3 - 1 / 2, rel=1e-5)
    assert columns["city"]["missing_share"].p_value == pytest.approx(2 * tail, rel=1e-4)


def _draw(rng, rows):
    """Draw rows: normal, heavy tails, counts, a rare flag, zeros with missing values, cities and streets."""
    tail = 1 / np.arange(1, 801) ** 1.1
    zeros = np.where(rng.random(rows) < 0.9, 0, rng.exponential(1, rows))
    missing = rng.random(rows) < 0.1
    return table(
        normal=rng.normal(size=rows).tolist(),
        heavy=rng.lognormal(0, 2, rows).tolist(),
        counts=rng.poisson(3, rows).tolist(),
        flag=(rng.random(rows) < 0.02).astype(int).tolist(),
        zeros=[None if gone else value for gone, value in zip(missing, zeros.tolist(), strict=True)],
        city=rng.choice(["Oslo", "Rome", "Bonn"], rows, p=[0.7, 0.2, 0.1]).tolist(),
        street=rng.choice(800, rows, p=tail / tail.sum()).astype(str).tolist(),
    )


@pytest.mark.parametrize("seed", range(50))
def test_the_parts_of_a_random_split_do_not_drift(write, seed):
    rng = np.random.default_rng(seed)
    rows = _draw(rng, 3000)
    is_first = rng.random(3000) < 0.6
    before, now = (write(rows.filter(pa.array(chosen))) for chosen in (is_first, ~is_first))
    baseline = profile_examples(before, "train")
    found = compare(baseline, count_examples(now, "train", baseline), _SIDES)
    assert [column.column for column in found.columns if column.drifted] == []


def test_p_values_of_equal_data_are_not_too_small(write):
    """At most a tenth of all p-values is below 0.05: they are bounds, and hold for several columns together."""
    below = total = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        before, now = write(_draw(rng, 800)), write(_draw(rng, 500))
        baseline = profile_examples(before, "train")
        for column in compare(baseline, count_examples(now, "train", baseline), _SIDES).columns:
            found = [one.p_value for one in column.distances if one.p_value is not None]
            below, total = below + sum(value < 0.05 for value in found), total + len(found)
    assert below / total < 0.1


def test_memory_does_not_grow_with_the_rows(write, monkeypatch):
    monkeypatch.setattr(counting, "_BATCH_ROWS", 2048)
    monkeypatch.setattr(counting, "_SAMPLED_ROWS", 2048)

    def peak(count):
        rng = np.random.default_rng(8)
        rows = table(km=rng.normal(size=count).tolist(), word=[f"word {number}" for number in range(count)])
        folder = write([rows.slice(start, 4096) for start in range(0, count, 4096)])
        tracemalloc.start()
        baseline = profile_examples(folder, "train")
        count_examples(folder, "train", baseline)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(8192)
    assert peak(131_072) < 1.5 * peak(32_768)
