"""Columns that give the label away."""

import numpy as np
import pytest

from tiffin.stages.train.columns import record_type
from tiffin.stages.train.features import Category, Features, Number
from tiffin.stages.train.label import Label
from tiffin.stages.train.leakage import find_leaks

ROWS = 2000
CHANCE = np.random.default_rng(1)
NOISE = CHANCE.normal(size=ROWS)
CLASSES = CHANCE.integers(0, 2, ROWS)
THREE = CHANCE.integers(0, 3, ROWS)
BINARY = Label("late", "binary", ("0", "1"))
MULTICLASS = Label("speed", "multiclass", ("a", "b", "c"))
REGRESSION = Label("minutes", "regression", ())


def find(label, target, rows=ROWS, **columns):
    """Find leaks among columns: floats are numbers, integers categories."""
    numbers = {name: values for name, values in columns.items() if values.dtype.kind == "f"}
    categories = {name: values for name, values in columns.items() if values.dtype.kind != "f"}
    edges = {name: tuple(np.unique(np.nanquantile(values, np.linspace(0, 1, 33)))) for name, values in numbers.items()}
    features = Features(
        tuple(Number(name, False, edges[name]) for name in numbers),
        tuple(Category(name, tuple(map(str, range(values.max() + 1)))) for name, values in categories.items()),
        {},
    )
    records = np.zeros(rows, record_type(features))
    for place, values in enumerate(numbers.values()):
        records["numbers"][:, place] = values[:rows]
    for place, values in enumerate(categories.values()):
        records["indices"][:, place] = values[:rows] + 2
    records["target"] = target[:rows]
    return {leak.column: leak for leak in find_leaks(records, features, label)}


def test_few_rows_tell_nothing():
    assert find(BINARY, CLASSES, 0, copy=CLASSES * 1.0) == {}
    assert find(BINARY, CLASSES, 49, copy=CLASSES * 1.0) == {}


@pytest.mark.parametrize(("label", "target"), [(BINARY, CLASSES), (MULTICLASS, THREE), (REGRESSION, NOISE)])
def test_ordinary_columns(label, target):
    useful = target + CHANCE.normal(size=ROWS)
    assert find(label, target, noise=NOISE[::-1].copy(), useful=useful, word=THREE[::-1].copy()) == {}


@pytest.mark.parametrize(
    "column",
    [
        CLASSES * 1.0, 1 - CLASSES * 2.0, CLASSES + 0.01 * NOISE, np.where(CLASSES, np.nan, NOISE), CLASSES.copy(),
        CLASSES * 2 + THREE % 2,
    ],
    ids=["copy", "reversed", "near copy", "missing", "words", "words of a class"],
)  # fmt: skip
def test_a_column_that_predicts_alone(column):
    found = find(BINARY, CLASSES, noise=NOISE, column=column)
    assert list(found) == ["column"]
    assert found["column"].share > 0.95


def test_a_threshold_within_a_bin():
    amount = CHANCE.lognormal(size=ROWS)
    rare = (amount > np.quantile(amount, 0.985)).astype(int)
    assert find(BINARY, rare, amount=amount)["amount"].share > 0.9


def test_a_function_of_the_label():
    found = find(MULTICLASS, THREE, group=np.minimum(THREE, 1), noise=NOISE, constant=np.zeros(ROWS, int))
    assert list(found) == ["group"]
    assert found["group"].is_function
    assert found["group"].share < 0.9


def test_numbers_that_are_the_label():
    minutes = CHANCE.normal(30, 5, ROWS)
    found = find(
        REGRESSION, minutes, seconds=minutes * 60, rounded=np.round(minutes), noise=NOISE, close=minutes + NOISE
    )
    assert list(found) == ["seconds", "rounded"]
