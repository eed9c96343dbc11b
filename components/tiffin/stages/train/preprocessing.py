"""Encode raw columns as one vector, with a few wide TensorFlow operations that become part of the SavedModel.

Numeric columns use the piecewise linear encoding of Gorishniy et al., "On Embeddings for Numerical Features in Tabular
Deep Learning" (2022): with edges b_0 < ... < b_k, bin t of x is clip((x - b_(t-1)) / (b_t - b_(t-1)), 0, 1). All columns
share one operation, padded to the largest number of bins: serving time depends on the number of operations.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

import keras
import numpy as np
import tensorflow as tf

from tiffin.stages.train.features import Features

Transform = Callable[[Mapping[str, tf.Tensor]], tf.Tensor]
Raw = Mapping[str, np.ndarray]
Function = TypeVar("Function", bound=Callable[..., Any])


def as_written(function: Function) -> Function:
    """Return the function marked to be traced without AutoGraph, which takes half the time of an export."""
    return cast("Function", tf.autograph.experimental.do_not_convert(function))


def input_signature(features: Features) -> dict[str, tf.TensorSpec]:
    """Return the raw inputs of a model, `[batch]` per column.

    Integers are float64, which is exact up to 2**53; other numbers are float32; NaN is a missing number. Text is string;
    the empty string is a missing value.
    """
    signature = {
        n.name: tf.TensorSpec([None], tf.float64 if n.whole else tf.float32, name=n.name) for n in features.numbers
    }
    return signature | {c.name: tf.TensorSpec([None], tf.string, name=c.name) for c in features.categories}


def build(features: Features) -> tuple[Transform, list[keras.layers.Layer], list[str]]:
    """Return the transform, its layers for the exporter to track, and the column of each output.

    Args:
        features: Input columns.

    Returns:
        transform: Maps raw columns, `[batch]` each, to `[batch, width]` float32 in [0, 1].
        layers: Lookup tables of the text columns.
        owners: Column name of each of the `width` outputs.
    """
    edges, widths = _edge_matrix(features)
    lookups = [
        # Index 0 is a missing value, index 1 an unknown one.
        keras.layers.StringLookup(vocabulary=list(c.vocabulary), mask_token="", num_oov_indices=1, name=f"lookup_{i}")
        for i, c in enumerate(features.categories)
    ]
    depths = [len(c.vocabulary) + 2 for c in features.categories]
    # One gather removes the padding.
    pieces = [(i, t) for i, n in enumerate(features.numbers) for t in range(len(n.edges) - 1)]
    flat = np.array([i * edges.shape[1] + t for i, t in pieces], np.int32) if features.numbers else None

    @as_written
    def transform(inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        blocks = []
        if features.numbers:
            values = tf.stack([tf.cast(inputs[n.name], tf.float64) for n in features.numbers], axis=1)
            missing = tf.math.is_nan(values)
            # A missing value is encoded as the lowest edge, 0 in every bin, and sets its flag.
            known = tf.where(missing, tf.constant(edges[:, 0]), values)
            encoded = tf.clip_by_value((known[:, :, None] - edges[None]) / widths[None], 0.0, 1.0)
            encoded = tf.reshape(tf.cast(encoded, tf.float32), [-1, edges.size])
            blocks += [tf.gather(encoded, flat, axis=1), tf.cast(missing, tf.float32)]
        blocks += [
            tf.one_hot(lookup(inputs[c.name]), depth, dtype=tf.float32)
            for c, lookup, depth in zip(features.categories, lookups, depths, strict=True)
        ]
        return tf.concat(blocks, axis=1)

    owners = [features.numbers[i].name for i, _ in pieces] + [n.name for n in features.numbers]
    for category, depth in zip(features.categories, depths, strict=True):
        owners += [category.name] * depth
    return transform, lookups, owners


def chunks(transform: Transform, raw: Raw, chunk_rows: int = 16_384) -> Iterator[np.ndarray]:
    """Yield the encoded rows in order, in chunks of up to `chunk_rows`: `[chunk, width]` float32."""
    run = tf.function(transform, autograph=False, reduce_retracing=True)
    for start in range(0, len(next(iter(raw.values()))), chunk_rows):
        yield run({name: tf.constant(values[start : start + chunk_rows]) for name, values in raw.items()}).numpy()


def batches(
    transform: Transform, raw: Raw, target: np.ndarray, batch_size: int, seed: int, cache_bytes: int = 1 << 30
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Return shuffled batches of encoded rows and targets, and the mean encoded row, `[width]`.

    Args:
        transform: Maps raw columns to the encoded vector.
        raw: Values by column, `[rows]` each.
        target: Targets, `[rows]`.
        batch_size: Rows per batch.
        seed: Shuffling seed. The order differs between epochs and is the same for the same seed.
        cache_bytes: Largest size of the encoded rows to keep in memory, in bytes; larger data is encoded again in every
            epoch. Defaults to 1 GiB.
    """
    # tf.data combines its seed with the global seed.
    keras.utils.set_random_seed(seed)
    rows = len(target)
    parts: list[np.ndarray] = []
    sums: list[np.ndarray] = []
    for chunk in chunks(transform, raw):
        sums.append(chunk.sum(axis=0, dtype=np.float64))
        if rows * chunk.shape[1] * chunk.itemsize <= cache_bytes:
            parts.append(chunk)
    mean = (np.sum(sums, axis=0) / rows).astype(np.float32)
    window = min(rows, 100_000)
    if parts:
        data = (
            tf.data.Dataset.from_tensor_slices((np.concatenate(parts), target))
            .shuffle(window, seed=seed)
            .batch(batch_size)
        )
    else:
        data = tf.data.Dataset.from_tensor_slices((dict(raw), target)).shuffle(window, seed=seed).batch(batch_size)
        data = data.map(lambda columns, labels: (transform(columns), labels), num_parallel_calls=tf.data.AUTOTUNE)
    return data.prefetch(2), mean


def _edge_matrix(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Return lower edges and widths of the bins, `[numbers, longest]`; padding has an edge above any value."""
    longest = max((len(n.edges) - 1 for n in features.numbers), default=1)
    edges = np.full((len(features.numbers), longest), np.finfo(np.float64).max / 4)
    widths = np.ones_like(edges)
    for index, number in enumerate(features.numbers):
        ends = np.array(number.edges)
        edges[index, : len(ends) - 1] = ends[:-1]
        widths[index, : len(ends) - 1] = np.diff(ends)
    return edges, widths
