"""The network from the encoded columns to the label, and its settings."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError
from tiffin.stages.train.columns import Label


def settings_from(**values: Any) -> Settings:
    """Return the settings for a component's parameters. KFP passes integers inside lists as floats.

    Args:
        **values: Fields of `Settings`.

    Raises:
        InputError: A value is out of range.
    """
    units = values.pop("hidden_units")
    if not all(isinstance(size, int | float) and float(size).is_integer() for size in units):
        raise InputError(f"hidden_units should be a list of integers. Received: hidden_units={units}.")
    settings = Settings(hidden_units=tuple(int(size) for size in units), **values)
    rules = {
        "hidden_units": (all(units >= 1 for units in settings.hidden_units), "at least 1 each"),
        "epochs": (settings.epochs >= 0, "at least 1, or 0 to choose it from the data"),
        "batch_size": (settings.batch_size >= 0, "at least 1, or 0 to choose it from the data"),
        "learning_rate": (0 < settings.learning_rate < float("inf"), "above 0"),
        "dropout": (0 <= settings.dropout < 1, "at least 0 and below 1"),
        "weight_decay": (0 <= settings.weight_decay < float("inf"), "at least 0"),
        "seed": (0 <= settings.seed < 2**32, "from 0 to 2**32 - 1"),
    }
    for name, (holds, rule) in rules.items():
        if not holds:
            raise InputError(f"{name} should be {rule}. Received: {name}={getattr(settings, name)}.")
    return settings


def build(width: int, target: np.ndarray, label: Label, settings: Settings) -> keras.Model:
    """Return the untrained network, which predicts the class shares, or 0 for regression.

    Args:
        width: Width of the encoded rows.
        target: Class indices, or scaled numbers, `[rows]`.
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
    bias = keras.initializers.Constant(_prior(target, label)) if label.task != "regression" else "zeros"
    output = keras.layers.Dense(outputs, kernel_initializer="zeros", bias_initializer=bias, name="output")
    return keras.Model(inputs, output(hidden))


def loss_for(label: Label) -> keras.losses.Loss:
    """Return the loss of the label's task."""
    if label.task == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    if label.task == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return keras.losses.MeanSquaredError()


def _prior(target: np.ndarray, label: Label) -> Sequence[float]:
    """Return the logits of the class shares: the initial bias of the output layer."""
    counts = np.bincount(target.astype(int), minlength=max(2, len(label.classes))).astype(float)
    logs = np.log((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    return [float(logs[1] - logs[0])] if label.task == "binary" else [float(value) for value in logs]
