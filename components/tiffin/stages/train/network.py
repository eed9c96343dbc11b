"""Build and train the network from the encoded columns to the label."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tiffin.artifacts.model import Settings
from tiffin.stages.train.columns import Label


def fit(data: tf.data.Dataset, target: np.ndarray, label: Label, settings: Settings) -> tuple[keras.Model, list[float]]:
    """Train a network and return it with the loss of each epoch.

    The same data and settings give the same weights on the same machine.

    Args:
        data: Batches of encoded rows, `[batch, width]` float32, and targets scaled by `scaled`, `[batch]` float32.
        target: Unscaled targets of all rows, `[rows]` float32: numbers, or class indices.
        label: Label to predict.
        settings: Training settings.

    Returns:
        The model and the mean training loss of each epoch. The model maps `[batch, width]` to logits, `[batch, 1]` for
        a binary label and `[batch, classes]` for a multiclass label, or to the predicted number, `[batch, 1]`.
    """
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    model = _build(data.element_spec[0].shape[1], target, label, settings)
    steps = -(-len(target) // settings.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * steps)
    losses = {
        "binary": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        "multiclass": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "regression": keras.losses.MeanSquaredError,
    }
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        loss=losses[label.task](),
        # Several steps per runtime call: call overhead dominates the training time of a small model.
        steps_per_execution=min(8, steps),
    )
    logger = keras.callbacks.LambdaCallback(on_epoch_end=_log_epoch)
    history = model.fit(data, epochs=settings.epochs, verbose=0, shuffle=False, callbacks=[logger])
    return _unscaled(model, target, label), [float(loss) for loss in history.history["loss"]]


def _build(width: int, target: np.ndarray, label: Label, settings: Settings) -> keras.Model:
    inputs = keras.Input((width,), name="encoded")
    hidden = inputs
    for units in settings.hidden_units:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        if settings.dropout:
            hidden = keras.layers.Dropout(settings.dropout)(hidden)
    outputs = len(label.classes) if label.task == "multiclass" else 1
    bias = keras.initializers.Constant(_prior(target, label)) if label.task != "regression" else "zeros"
    return keras.Model(inputs, keras.layers.Dense(outputs, bias_initializer=bias, name="output")(hidden))


def _prior(target: np.ndarray, label: Label) -> Sequence[float]:
    """Return the logits of the class shares: the initial bias of the output layer."""
    counts = np.bincount(target.astype(int), minlength=max(2, len(label.classes))).astype(float)
    logs = np.log((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    return [float(logs[1] - logs[0])] if label.task == "binary" else [float(value) for value in logs]


def scaled(target: np.ndarray, label: Label) -> np.ndarray:
    """Return a regression target scaled to mean 0 and standard deviation 1; class indices unchanged."""
    if label.task != "regression":
        return target
    scaled: np.ndarray = ((target - target.mean()) / max(float(target.std()), 1e-12)).astype(np.float32)
    return scaled


def _unscaled(model: keras.Model, target: np.ndarray, label: Label) -> keras.Model:
    if label.task != "regression":
        return model
    scale = keras.layers.Rescaling(float(max(float(target.std()), 1e-12)), offset=float(target.mean()), name="unscale")
    return keras.Model(model.inputs, scale(model.outputs[0]))


def _log_epoch(epoch: int, logs: dict[str, float]) -> None:
    print(f"epoch {epoch + 1}: loss {logs['loss']:.4f}", flush=True)  # noqa: T201 - the step's log
