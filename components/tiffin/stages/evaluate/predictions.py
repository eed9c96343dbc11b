"""Predict a split with exported SavedModels, those that are served, not with a model in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import OUTPUTS, Task, Training, class_name, saved_model
from tiffin.artifacts.shards import has_label, iso_texts, read_batches
from tiffin.errors import DataError, InputError
from tiffin.quality.moments import Moments

_BATCH_ROWS = 4096
_LABEL_ROWS = 65_536
SERVED, EXPLAINS = "serving_default", "explain"


@dataclass(frozen=True)
class Labels:
    """The labels of a split.

    Attributes:
        counts: Number of rows of each class; empty for regression.
        mean: Mean of the label; 0 for classes.
        rows: Number of rows that have a label of a class in training.
        unknown_classes: Classes absent in training, each with its number of rows.
        unlabelled: Number of rows without a label.
    """

    counts: np.ndarray
    mean: float
    rows: int
    unknown_classes: dict[str, int]
    unlabelled: int = 0


def read_labels(examples: str | Path, split: str, record: Training) -> Labels:
    """Count the labels of a split, in one pass over this column.

    Args:
        examples: Folder of the examples artifact.
        split: Name of the split.
        record: Training record of the model.

    Raises:
        InputError: The split does not exist, or has no column of the label's name.
        DataError: No row of the split has a label of a class in training.
        StorageError: A shard is missing or damaged.
    """
    counts, numbers = np.zeros(len(record.classes), np.int64), Moments()
    unknown: Counter[str] = Counter()
    rows = 0
    for _, batch in read_batches(examples, split, [record.label], _LABEL_ROWS):
        column = batch.column(0)
        rows += len(column)
        values = column.filter(has_label(column))
        if record.task == "regression":
            numbers.add(_truth(values, record))
            continue
        truth = _truth(values, record)
        counts += np.bincount(truth[truth >= 0], minlength=len(counts))
        for found in pc.value_counts(values.filter(pa.array(truth < 0))).to_pylist():
            unknown[class_name(found["values"])] += found["counts"]
    known = numbers.count + int(counts.sum())
    if not known:
        classes = f"only classes that were not in training: {', '.join(sorted(unknown)[:10])}"
        raise DataError(
            f"split should have rows with a label known from training. Received: split='{split}', where "
            f"'{record.label}' has {classes if unknown else 'no values'}. Train and evaluate on the same data."
        )
    return Labels(counts, numbers.mean, known, dict(unknown), rows - known - unknown.total())


def load(model: str | Path) -> Mapping[str, Any]:
    """Return the signatures of a model artifact by name, among them `serving_default`.

    Raises:
        InputError: The SavedModel cannot be loaded.
    """
    try:
        found: Mapping[str, Any] = tf.saved_model.load(str(saved_model(model))).signatures
        found[SERVED]
        return found
    except (OSError, KeyError) as error:
        raise InputError(
            f"Could not load the signature serving_default of the SavedModel in '{model}': {error}. "
            "Pass the model output of the training step."
        ) from None


def load_signature(folder: str | Path) -> Any:
    """Return the signature `serving_default` of a SavedModel."""
    return tf.saved_model.load(str(folder)).signatures[SERVED]


def inputs_of(run: Any) -> Mapping[str, Any]:
    """Return the inputs of a signature: a TensorSpec by name."""
    specs: Mapping[str, Any] = run.structured_input_signature[1]
    return specs


def read_rows(
    examples: str | Path, split: str, record: Training, columns: list[str]
) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """Yield the rows of a split that have a label of a class in training, in batches.

    Args:
        examples: Folder of the examples artifact.
        split: Name of the split.
        record: Training record of the model.
        columns: Columns to read, beside the label.

    Yields:
        The labels, class indices or numbers, `[rows]`, and the columns.

    Raises:
        InputError: The examples lack a column.
        StorageError: A shard is missing or damaged.
    """
    for _, batch in read_batches(examples, split, [*columns, record.label], _BATCH_ROWS):
        labelled = batch.filter(has_label(batch.column(record.label)))
        truth = _truth(labelled.column(record.label), record)
        if record.task != "regression":
            labelled, truth = labelled.filter(pa.array(truth >= 0)), truth[truth >= 0]
        if labelled.num_rows:
            yield truth, labelled


def answer(run: Any, batch: pa.RecordBatch, task: Task, logical: Mapping[str, str | None]) -> np.ndarray:
    """Return the predictions of a signature for a batch.

    Args:
        run: Signature, one of those that `load` returns.
        batch: Rows, with the columns of the signature's inputs.
        task: Task of the model.
        logical: Column to what its integers stand for, as in the manifest.

    Returns:
        Probabilities of the positive class or numbers, `[rows]`; probabilities, `[rows, classes]`, for multiclass.
    """
    found: np.ndarray = run(**tensors(run, batch, logical))[OUTPUTS[task]].numpy()
    return found


def tensors(run: Any, batch: pa.RecordBatch, logical: Mapping[str, str | None]) -> dict[str, tf.Tensor]:
    """Return the inputs of a signature for a batch, by name."""
    specs = inputs_of(run)
    return {name: tf.constant(value, specs[name].dtype) for name, value in arrays(run, batch, logical).items()}


def arrays(run: Any, batch: pa.RecordBatch, logical: Mapping[str, str | None]) -> dict[str, np.ndarray]:
    """Return the inputs of a signature for a batch, `[rows]` each: texts, or numbers as float64."""
    return {name: _array(batch.column(name), spec, logical.get(name)) for name, spec in inputs_of(run).items()}


def predict(run: Any, examples: str | Path, split: str, record: Training) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Run a signature over the rows of a split that have a label of a class in training, in batches.

    Yields:
        The labels, class indices or numbers, `[rows]`, and the predictions, as `answer` returns them.

    Raises:
        InputError: The examples lack a column of the signature's inputs.
        StorageError: A shard is missing or damaged.
    """
    logical = {column.name: column.logical for column in read_manifest(examples).columns}
    for truth, batch in read_rows(examples, split, record, list(inputs_of(run))):
        yield truth, answer(run, batch, record.task, logical)


def _truth(values: pa.Array, record: Training) -> np.ndarray:
    """Return the numbers, or the class indices, -1 for a class absent in training."""
    if record.task == "regression":
        return np.asarray(pc.cast(values, pa.float64(), safe=False))
    distinct = pc.unique(values)
    index = {name: number for number, name in enumerate(record.classes)}
    known = np.array([index.get(class_name(value), -1) for value in distinct.to_pylist()], np.int64)
    truth: np.ndarray = known[np.asarray(pc.index_in(values, value_set=distinct))]
    return truth


def _array(column: pa.Array, spec: Any, logical: str | None) -> np.ndarray:
    if spec.dtype == tf.string:
        if logical in ("date", "timestamp") and pa.types.is_integer(column.type):
            column = iso_texts(column, logical)
        texts: np.ndarray = pc.fill_null(column, "").to_numpy(zero_copy_only=False)
        return texts
    numbers: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers
