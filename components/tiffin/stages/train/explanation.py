"""The signature `explain`: one attribution per column, computed in the graph.

Attributions are integrated gradients (Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017) along the
straight line from the mean training row. They add up to tiffin_score - tiffin_baseline, up to the error of a Riemann
sum over 32 points.

The first layer of a chain of layers is linear, so its sums along the line are interpolated between those of its ends, and the
slopes are taken at these sums: the wide layer runs twice instead of 32 times, forwards and backwards.
"""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tiffin.stages.train.columns import Scale
from tiffin.stages.train.dates import Dates
from tiffin.stages.train.features import Features
from tiffin.stages.train.label import Label
from tiffin.stages.train.preprocessing import Signature, Transform, as_written, unscaled

_POINTS = 32


def build(
    features: Features,
    dates: Dates,
    transform: Transform,
    model: keras.Model,
    label: Label,
    owners: Sequence[str],
    scale: Scale,
    mean_row: np.ndarray,
) -> Signature:
    """Return the function of the signature.

    Args:
        features: Input columns.
        dates: Inputs that are dates.
        transform: Maps raw columns to the encoded vector.
        model: Maps the encoded vector to logits, or to scaled numbers for regression.
        label: Label to predict.
        owners: Column of each position of the encoded vector.
        scale: Mean and standard deviation of a regression label.
        mean_row: Mean encoded vector of the training data, `[width]`.
    """
    columns = features.columns
    # [width, columns]: sums the positions of each column.
    sums = np.zeros((len(owners), len(columns)), np.float32)
    sums[np.arange(len(owners)), [columns.index(owner) for owner in owners]] = 1.0
    # Midpoint rule: a smaller error than the left or right rule with the same number of points.
    points = (np.arange(_POINTS, dtype=np.float32) + 0.5) / _POINTS
    into, back, after = _linear_start(model)

    @as_written
    def explain(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        encoded, start = transform(dates.read(inputs)[0]), tf.constant(mean_row[None], tf.float32)
        here, there = into(start), into(encoded)
        output, first = after(there), after(here)
        chosen = tf.argmax(output, axis=1)  # Index 0 unless there are several classes.
        path = here[:, None] + tf.constant(points)[None, :, None] * (there - here)[:, None]
        flat = tf.reshape(path, [-1, path.shape[-1]])
        along = tf.gather(after(flat), tf.repeat(chosen, _POINTS), axis=1, batch_dims=1)
        slopes = tf.reduce_mean(tf.reshape(tf.gradients(along, flat)[0], tf.shape(path)), axis=1)
        shares = tf.matmul((encoded - start) * back(slopes), tf.constant(sums))
        score = tf.gather(output, chosen, axis=1, batch_dims=1)
        baseline = tf.gather(tf.repeat(first, tf.shape(output)[0], axis=0), chosen, axis=1, batch_dims=1)
        if label.task == "regression":
            shares = tf.cast(shares, tf.float64) * scale.deviation
            score, baseline = unscaled(score, scale), unscaled(baseline, scale)
        result = {name: shares[:, i] for i, name in enumerate(columns)}
        return result | {"tiffin_score": score, "tiffin_baseline": baseline}

    return explain


_Map = Callable[[tf.Tensor], tf.Tensor]


def _linear_start(model: keras.Model) -> tuple[_Map, _Map, _Map]:
    """Return the linear start of a model, the map of slopes back through it, and the rest of the model.

    For a model that does not start with a dense layer, or is no chain of layers, the start changes nothing.
    """
    chain = _chain(model)
    if not chain or type(chain[0]) is not keras.layers.Dense:
        return tf.identity, tf.identity, lambda rows: model(rows, training=False)
    first, *rest = chain

    def into(rows: tf.Tensor) -> tf.Tensor:
        product = tf.matmul(rows, first.kernel)
        return product if first.bias is None else product + first.bias

    def after(sums: tf.Tensor) -> tf.Tensor:
        rows = first.activation(sums)
        for layer in rest:
            rows = layer(rows, training=False)
        return rows

    return into, lambda slopes: tf.matmul(slopes, first.kernel, transpose_b=True), after


def _chain(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model in which each takes the output of the one before; empty for another model."""
    try:
        [rows], [output] = model.inputs, model.outputs
        layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
        for layer in layers:
            if layer.input is not rows:
                return []
            rows = layer.output
    except (AttributeError, TypeError, ValueError):  # no inputs are declared, or a layer is used more than once
        return []
    return layers if rows is output else []
