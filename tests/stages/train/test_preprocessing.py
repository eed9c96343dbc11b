"""The encoded vector, compared with values calculated by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tiffin.stages.train import preprocessing
from tiffin.stages.train.features import Category, Features, Number

# n: bins 0..10 and 10..30; m: one bin -1..1; c: two values.
FEATURES = Features((Number("n", True, (0, 10, 30)), Number("m", False, (-1, 1))), (Category("c", ("b", "a")),), {})
OWNERS = ["n", "n", "m", "n", "m", "c", "c", "c", "c"]
#  n, m, c -> n 0..10, n 10..30, m, n missing, m missing, c missing, c unknown, b, a
ROWS = [
    ((0, -1.0, "b"), [0, 0, 0, 0, 0, 0, 0, 1, 0]),
    ((5, 0.0, "a"), [0.5, 0, 0.5, 0, 0, 0, 0, 0, 1]),
    ((10, 1.0, ""), [1, 0, 1, 0, 0, 1, 0, 0, 0]),
    ((25, 9.0, "z"), [1, 0.75, 1, 0, 0, 0, 1, 0, 0]),
    ((99, -9.0, "B"), [1, 1, 0, 0, 0, 0, 1, 0, 0]),
    ((np.nan, 0.5, "b"), [0, 0, 0.75, 1, 0, 0, 0, 1, 0]),
    ((np.nan, np.nan, ""), [0, 0, 0, 1, 1, 1, 0, 0, 0]),
    ((np.inf, -np.inf, "b"), [1, 1, 0, 0, 0, 0, 0, 1, 0]),
]
RAW = {
    "n": np.array([row[0] for row, _ in ROWS], np.float64),
    "m": np.array([row[1] for row, _ in ROWS], np.float64),
    "c": np.array([row[2] for row, _ in ROWS]),
}
ENCODED = np.array([vector for _, vector in ROWS], np.float32)


@pytest.fixture(scope="module")
def transform():
    built, encode, _, owners = preprocessing.build(FEATURES)
    assert owners == OWNERS
    return built, encode


def test_the_vector_of_each_row(transform):
    built, encode = transform
    numbers = np.stack([RAW["n"], RAW["m"]], axis=1)
    indices = np.array([{"": 0, "b": 2, "a": 3}.get(word, 1) for word in RAW["c"]], np.int16)[:, None]

    np.testing.assert_array_equal(built({name: tf.constant(values) for name, values in RAW.items()}), ENCODED)
    np.testing.assert_array_equal(encode(tf.constant(numbers), tf.constant(indices)), ENCODED)


@pytest.mark.parametrize(
    "edges",
    [
        (1.7e9, 1.7e9 + 0.001, 1.7e9 + 0.002),
        (1e-9, 2e-9, 3e-9),
        (1, 1 + 2**-52, 1 + 2**-51),
        (-1e30, 0, 1e30),
        (-1.7e308, 0, 1.7e308),
        (2**53 - 2, 2**53 - 1, 2**53),
        (-1.7e15, -1.7e15 + 1, -1.7e15 + 2),
    ],
)
def test_edges_that_float32_cannot_tell_apart(edges):
    encode, *_ = preprocessing.build(Features((Number("x", False, edges),), (), {}))

    np.testing.assert_allclose(encode({"x": tf.constant(edges, tf.float64)}), [[0, 0, 0], [1, 0, 0], [1, 1, 0]])


def test_only_numeric_and_only_text_columns():
    numbers, _, _, owners = preprocessing.build(Features(FEATURES.numbers[1:], (), {}))
    words, _, _, word_owners = preprocessing.build(Features((), FEATURES.categories, {}))

    assert (owners, word_owners) == (["m", "m"], ["c"] * 4)
    np.testing.assert_array_equal(numbers({"m": tf.constant([0.0, np.nan], tf.float64)}), [[0.5, 0], [0, 1]])
    np.testing.assert_array_equal(words({"c": tf.constant(["a", ""])}), [[0, 0, 0, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize("word", ["[UNK]", "[MASK]", " ", "ü"])
def test_any_text_is_a_value(word):
    encode, *_ = preprocessing.build(Features((), (Category("c", (word, "b")),), {}))

    np.testing.assert_array_equal(
        encode({"c": tf.constant([word, "z", ""])}), [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    )


def test_input_signature():
    assert preprocessing.input_signature(FEATURES) == {
        "n": tf.TensorSpec([None], tf.float64, "n"),
        "m": tf.TensorSpec([None], tf.float64, "m"),
        "c": tf.TensorSpec([None], tf.string, "c"),
    }


def test_bins_without_a_normal_width_are_finite():
    encode, *_ = preprocessing.build(Features((Number("x", False, (0.0, 5e-324)),), (), {}))

    assert np.isfinite(encode({"x": tf.constant([0.0, 5e-324, 1.0], tf.float64)})).all()
