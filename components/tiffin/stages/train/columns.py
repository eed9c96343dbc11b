"""The examples' columns as tensors, in the types that the model's signature takes, and the label as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.model import Task, class_name
from tiffin.artifacts.shards import open_shards
from tiffin.errors import DataError, InputError, did_you_mean
from tiffin.stages.train.features import Features

TASKS = get_args(Task)
# Whole numbers with up to this many values are taken for classes when nobody says.
_MAX_WHOLE_CLASSES = 20
_MAX_CLASSES = 1000


@dataclass(frozen=True)
class Label:
    """What to predict.

    Attributes:
        name: Column.
        task: Binary, multiclass or regression.
        classes: Values of the label in rising order, as text; the last of a binary task is the one whose probability is
            given; empty for regression.
    """

    name: str
    task: Task
    classes: tuple[str, ...]


def read_table(examples: str | Path, split: str, columns: Sequence[str], label: str) -> tuple[pa.Table, int]:
    """Return the columns and the label of one split, without rows whose label is missing, and how many those were.

    Raises:
        InputError: The split or a column is not there.
        DataError: No row has a label.
    """
    tables = []
    for _, file in open_shards(examples, split):
        names = file.schema_arrow.names
        for name in (label, *columns):
            if name not in names:
                raise InputError(
                    f"{'label' if name == label else 'A column'} should be in the examples. Received: '{name}'."
                    f"{did_you_mean(name, names)} The columns are: {', '.join(names)}."
                )
        tables.append(file.read(columns=list(dict.fromkeys([*columns, label]))))
    table = pa.concat_tables(tables)
    kept = table.filter(pc.is_valid(table[label]))
    if kept.num_rows == 0:
        raise DataError(f"The label should have values. Received: label='{label}' with none in split '{split}'.")
    return kept, table.num_rows - kept.num_rows


def find_label(values: pa.ChunkedArray, name: str, task: str) -> Label:
    """Return the task and the classes that the label's values suggest, or hold the values to the given task.

    Args:
        values: The label's values, none missing.
        name: Its column.
        task: `binary`, `multiclass`, `regression`, or `auto`: two values are binary; text, or whole numbers with up to
            20 values, multiclass; other numbers regression.

    Raises:
        InputError: There is no such task, or the label cannot be of it.
        DataError: The label has one value only, or too many for classes.
    """
    if task not in ("auto", *TASKS):
        raise InputError(
            f"task should be auto, {', '.join(TASKS)}. Received: task='{task}'.{did_you_mean(task, TASKS)}"
        )
    distinct = sorted(pc.unique(values).to_pylist())
    text = pa.types.is_string(values.type)
    if len(distinct) < 2:
        raise DataError(
            f"The label should have at least two values to tell apart. Received: label='{name}', always {distinct[0]}. "
            "Choose another label, or data with more than one outcome."
        )
    whole = pa.types.is_integer(values.type)
    if task == "auto":
        few = text or (whole and len(distinct) <= _MAX_WHOLE_CLASSES)
        task = "binary" if len(distinct) == 2 else "multiclass" if few else "regression"
    if task == "regression":
        if text:
            raise InputError(
                f"A regression's label should be numbers. Received: label='{name}' with text. Choose another task."
            )
        return Label(name, "regression", ())
    if task == "binary" and len(distinct) > 2:
        raise InputError(
            f"A binary label should have two values. Received: label='{name}' with {len(distinct)}: "
            f"{', '.join(map(str, distinct[:5]))}... Use task='multiclass', or derive a label of two values."
        )
    if len(distinct) > _MAX_CLASSES:
        raise DataError(
            f"A label should have at most {_MAX_CLASSES} classes. Received: label='{name}' with {len(distinct)}."
        )
    return Label(name, "binary" if task == "binary" else "multiclass", tuple(class_name(value) for value in distinct))


def encode_label(values: pa.ChunkedArray, label: Label) -> np.ndarray:
    """Return the label as float32, `[rows]`: the number itself, or the index of its class among those of `find_label`."""
    if label.task == "regression":
        return np.asarray(values.to_numpy(), np.float32)
    index = {name: i for i, name in enumerate(label.classes)}
    distinct = pc.unique(values)
    codes = np.asarray([index[class_name(value)] for value in distinct.to_pylist()], np.float32)
    encoded: np.ndarray = codes[np.asarray(pc.index_in(values.combine_chunks(), value_set=distinct))]
    return encoded


def raw_inputs(table: pa.Table, features: Features) -> dict[str, np.ndarray]:
    """Return the columns as the model's signature takes them, `[rows]` each: NaN or an empty string where missing."""
    arrays: dict[str, np.ndarray] = {}
    for number in features.numbers:
        column = pc.cast(table[number.name], pa.float64())
        values = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
        arrays[number.name] = np.asarray(values, np.float64 if number.whole else np.float32)
    for category in features.categories:
        arrays[category.name] = np.array(pc.fill_null(table[category.name], "").to_pylist(), dtype=object).astype(str)
    return arrays
