"""Read the training columns in the types of the model's signature, and encode the label as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.model import Task, class_name
from tiffin.artifacts.shards import has_label, open_shards
from tiffin.errors import DataError, InputError, did_you_mean
from tiffin.stages.train.features import Features

TASKS = get_args(Task)
# With task=auto, whole numbers are classes if there are few distinct ones and each occurs often enough on average.
_MAX_WHOLE_CLASSES = 20
_MIN_ROWS_PER_CLASS = 5
_MAX_CLASSES = 1000


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


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a regression label; 0 and 1 for classes."""

    mean: float = 0.0
    deviation: float = 1.0


def read_table(examples: str | Path, split: str, columns: Sequence[str], label: str) -> tuple[pa.Table, int]:
    """Return the rows of one split that have a label, and the number of rows without one.

    Args:
        examples: Folder of the examples artifact.
        split: Name of the split.
        columns: Columns to read besides the label.
        label: Column to predict.

    Raises:
        InputError: The split or a column does not exist.
        DataError: No row has a label.
    """
    tables = []
    for _, file in open_shards(examples, split):
        names = file.schema_arrow.names
        for name in (label, *columns):
            if name not in names:
                raise InputError(
                    f"{'label' if name == label else 'A feature'} should be a column of the examples. "
                    f"Received: '{name}'.{did_you_mean(name, names)} The columns are: {', '.join(names)}."
                )
        tables.append(file.read(columns=list(dict.fromkeys([*columns, label]))))
    table = pa.concat_tables(tables)
    kept = table.filter(has_label(table[label]))
    if kept.num_rows == 0:
        raise DataError(
            f"label should have values. Received: label='{label}', missing in every row of the split '{split}'. "
            "Choose another column."
        )
    return kept, table.num_rows - kept.num_rows


def find_label(values: pa.ChunkedArray, name: str, task: str) -> Label:
    """Return the label with its task and classes; `auto` derives the task from the values.

    Args:
        values: Label values, without nulls.
        name: Column name.
        task: `binary`, `multiclass`, `regression`, or `auto`: binary for two distinct values; multiclass for text, and
            for whole numbers, also written as floats, with at most 20 distinct values and 5 rows for each on average;
            regression for other numbers.

    Raises:
        InputError: The task is unknown, or the values do not fit it.
        DataError: The label has a single value, or too many classes.
    """
    if task not in ("auto", *TASKS):
        raise InputError(
            f"task should be auto, {', '.join(TASKS)}. Received: task='{task}'.{did_you_mean(task, TASKS)}"
        )
    distinct = sorted(set(pc.unique(values).to_pylist()))  # a set has one 0 for 0.0 and -0.0
    text = pa.types.is_string(values.type)
    if len(distinct) < 2:
        raise DataError(
            f"label should have at least two distinct values. Received: label='{name}', always {distinct[0]}. "
            "Choose another column, or add data with other values."
        )
    choice = f"{task}: as set"
    if task == "auto":
        task, reason = _choose_task(distinct, len(values), text)
        choice = f"{task}: {reason}"
    if task == "regression":
        if text:
            raise InputError(
                f"label should be numeric for task='regression'. Received: label='{name}', text. "
                "Choose another task or column."
            )
        return Label(name, "regression", (), choice)
    if task == "binary" and len(distinct) > 2:
        raise InputError(
            f"label should have two distinct values for task='binary'. Received: label='{name}' with {len(distinct)}: "
            f"{', '.join(map(str, distinct[:5]))}... Use task='multiclass', or derive a label with two values."
        )
    if len(distinct) > _MAX_CLASSES:
        raise DataError(
            f"label should have at most {_MAX_CLASSES} classes. Received: label='{name}' with {len(distinct)}. "
            "Group rare values in derive."
        )
    classes = tuple(class_name(value) for value in distinct)
    return Label(name, "binary" if task == "binary" else "multiclass", classes, choice)


def _choose_task(distinct: Sequence[Any], rows: int, text: bool) -> tuple[Task, str]:
    """Return the task for the distinct values of a label, in ascending order, and the reason."""
    few = ", ".join(class_name(value) for value in distinct[:5]) + (", ..." if len(distinct) > 5 else "")
    if text:
        task: Task = "binary" if len(distinct) == 2 else "multiclass"
        return task, f"{len(distinct)} distinct texts ({few})"
    if len(distinct) == 2:
        return "binary", f"2 distinct numbers ({few}); set task=regression to predict a number"
    if not all(float(value).is_integer() for value in distinct):
        return "regression", "numbers with fractions; set task=multiclass to predict classes"
    counted = f"{len(distinct)} distinct whole values ({few})"
    if len(distinct) <= _MAX_WHOLE_CLASSES and rows >= _MIN_ROWS_PER_CLASS * len(distinct):
        return "multiclass", f"{counted}; set task=regression to predict a number"
    return "regression", f"{counted} in {rows} rows; set task=multiclass to predict classes"


def encode_label(values: pa.ChunkedArray, label: Label) -> np.ndarray:
    """Return the label as float64, `[rows]`: the value for regression, otherwise the class index in `label.classes`."""
    if label.task == "regression":
        return np.asarray(values.to_numpy(), np.float64)
    index = {name: i for i, name in enumerate(label.classes)}
    distinct = pc.unique(values)
    codes = np.asarray([index[class_name(value)] for value in distinct.to_pylist()], np.float64)
    encoded: np.ndarray = codes[np.asarray(pc.index_in(values.combine_chunks(), value_set=distinct))]
    return encoded


def find_scale(target: np.ndarray, label: Label) -> Scale:
    """Return the scale of a target, computed in float64."""
    if label.task != "regression":
        return Scale()
    # Divided by the range first: the mean and the squares of huge or tiny numbers overflow or vanish.
    middle = target.min() / 2 + target.max() / 2
    half = target.max() / 2 - target.min() / 2
    relative = (target - middle) / half
    return Scale(float(middle + half * relative.mean()), float(half * relative.std()))


def raw_inputs(table: pa.Table, features: Features) -> dict[str, np.ndarray]:
    """Return the model's inputs by column, `[rows]` each; missing values are NaN or the empty string."""
    arrays: dict[str, np.ndarray] = {}
    for number in features.numbers:
        # Not safe: integers beyond 2**53, such as nanoseconds, are rounded.
        arrays[number.name] = np.asarray(pc.cast(table[number.name], pa.float64(), safe=False).to_numpy(), np.float64)
    for category in features.categories:
        arrays[category.name] = np.array(pc.fill_null(table[category.name], "").to_pylist(), dtype=object).astype(str)
    return arrays
