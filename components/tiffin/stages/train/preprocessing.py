"""From raw columns to one vector of numbers in a few wide TensorFlow operations, which become part of the SavedModel.

Numbers use the piecewise linear encoding of Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep
Learning" (2022): with edges b_0 < ... < b_k, piece t of x is clip((x - b_(t-1)) / (b_t - b_(t-1)), 0, 1). All columns
share one operation, padded to the longest list of edges, because at serving time the number of operations is the cost.
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
    """Return the function so that TensorFlow traces it without autograph, whose rewriting is half the time of an export."""
    return cast("Function", tf.autograph.experimental.do_not_convert(function))


def input_signature(features: Features) -> dict[str, tf.TensorSpec]:
    """Return the raw inputs of a model: one row of values a column, of shape `[batch]`.

    Whole numbers are float64 and others float32, so that NaN can stand for a missing value and whole numbers stay exact
    up to 2**53; text is string, with the empty string for a missing value.
    """
    signature = {
        n.name: tf.TensorSpec([None], tf.float64 if n.whole else tf.float32, name=n.name) for n in features.numbers
    }
    return signature | {c.name: tf.TensorSpec([None], tf.string, name=c.name) for c in features.categories}


def build(features: Features) -> tuple[Transform, list[keras.layers.Layer], list[str]]:
    """Return the transformation, the layers it holds (for the exporter to track), and each output's column.

    Returns:
        transform: From raw columns, `[batch]` each, to `[batch, width]` float32 in [0, 1].
        layers: The lookup tables of the categories.
        owners: `width` column names: whose value stands there.
    """
    edges, widths = _edge_matrix(features)
    lookups = [
        # Index 0 is a missing value, 1 a value never seen.
        keras.layers.StringLookup(vocabulary=list(c.vocabulary), mask_token="", num_oov_indices=1, name=f"lookup_{i}")
        for i, c in enumerate(features.categories)
    ]
    depths = [len(c.vocabulary) + 2 for c in features.categories]
    # Padding is cut away by gathering the real pieces once.
    pieces = [(i, t) for i, n in enumerate(features.numbers) for t in range(len(n.edges) - 1)]
    flat = np.array([i * edges.shape[1] + t for i, t in pieces], np.int32) if features.numbers else None

    @as_written
    def transform(inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        blocks = []
        if features.numbers:
            values = tf.stack([tf.cast(inputs[n.name], tf.float64) for n in features.numbers], axis=1)
            missing = tf.math.is_nan(values)
            # NaN is below every edge, so a missing value has no piece and only its own flag.
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
    """Yield all rows encoded, `[up to chunk_rows, width]` float32 each, in order."""
    run = tf.function(transform, autograph=False, reduce_retracing=True)
    for start in range(0, len(next(iter(raw.values()))), chunk_rows):
        yield run({name: tf.constant(values[start : start + chunk_rows]) for name, values in raw.items()}).numpy()


def batches(
    transform: Transform, raw: Raw, target: np.ndarray, batch_size: int, seed: int, cache_bytes: int = 1 << 30
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Return shuffled batches of encoded rows and targets, and the mean encoded row, `[width]`.

    Args:
        transform: From raw columns to the encoded vector.
        raw: Column to values, `[rows]` each.
        target: `[rows]`.
        batch_size: Rows a batch.
        seed: Of the shuffling, which differs from pass to pass and not from run to run.
        cache_bytes: Up to this size the encoded rows are kept; above it they are encoded again in every pass.
    """
    # The shuffling's seed counts together with the global one.
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
    """Return lower edges and widths of the pieces, `[numbers, longest]`; padding has an edge that nothing reaches."""
    longest = max((len(n.edges) - 1 for n in features.numbers), default=1)
    edges = np.full((len(features.numbers), longest), np.finfo(np.float64).max / 4)
    widths = np.ones_like(edges)
    for index, number in enumerate(features.numbers):
        ends = np.array(number.edges)
        edges[index, : len(ends) - 1] = ends[:-1]
        widths[index, : len(ends) - 1] = np.diff(ends)
    return edges, widths
