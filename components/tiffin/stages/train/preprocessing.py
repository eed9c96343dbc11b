"""Encode raw columns as one vector, with a few wide TensorFlow operations that become part of the SavedModel.

Numeric columns use the piecewise linear encoding of Gorishniy et al., "On Embeddings for Numerical Features in Tabular
Deep Learning" (2022): with edges b_0 < ... < b_k, bin t of x is clip((x - b_(t-1)) / (b_t - b_(t-1)), 0, 1). All columns
share one operation, padded to the largest number of bins: serving time depends on the number of operations.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

import keras
import numpy as np
import tensorflow as tf

from tiffin.stages.train.columns import Scale
from tiffin.stages.train.features import Features

Transform = Callable[[Mapping[str, tf.Tensor]], tf.Tensor]
Signature = Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]
Encode = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Function = TypeVar("Function", bound=Callable[..., Any])


def as_written(function: Function) -> Function:
    """Return the function marked to be traced without AutoGraph, which takes half the time of an export."""
    return cast("Function", tf.autograph.experimental.do_not_convert(function))


def input_signature(features: Features, dates: Collection[str] = ()) -> dict[str, tf.TensorSpec]:
    """Return the raw inputs of a model, `[batch]` per column.

    Numbers are float64: float32 has 7 digits, fewer than a timestamp. NaN is a missing number. Text is string; the empty
    string is a missing value.

    Args:
        features: Input columns.
        dates: Numeric columns that are dates or times, which are text as well.
    """
    signature = {
        n.name: tf.TensorSpec([None], tf.string if n.name in dates else tf.float64, name=n.name)
        for n in features.numbers
    }
    return signature | {c.name: tf.TensorSpec([None], tf.string, name=c.name) for c in features.categories}


def build(features: Features, raw: bool = False) -> tuple[Transform, Encode, list[keras.layers.Layer], list[str]]:
    """Return the transform, its layers for the exporter to track, and the column of each output.

    Args:
        features: Input columns.
        raw: Whether a model of one's own takes the columns: instead of the encoded vector, numbers and positions in the
            vocabularies are passed on as one matrix, `[batch, columns]` float64. Defaults to False.

    Returns:
        transform: Maps raw columns, `[batch]` each, to `[batch, width]` float32 in [0, 1].
        encode: Maps the numbers and indices of `columns.record_type`, `[batch, columns]` each, to the same.
        layers: Lookup tables of the text columns.
        owners: Column name of each of the `width` outputs.
    """
    edges, widths = _edge_matrix(features)
    lookups = [
        # As in `columns`: index 0 is a missing value, index 1 an unknown one.
        keras.layers.StringLookup(vocabulary=list(c.vocabulary), mask_token="", num_oov_indices=1, name=f"lookup_{i}")
        for i, c in enumerate(features.categories)
    ]
    for lookup in lookups:
        lookup.build((None,))  # the exporter takes layers that are built
    depths = [len(c.vocabulary) + 2 for c in features.categories]
    # One gather removes the padding.
    pieces = [(i, t) for i, n in enumerate(features.numbers) for t in range(len(n.edges) - 1)]
    flat = np.array([i * edges.shape[1] + t for i, t in pieces], np.int32) if features.numbers else None

    def columns(values: tf.Tensor | None, indices: Sequence[tf.Tensor]) -> tf.Tensor:
        # An infinite number is missing: it would turn any loss into NaN.
        known = [] if values is None else [tf.where(tf.math.is_finite(values), values, tf.constant(np.nan, tf.float64))]
        return tf.concat([*known, *(tf.cast(index, tf.float64)[:, None] for index in indices)], axis=1)

    def bins(values: tf.Tensor | None, indices: Sequence[tf.Tensor]) -> tf.Tensor:
        blocks = []
        if values is not None:
            missing = tf.math.is_nan(values)
            # A missing value is encoded as the lowest edge, 0 in every bin, and sets its flag.
            known = tf.where(missing, tf.constant(edges[:, 0]), values)
            encoded = tf.clip_by_value((known[:, :, None] - edges[None]) / widths[None], 0.0, 1.0)
            encoded = tf.reshape(tf.cast(encoded, tf.float32), [-1, edges.size])
            blocks += [tf.gather(encoded, flat, axis=1), tf.cast(missing, tf.float32)]
        blocks += [tf.one_hot(i, depth, dtype=tf.float32) for i, depth in zip(indices, depths, strict=True)]
        return tf.concat(blocks, axis=1)

    concatenated = columns if raw else bins

    @as_written
    def transform(inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        numbers = [inputs[n.name] for n in features.numbers]
        words = [lookup(inputs[c.name]) for c, lookup in zip(features.categories, lookups, strict=True)]
        return concatenated(tf.stack(numbers, axis=1) if numbers else None, words)

    @as_written
    def encode(numbers: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        words = tf.unstack(tf.cast(indices, tf.int32), len(depths), axis=1) if depths else []
        return concatenated(numbers if features.numbers else None, words)

    if raw:
        return transform, encode, lookups, features.columns
    owners = [features.numbers[i].name for i, _ in pieces] + [n.name for n in features.numbers]
    for category, depth in zip(features.categories, depths, strict=True):
        owners += [category.name] * depth
    return transform, encode, lookups, owners


def _edge_matrix(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Return lower edges and widths of the bins, `[numbers, longest]`; padding has an edge above any value."""
    longest = max((len(n.edges) - 1 for n in features.numbers), default=1)
    edges = np.full((len(features.numbers), longest), np.finfo(np.float64).max / 4)
    widths = np.ones_like(edges)
    for index, number in enumerate(features.numbers):
        ends = np.array(number.edges)
        edges[index, : len(ends) - 1] = ends[:-1]
        with np.errstate(over="ignore"):  # the difference of two numbers may exceed the largest one
            widths[index, : len(ends) - 1] = np.clip(np.diff(ends), np.finfo(np.float64).tiny, np.finfo(np.float64).max)
    return edges, widths


def unscaled(output: tf.Tensor, scale: Scale) -> tf.Tensor:
    """Return a regression output in the unit of the label, in float64: float32 has 7 digits."""
    return tf.cast(output, tf.float64) * scale.deviation + scale.mean
