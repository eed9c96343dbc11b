"""The label: its values, the task that they stand for, and its classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.model import Task, class_name
from tiffin.artifacts.shards import has_label
from tiffin.errors import DataError, InputError, did_you_mean

TASKS = get_args(Task)
# With task=auto, whole numbers are classes if there are few distinct ones and each occurs often enough on average.
_MAX_WHOLE_CLASSES = 20
_MIN_ROWS_PER_CLASS = 5
_MAX_CLASSES = 1000
# Distinct values that are counted, and values that are gathered before they are merged with those seen.
_MAX_DISTINCT = 1_000_000
_MERGED = 65_536
_NAMED = 5


@dataclass(frozen=True)
class Values:
    """The values of a label column.

    Attributes:
        rows: Number of rows with a value.
        missing: Number of rows without one: null, NaN or infinite.
        distinct: The first 1000 distinct values in ascending order, or 5 if there are more than 1,000,000 values.
        count: Number of distinct values; 1,000,001 if there are more than 1,000,000.
        text: Whether the values are text.
        whole: Whether all values are whole numbers.
        low: Smallest number; 0 for text.
        high: Largest number; 0 for text.
    """

    rows: int
    missing: int
    distinct: Sequence[Any]
    count: int
    text: bool
    whole: bool
    low: float
    high: float

    @property
    def counted(self) -> str:
        """The number of distinct values as text."""
        return str(self.count) if self.count <= _MAX_DISTINCT else f"more than {_MAX_DISTINCT}"


@dataclass(frozen=True)
class Label:
    """The label to predict.

    Attributes:
        name: Column name.
        task: `binary`, `multiclass` or `regression`.
        classes: Label values in ascending order, as text; for a binary task the second is the positive class; empty for
            regression.
        choice: The task and the reason for it, in one line.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    choice: str = ""


def look_at(batches: Iterable[pa.Array]) -> Values:
    """Return what a label column holds, in memory that does not grow with the rows."""
    rows = missing = 0
    text, whole, low, high = False, True, np.inf, -np.inf
    distinct, count = pa.array([]), 0
    gathered: list[pa.Array] = []
    waiting = 0
    for batch in batches:
        labels = batch.filter(has_label(batch))
        rows, missing = rows + len(labels), missing + len(batch) - len(labels)
        if not len(labels):
            continue
        unique = pc.unique(labels)
        text = pa.types.is_string(unique.type)
        if not text:
            numbers = np.asarray(unique) + 0  # one 0 for 0.0 and -0.0
            whole = whole and bool((numbers == np.floor(numbers)).all())
            low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
            unique = pa.array(numbers)
        gathered.append(unique)
        waiting += len(unique)
        # Each merge at least doubles the values, so that all merges together take linear time.
        if waiting > max(_MERGED, len(distinct)):
            distinct, count = _merge(gathered, distinct, count)
            gathered, waiting = [], 0
    if gathered:
        distinct, count = _merge(gathered, distinct, count)
    first = distinct.take(pc.array_sort_indices(distinct)[:_MAX_CLASSES]).to_pylist()
    numeric = bool(rows) and not text
    return Values(rows, missing, first, count, text, whole, low if numeric else 0.0, high if numeric else 0.0)


def _merge(gathered: list[pa.Array], distinct: pa.Array, count: int) -> tuple[pa.Array, int]:
    """Return the distinct values and their number; the first few of them if there are too many to count."""
    merged = pc.unique(pa.concat_arrays([*gathered, distinct.cast(gathered[0].type)]))
    count = len(merged) if count <= _MAX_DISTINCT else count
    if count <= _MAX_DISTINCT:
        return merged, count
    return merged.take(pc.array_sort_indices(merged)[:_NAMED]), _MAX_DISTINCT + 1


def find_label(values: Values, name: str, task: str) -> Label:
    """Return the label with its task and classes; `auto` derives the task from the values.

    Args:
        values: Label values, at least one.
        name: Column name.
        task: `binary`, `multiclass`, `regression`, or `auto`: binary for two distinct values; multiclass for text, and
            for whole numbers, also written as floats, with at most 20 distinct values and 5 rows for each on average;
            regression for other numbers.

    Raises:
        InputError: The task is unknown, or the values do not fit it.
        DataError: The label has no value, a single value, or too many classes.
    """
    if task not in ("auto", *TASKS):
        raise InputError(
            f"task should be auto, {', '.join(TASKS)}. Received: task='{task}'.{did_you_mean(task, TASKS)}"
        )
    distinct = values.distinct
    if values.count < 2:
        raise DataError(
            f"label should have at least two distinct values. Received: label='{name}', always {distinct[0]}. "
            "Choose another column, or add data with other values."
        )
    choice = f"{task}: as set"
    if task == "auto":
        task, reason = _choose_task(values)
        choice = f"{task}: {reason}"
    if task == "regression":
        if values.text:
            raise InputError(
                f"label should be numeric for task='regression'. Received: label='{name}', text. "
                "Choose another task or column."
            )
        return Label(name, "regression", (), choice)
    if task == "binary" and values.count > 2:
        raise InputError(
            f"label should have two distinct values for task='binary'. Received: label='{name}' with {values.counted}: "
            f"{', '.join(map(str, distinct[:_NAMED]))}... Use task='multiclass', or derive a label with two values."
        )
    if values.count > _MAX_CLASSES:
        raise DataError(
            f"label should have at most {_MAX_CLASSES} classes. Received: label='{name}' with {values.counted}. "
            "Group rare values in derive."
        )
    classes = tuple(class_name(value) for value in distinct)
    return Label(name, "binary" if task == "binary" else "multiclass", classes, choice)


def _choose_task(values: Values) -> tuple[Task, str]:
    """Return the task for the values of a label, and the reason."""
    count = values.count
    few = ", ".join(class_name(value) for value in values.distinct[:_NAMED]) + (", ..." if count > _NAMED else "")
    if values.text:
        task: Task = "binary" if count == 2 else "multiclass"
        return task, f"{values.counted} distinct texts ({few})"
    if count == 2:
        return "binary", f"2 distinct numbers ({few}); set task=regression to predict a number"
    if not values.whole:
        return "regression", "numbers with fractions; set task=multiclass to predict classes"
    counted = f"{values.counted} distinct whole values ({few})"
    if count <= _MAX_WHOLE_CLASSES and values.rows >= _MIN_ROWS_PER_CLASS * count:
        return "multiclass", f"{counted}; set task=regression to predict a number"
    return "regression", f"{counted} in {values.rows} rows; set task=multiclass to predict classes"
