"""Predict a split with the exported SavedModel, the one that will be served, not with the model in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tiffin.artifacts.model import Training, class_name, saved_model
from tiffin.artifacts.shards import has_label, open_shards
from tiffin.errors import DataError, InputError

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions of the rows that have a label of a class in training.

    Attributes:
        truth: Class indices or numbers, `[rows]`.
        answer: Predictions: probabilities or numbers, `[rows]`; `[rows, classes]` for multiclass.
        unknown_classes: Classes absent in training, each with its number of rows.
        unlabelled: Number of rows without a label.
    """

    truth: np.ndarray
    answer: np.ndarray
    unknown_classes: dict[str, int]
    unlabelled: int = 0


def predict(model: str | Path, examples: str | Path, split: str, record: Training) -> Predictions:
    """Run the SavedModel's `serving_default` over a split, in batches.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact.
        split: Name of the split.
        record: Training record of the model artifact.

    Raises:
        InputError: The SavedModel cannot be loaded, or the examples lack a column of its inputs.
        DataError: No row of the split has a label of a class in training.
    """
    try:
        run = tf.saved_model.load(str(saved_model(model))).signatures["serving_default"]
    except (OSError, KeyError) as error:
        raise InputError(
            f"Could not load the signature serving_default of the SavedModel in '{model}': {error}. "
            "Pass the model output of the training step."
        ) from None
    specs = run.structured_input_signature[1]
    output = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}[record.task]
    truths, answers = [], []
    unlabelled = 0
    unknown: Counter[str] = Counter()
    for table in _batches(examples, split, [*specs, record.label]):
        labelled = table.filter(has_label(table[record.label]))
        unlabelled += table.num_rows - labelled.num_rows
        truth = labelled[record.label]
        if record.task == "regression":
            truth = pc.cast(truth, pa.float64(), safe=False)
        else:
            names = pa.array([class_name(value) for value in truth.to_pylist()], pa.string())
            truth = pc.index_in(names, pa.array(record.classes, pa.string()))
            unknown.update(names.filter(truth.is_null()).to_pylist())
            labelled, truth = labelled.filter(truth.is_valid()), truth.drop_null()
        if labelled.num_rows:
            inputs = {name: _tensor(labelled[name], spec) for name, spec in specs.items()}
            answers.append(run(**inputs)[output].numpy())
            truths.append(np.asarray(truth))
    if not truths:
        classes = f"only classes that were not in training: {', '.join(sorted(unknown)[:10])}"
        raise DataError(
            f"split should have rows with a label known from training. Received: split='{split}', where "
            f"'{record.label}' has {classes if unknown else 'no values'}. Train and evaluate on the same data."
        )
    return Predictions(np.concatenate(truths), np.concatenate(answers), dict(unknown), unlabelled)


def _batches(examples: str | Path, split: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    for uri, file in open_shards(examples, split):
        absent = [name for name in columns if name not in file.schema_arrow.names]
        if absent:
            raise InputError(
                f"examples should have the columns of the model. Received: '{uri}' without {', '.join(absent)}. "
                "Ingest with the same derive and exclude as in training."
            )
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            yield pa.Table.from_batches([batch])


def _tensor(column: pa.ChunkedArray, spec: tf.TensorSpec) -> tf.Tensor:
    if spec.dtype == tf.string:
        return tf.constant(pc.fill_null(column, "").to_pylist(), tf.string)
    return tf.constant(pc.cast(column, pa.float64(), safe=False).to_numpy(), spec.dtype)
