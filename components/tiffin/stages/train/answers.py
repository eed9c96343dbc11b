"""Predictions of the trained network for the sample rows, without its export: the exported model must give the same."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import tensorflow as tf

from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import OUTPUTS, Answers, Task
from tiffin.errors import InputError
from tiffin.stages.train.features import Features
from tiffin.stages.train.preprocessing import Signature, input_signature


def find_answers(
    serve: Signature, features: Features, dates: Collection[str], task: Task, examples: str | Path
) -> Answers | None:
    """Return the predictions for the sample rows; None if the examples have none, or if one is not finite.

    Args:
        serve: Maps raw columns to predictions, with the network in memory.
        features: Input columns.
        dates: Numeric columns that are dates or times, which are text.
        task: Task of the model.
        examples: Folder of the examples artifact.
    """
    try:
        rows = read_sample_rows(examples, features.columns)
    except InputError:
        return None
    columns = {name: [row[name] for row in rows] for name in features.columns}
    inputs = {
        name: tf.constant([_missing(spec.dtype) if value is None else value for value in columns[name]], spec.dtype)
        for name, spec in input_signature(features, dates).items()
    }
    found = np.asarray(serve(inputs)[OUTPUTS[task]]).reshape(len(rows), -1)
    if not np.isfinite(found).all():
        return None
    return Answers(
        {name: tuple(values) for name, values in columns.items()}, tuple(tuple(row) for row in found.tolist())
    )


def _missing(dtype: tf.DType) -> str | float:
    return "" if dtype == tf.string else float("nan")
