"""Profiles of rows in the bins of a baseline."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.drift.profiles import Numbers, Texts, count_numbers, make_texts
from tiffin.drift.rows import add_profiles, count_rows

_BASELINE = {
    "km": Numbers(4, 0, (1.0, 2.0), (2, 2, 0), 0.0, 2.0),
    "city": make_texts(4, 0, {"Oslo": 3, "Rome": 1}),
    "when": Numbers(2, 0, (0.0, 86_400.0), (1, 1, 0), 0.0, 86_400.0, "date"),
}


def _batch(**columns):
    return pa.RecordBatch.from_arrays([pa.array(*column) for column in columns.values()], names=list(columns))


def test_no_rows():
    found = count_rows(_batch(km=([], pa.float32()), city=([], pa.string())), _BASELINE)
    assert found["km"].counts == (0, 0, 0)
    assert found["city"].rows == 0


def test_numbers_are_counted_in_the_bins_of_the_baseline():
    found = count_rows(_batch(km=([1.0, 1.5, 9.0, None, float("nan")], pa.float64())), _BASELINE)["km"]
    assert (found.counts, found.rows, found.missing) == ((1, 1, 1), 5, 2)


def test_empty_texts_are_missing():
    found = count_rows(_batch(city=(["Oslo", "", None, "Bonn"], pa.string())), _BASELINE)["city"]
    assert found == Texts(4, 2, {"Bonn": 1, "Oslo": 1}, 0, True, True)


def test_empty_texts_are_texts_in_examples():
    found = count_rows(_batch(city=(["Oslo", "", None, "Bonn"], pa.string())), _BASELINE, is_logged=False)["city"]
    assert found == Texts(4, 1, {"": 1, "Bonn": 1, "Oslo": 1}, 0, True, True)


def test_texts_are_no_dates_in_examples():
    assert isinstance(count_rows(_batch(when=(["1970-01-01"], pa.string())), _BASELINE, is_logged=False)["when"], Texts)


def test_dates_are_texts_in_the_log():
    texts = ["1970-01-01", "1970-01-02", "1970-01-03T00:00:00Z", "soon", "", None, "-0044-03-15", "NaT"]
    found = count_rows(_batch(when=(texts, pa.string())), _BASELINE)["when"]
    assert (found.counts, found.missing) == ((2, 1, 1), 4)


def test_booleans_are_numbers():
    baseline = {"paid": Numbers(2, 0, (0.0, 1.0), (1, 1, 0), 0.0, 1.0, "boolean")}
    assert count_rows(_batch(paid=([True, False, True], pa.bool_())), baseline)["paid"].counts == (1, 2, 0)


def test_lists_and_columns_that_the_baseline_lacks_have_no_profile():
    batch = _batch(km=([[1.0]], pa.list_(pa.float64())), other=([1], pa.int64()))
    assert count_rows(batch, _BASELINE) == {}


def test_columns_are_renamed():
    batch = _batch(**{"input.km": ([1.0], pa.float64()), "km": ([5.0], pa.float64())})
    assert count_rows(batch, _BASELINE, {"input.km": "km"})["km"].counts == (1, 0, 0)


def test_another_type_is_told_by_the_comparison():
    assert isinstance(count_rows(_batch(city=([1], pa.int64())), _BASELINE)["city"], Numbers)
    assert isinstance(count_rows(_batch(km=(["far"], pa.string())), _BASELINE)["km"], Texts)


def test_known_values_stay_listed_among_many_others():
    rare = {"city": make_texts(2, 0, {"Oslo": 1, "Rome": 1})}
    parts = [
        count_rows(_batch(city=(["Oslo", *(f"{part} {number}" for number in range(3000))] * 2, pa.string())), rare)
        for part in range(3)
    ]
    found = parts[0]
    for part in parts[1:]:
        found = add_profiles(found, part, rare)
    assert found["city"].counts["Oslo"] == 6
    assert len(found["city"].counts) == 1001
    assert (found["city"].rows, found["city"].listed_all, found["city"].has_known) == (18_006, False, True)


@pytest.mark.parametrize("is_logged", [True, False])
@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string())])
def test_of_very_many_values_the_most_frequent_are_listed(kind, is_logged):
    """Of equally frequent ones, the first in alphabetical order: as if all were sorted."""
    rng = np.random.default_rng(9)
    words = [f"{'éz'[number % 2]}{number}" for number in rng.zipf(1.2, 20_000) % 9000] + [""] * 40 + [None] * 7
    known = make_texts(3, 0, {"é2": 1, "z1": 1, "nowhere": 1})
    found = count_rows(_batch(city=(words, kind)), {"city": known}, is_logged=is_logged)["city"]
    counts = Counter(word for word in words if word is not None and (word or not is_logged))
    assert len(counts) > 4000
    assert found == make_texts(len(words), 47 if is_logged else 7, counts, known.counts)
    assert list(found.counts) == list(make_texts(len(words), 47, counts, known.counts).counts)


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(-5, 5)), max_size=20), max_size=5))
def test_batches_add_up_to_the_whole(batches):
    found = {}
    for values in batches:
        found = add_profiles(found, count_rows(_batch(km=(values, pa.float64())), _BASELINE), _BASELINE)
    whole = [value for values in batches for value in values]
    known = np.array([value for value in whole if value is not None], np.float64)
    expected = count_numbers(known, (1.0, 2.0), missing=len(whole) - len(known))
    assert (found["km"].counts if found else (0, 0, 0)) == expected.counts
    assert (found["km"].rows if found else 0) == expected.rows
