"""What the exported SavedModel answers for a split: the file that will serve, not the model in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf

from tiffin import artifacts, storage
from tiffin.errors import DataError, InputError

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Predictions:
    """The truth and the model's answer for each labelled row.

    Attributes:
        truth: `[rows]`: indices of classes, or numbers.
        answer: `[rows]` probabilities or numbers; `[rows, classes]` for multiclass.
    """

    truth: np.ndarray
    answer: np.ndarray


def predict(model: str | Path, examples: str | Path, split: str, record: dict[str, Any]) -> Predictions:
    """Run the SavedModel's `serving_default` over a split, in batches.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact.
        split: Name of the split.
        record: The model artifact's training record.

    Raises:
        InputError: The SavedModel cannot be loaded, or a column it needs is not in the examples.
        DataError: No row of the split has a label, or one has a class unknown to the model.
    """
    folder = Path(model) / artifacts.SAVED_MODEL
    try:
        run = tf.saved_model.load(str(folder)).signatures["serving_default"]
    except (OSError, KeyError) as error:
        raise InputError(
            f"The model should hold a SavedModel with serving_default. Received: '{model}' ({error})."
        ) from None
    specs = run.structured_input_signature[1]
    output = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}[record["task"]]
    truths, answers = [], []
    for table in _batches(artifacts.shard_uris(examples, split), [*specs, record["label"]]):
        labelled = table.filter(pc.is_valid(table[record["label"]]))
        if labelled.num_rows:
            inputs = {name: _tensor(labelled[name], spec) for name, spec in specs.items()}
            answers.append(run(**inputs)[output].numpy())
            truths.append(_truth(labelled[record["label"]], record))
    if not truths:
        raise DataError(
            f"The split should have rows with a label. Received: split='{split}' with none where '{record['label']}' is there."
        )
    return Predictions(np.concatenate(truths), np.concatenate(answers))


def _batches(uris: Sequence[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    for uri in uris:
        with storage.local_copy(uri) as path:
            file = pq.ParquetFile(path)
            absent = [name for name in columns if name not in file.schema_arrow.names]
            if absent:
                raise InputError(
                    f"The examples should have every column that the model takes. Received: '{uri}' without "
                    f"{', '.join(absent)}. Ingest with the same derive and exclude as for training."
                )
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
                yield pa.Table.from_batches([batch])


def _tensor(column: pa.ChunkedArray, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.dtype == tf.string:
        return tf.constant(pc.fill_null(column, "").to_pylist(), tf.string)
    return tf.constant(pc.cast(column, pa.float64()).to_numpy(), spec.dtype)


def _truth(column: pa.ChunkedArray, record: dict[str, Any]) -> np.ndarray:
    if record["task"] == "regression":
        return np.asarray(pc.cast(column, pa.float64()).to_numpy())
    index = {name: i for i, name in enumerate(record["classes"])}
    names = [artifacts.class_name(value) for value in column.to_pylist()]
    unknown = sorted(set(names) - index.keys())
    if unknown:
        raise DataError(
            f"The label should be one of the classes seen in training: {', '.join(record['classes'][:10])}. "
            f"Received: {record['label']}={unknown[0]}. Train with data that has this class."
        )
    return np.array([index[name] for name in names])
