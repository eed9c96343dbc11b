"""Decisions about the drift of columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.drift.comparison import Sides, compare
from tiffin.drift.limits import read_limits
from tiffin.drift.profiles import Numbers, count_numbers, find_edges, make_texts

_SIDES = Sides("the training data", "this week")


def _numbers(values, like=None, **about):
    return count_numbers(np.asarray(values, np.float64), like.edges if like else find_edges(values), **about)


def _texts(**counts):
    return make_texts(sum(counts.values()), 0, counts)


def _distances(drift, column=0):
    return {distance.measure: distance for distance in drift.columns[column].distances}


def test_no_columns():
    found = compare({}, {}, _SIDES)
    assert (found.drifted, found.columns, found.rows) == (False, (), 0)


def test_no_rows():
    found = compare({"km": _numbers([1, 2])}, {"km": _numbers([], _numbers([1, 2]))}, _SIDES)
    assert not found.drifted
    assert "no rows" in found.reason


def test_equal_rows():
    found = compare({"city": _texts(Oslo=50, Rome=50)}, {"city": _texts(Oslo=50, Rome=50)}, _SIDES)
    assert not found.drifted
    assert {one.value for one in found.columns[0].distances} == {0.0}
    assert {one.p_value for one in found.columns[0].distances} == {1.0}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 30), max_size=60), st.integers(1, 60), st.integers(0, 3))
def test_a_column_never_drifts_from_itself(counts, most, missing):
    one = make_texts(sum(counts.values()) + missing, missing, counts, most=most)
    found = compare({"city": one}, {"city": one}, _SIDES)
    assert not found.drifted
    assert {d.value for column in found.columns for d in column.distances if d.measure != "new_share"} <= {0.0, None}


def test_every_number_by_hand():
    """60 of 100 rows were Oslo, and 20 of 100 are: docs/how-to/drift.md goes through these numbers."""
    found = compare({"city": _texts(Oslo=60, Rome=40)}, {"city": _texts(Oslo=20, Rome=80)}, _SIDES)
    measured = _distances(found)
    assert measured["jensen_shannon"].value == pytest.approx(0.124511, abs=5e-7)
    # One degree of freedom times 2/100, over 8 ln 2.
    assert measured["jensen_shannon"].by_chance == pytest.approx(0.02 / (8 * np.log(2)), rel=1e-5)
    # (60.5, 40.5) and (20.5, 80.5) of 101.
    expected = (20.5 - 60.5) / 101 * np.log(20.5 / 60.5) + (80.5 - 40.5) / 101 * np.log(80.5 / 40.5)
    assert measured["population_stability_index"].value == pytest.approx(expected, rel=1e-5)
    assert measured["infinity_norm"].value == 0.4
    assert measured["new_share"].value == 0.0
    assert measured["missing_share"].value == 0.0
    assert found.drifted
    assert [one.measure for one in found.columns[0].distances if one.drifted] == [
        "jensen_shannon", "population_stability_index", "infinity_norm",
    ]  # fmt: skip
    assert [(one.name, one.before, one.now) for one in found.columns[0].bins] == [
        ("Oslo", 0.6, 0.2),
        ("Rome", 0.4, 0.8),
    ]


def test_few_rows_decide_nothing():
    """The same shares of ten rows are chance."""
    found = compare({"city": _texts(Oslo=60, Rome=40)}, {"city": _texts(Oslo=2, Rome=8)}, _SIDES)
    assert not found.drifted
    assert _distances(found)["infinity_norm"].value == 0.4


def test_many_rows_with_a_small_change_decide_nothing():
    found = compare({"city": _texts(Oslo=600_000, Rome=400_000)}, {"city": _texts(Oslo=590_000, Rome=410_000)}, _SIDES)
    assert not found.drifted
    assert _distances(found)["infinity_norm"].adjusted < 1e-9


def test_values_gone_missing():
    before = _numbers([1, 2, 3, 4] * 100)
    found = compare({"km": before}, {"km": _numbers([1, 2, 3, 4] * 50, before, missing=200)}, _SIDES)
    assert _distances(found)["missing_share"].drifted
    assert found.columns[0].missing == 0.5


def test_an_empty_column():
    before = _numbers([1, 2, 3, 4] * 100)
    found = compare({"km": before}, {"km": _numbers([], before, missing=400)}, _SIDES)
    assert found.columns[0].drifted
    assert _distances(found)["wasserstein"].value is None


def test_a_column_of_one_value():
    before = _numbers([7] * 400)
    assert not compare({"km": before}, {"km": _numbers([7] * 90, before)}, _SIDES).drifted
    found = compare({"km": before}, {"km": _numbers([8] * 90, before)}, _SIDES)
    assert _distances(found)["wasserstein"].value is None
    assert _distances(found)["jensen_shannon"].value == 1.0
    assert found.drifted


@pytest.mark.parametrize("now", [{"stops": _texts(one=300)}, {"km": _texts(far=300)}])
def test_a_column_that_is_gone_or_has_another_type(now):
    found = compare({"km": _numbers([1, 2, 3] * 100)}, now, _SIDES)
    assert found.drifted
    assert found.columns[0].kind == "absent"


def test_a_new_column_and_an_optional_one():
    before = {"km": _numbers([1, 2, 3] * 100), "late": _numbers([0, 1] * 150)}
    found = compare(before, {"km": before["km"], "extra": before["km"]}, _SIDES, optional=frozenset({"late"}))
    assert [(one.column, one.drifted) for one in found.columns] == [("extra", True), ("km", False)]
    assert [note.code for note in found.notes] == ["NOT_COMPARED"]


def test_dates_are_not_judged():
    before = Numbers(300, 0, (10.0, 20.0), (100, 100, 100), 0.0, 30.0, "timestamp")
    found = compare({"when": before}, {"when": _numbers(np.linspace(40, 50, 300), before)}, _SIDES)
    assert not found.drifted
    assert _distances(found)["jensen_shannon"].value > 0.4
    assert [note.code for note in found.notes] == ["DATES_NOT_JUDGED"]


def test_unimportant_columns_do_not_decide():
    before = {name: _texts(Oslo=60, Rome=40) for name in ("a", "b")}
    now = {"a": _texts(Oslo=60, Rome=40), "b": _texts(Oslo=20, Rome=80)}
    found = compare(before, now, _SIDES, importance={"a": 0.9, "b": 0.1})
    assert not found.drifted
    assert [(one.column, one.drifted, one.counts) for one in found.columns] == [("b", True, False), ("a", False, True)]
    assert [note.code for note in found.notes] == ["UNIMPORTANT_DRIFT"]
    assert compare(before, now, _SIDES, importance={"a": 0.7, "b": 0.3}).drifted


def test_thresholds():
    before, now = {"city": _texts(Oslo=60, Rome=40)}, {"city": _texts(Oslo=20, Rome=80)}
    off = dict.fromkeys(("jensen_shannon", "population_stability_index", "infinity_norm"))
    found = compare(before, now, _SIDES, read_limits(off))
    assert not found.drifted
    assert _distances(found)["jensen_shannon"].value > 0.1
    assert _distances(found)["jensen_shannon"].adjusted is None


def test_the_same_input_gives_the_same_result():
    before, now = {"city": _texts(Oslo=60, Rome=40)}, {"city": _texts(Rome=80, Oslo=20)}
    assert compare(before, now, _SIDES) == compare(before, now, _SIDES)


def _draw(rng, rows, shift=0.0):
    """Draw rows of 8 columns: normal, heavy tails, counts, a rare flag, zeros with missing values, and texts."""
    tail = 1 / np.arange(1, 801) ** 1.1
    zeros = np.where(rng.random(rows) < 0.9, 0, rng.exponential(1, rows))
    zeros[rng.random(rows) < 0.1] = np.nan
    return {
        "normal": rng.normal(size=rows) + shift,
        "heavy": rng.lognormal(0, 2, rows),
        "student": rng.standard_t(2, rows),
        "counts": rng.poisson(3, rows).astype(float),
        "flag": (rng.random(rows) < 0.02).astype(float),
        "zeros": zeros,
        "city": rng.choice(["Oslo", "Rome", "Bonn"], rows, p=[0.7, 0.2, 0.1]),
        "street": rng.choice(800, rows, p=tail / tail.sum()).astype(str),
    }


def _profiles(columns, like=None):
    found = {}
    for name, values in columns.items():
        if values.dtype.kind == "f":
            found[name] = _numbers(values, like and like[name])
        else:
            listed, counts = np.unique(values, return_counts=True)
            found[name] = make_texts(len(values), 0, dict(zip(listed.tolist(), counts.tolist(), strict=True)))
    return found


def test_no_false_alarms():
    """No alarm in 20 weeks of daily looks; `tests/benchmarks/drift.py` has 1,000 weeks of 20 columns."""
    rng = np.random.default_rng(21)
    alarms = 0
    for _ in range(20):
        before = _profiles(_draw(rng, int(rng.choice([1000, 5000]))))
        rows = int(rng.choice([100, 500, 3000]))
        alarms += any(compare(before, _profiles(_draw(rng, rows), before), _SIDES).drifted for _ in range(7))
    assert alarms == 0


@pytest.mark.parametrize("baseline", [2000, 35_000])
def test_a_shift_of_a_fifth_of_a_deviation_is_found_in_two_days(baseline):
    rng = np.random.default_rng(22)
    found = 0
    for _ in range(12):
        before = _profiles(_draw(rng, baseline))
        days = [compare(before, _profiles(_draw(rng, 5000, 0.2), before), _SIDES) for _ in range(2)]
        found += any(one.drifted and one.columns[0].column == "normal" for one in days)
    assert found >= 11
