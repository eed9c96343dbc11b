"""Read the training columns as records of numbers, and the label as numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import class_name
from tiffin.artifacts.shards import has_label, read_batches
from tiffin.errors import InputError, did_you_mean
from tiffin.stages.train.features import Features
from tiffin.stages.train.label import Label

# Index of a text value: missing, or not in the vocabulary, whose first value follows.
MISSING, UNKNOWN, FIRST = 0, 1, 2
_BATCH_ROWS = 65_536
_BATCH_VALUES = 1 << 22


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a regression label; 0 and 1 for classes."""

    mean: float = 0.0
    deviation: float = 1.0


def find_scale(targets: Iterable[np.ndarray], low: float, high: float) -> Scale:
    """Return the scale of a regression label, computed in float64 in one pass.

    Args:
        targets: The label in parts, `[rows]` each.
        low: Smallest number of all parts.
        high: Largest number of all parts.
    """
    # Divided by the range first: the mean and the squares of huge or tiny numbers overflow or vanish.
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    rows, mean, squares = 0, 0.0, 0.0
    for target in targets:
        if not len(target):
            continue
        relative = (target - middle) / half
        apart = relative.mean() - mean
        rows += len(target)
        mean += apart * len(target) / rows
        squares += ((relative - relative.mean()) ** 2).sum() + apart**2 * len(target) * (rows - len(target)) / rows
    return Scale(float(middle + half * mean), float(half * np.sqrt(squares / rows)))


def check_columns(examples: str | Path, features: Features, label: str) -> None:
    """Raise an InputError unless the label and the features are columns of the examples."""
    names = [column.name for column in read_manifest(examples).columns]
    for name in (label, *features.columns):
        if name not in names:
            raise InputError(
                f"{'label' if name == label else 'A feature'} should be a column of the examples. "
                f"Received: '{name}'.{did_you_mean(name, names)} The columns are: {', '.join(names)}."
            )


def read_labels(examples: str | Path, split: str, label: str) -> Iterator[pa.Array]:
    """Yield the label's values of one split in batches, with missing ones."""
    for _, batch in read_batches(examples, split, [label], _BATCH_ROWS):
        yield batch.column(0)


def read_targets(examples: str | Path, split: str, label: Label) -> Iterator[np.ndarray]:
    """Yield the encoded label of the rows of one split that have a label, in batches."""
    for values in read_labels(examples, split, label.name):
        yield encode_label(values.filter(has_label(values)), label)


def record_type(features: Features) -> np.dtype:
    """Return the type of a row in memory.

    Fields:
        numbers: Numeric columns; missing values are NaN.
        indices: Text columns as positions in the vocabulary plus `FIRST`, or `MISSING`, or `UNKNOWN`.
        target: The label, as `encode_label` returns it.
    """
    numbers, categories = (len(features.numbers),), (len(features.categories),)
    return np.dtype([("numbers", np.float64, numbers), ("indices", np.int16, categories), ("target", np.float64)])


def read_records(examples: str | Path, split: str, features: Features, label: Label) -> Iterator[np.ndarray]:
    """Yield the rows of one split that have a label, in batches, as records of `record_type`.

    Args:
        examples: Folder of the examples artifact.
        split: Name of the split.
        features: Input columns.
        label: Label to predict.

    Raises:
        InputError: The split or a column does not exist.
        StorageError: A shard is missing or damaged.
    """
    kind = record_type(features)
    vocabularies = [pa.array(category.vocabulary, pa.string()) for category in features.categories]
    read = [*features.columns, label.name]
    for _, batch in read_batches(examples, split, read, min(_BATCH_ROWS, max(1, _BATCH_VALUES // len(read)))):
        kept = batch.filter(has_label(batch.column(label.name)))
        records = np.empty(kept.num_rows, kind)
        for position, number in enumerate(features.numbers):
            # Not safe: integers beyond 2**53, such as nanoseconds, are rounded.
            values = pc.cast(kept.column(number.name), pa.float64(), safe=False)
            records["numbers"][:, position] = values.to_numpy(zero_copy_only=False)
        for position, (category, vocabulary) in enumerate(zip(features.categories, vocabularies, strict=True)):
            records["indices"][:, position] = _indices(kept.column(category.name), vocabulary)
        records["target"] = encode_label(kept.column(label.name), label)
        yield records


def _indices(values: pa.Array, vocabulary: pa.Array) -> np.ndarray:
    found = pc.fill_null(pc.index_in(values, vocabulary), UNKNOWN - FIRST).to_numpy(zero_copy_only=False) + FIRST
    missing = pc.fill_null(pc.equal(values, ""), True).to_numpy(zero_copy_only=False)
    return np.where(missing, MISSING, found)


def encode_label(values: pa.Array, label: Label) -> np.ndarray:
    """Return the label as float64, `[rows]`: the value for regression, otherwise the class index in `label.classes`."""
    if label.task == "regression":
        return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)
    index = {name: i for i, name in enumerate(label.classes)}
    distinct = pc.unique(values)
    codes = np.asarray([index[class_name(value)] for value in distinct.to_pylist()], np.float64)
    encoded: np.ndarray = codes[np.asarray(pc.index_in(values, value_set=distinct))]
    return encoded
