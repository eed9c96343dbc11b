"""The network from the encoded columns to the label, and its settings."""

from collections.abc import Sequence

import keras
import numpy as np

from tiffin.artifacts.model import Settings
from tiffin.stages.train.label import Label


def build(width: int, counts: np.ndarray, label: Label, settings: Settings) -> keras.Model:
    """Return the untrained network, which predicts the class shares, or 0 for regression.

    Args:
        width: Width of the encoded rows.
        counts: Rows of each class; not used for regression.
        label: Label to predict.
        settings: Training settings.

    Returns:
        A model from `[batch, width]` to logits, `[batch, 1]` for a binary label and `[batch, classes]` for a multiclass
        label, or to the scaled number, `[batch, 1]`.
    """
    inputs = keras.Input((width,), name="encoded")
    hidden = inputs
    for units in settings.hidden_units:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        if settings.dropout:
            hidden = keras.layers.Dropout(settings.dropout)(hidden)
    outputs = len(label.classes) if label.task == "multiclass" else 1
    bias = keras.initializers.Constant(_prior(counts, label)) if label.task != "regression" else "zeros"
    output = keras.layers.Dense(outputs, kernel_initializer="zeros", bias_initializer=bias, name="output")
    return keras.Model(inputs, output(hidden))


def loss_for(label: Label) -> keras.losses.Loss:
    """Return the loss of the label's task."""
    if label.task == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if label.task == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return keras.losses.MeanSquaredError()


def _prior(counts: np.ndarray, label: Label) -> Sequence[float]:
    """Return the logits of the class shares: the initial bias of the output layer."""
    logs = np.log((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    return [float(logs[1] - logs[0])] if label.task == "binary" else [float(value) for value in logs]
