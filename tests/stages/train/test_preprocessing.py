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
    "m": np.array([row[1] for row, _ in ROWS], np.float32),
    "c": np.array([row[2] for row, _ in ROWS]),
}
ENCODED = np.array([vector for _, vector in ROWS], np.float32)


@pytest.fixture(scope="module")
def transform():
    built, _, owners = preprocessing.build(FEATURES)
    assert owners == OWNERS
    return built


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_the_vector_of_each_row(transform, rows):
    np.testing.assert_array_equal(np.concatenate(list(preprocessing.chunks(transform, RAW, rows))), ENCODED)


def test_only_numeric_and_only_text_columns():
    numbers, _, owners = preprocessing.build(Features(FEATURES.numbers[1:], (), {}))
    words, _, word_owners = preprocessing.build(Features((), FEATURES.categories, {}))

    assert (owners, word_owners) == (["m", "m"], ["c"] * 4)
    np.testing.assert_array_equal(numbers({"m": tf.constant([0.0, np.nan])}), [[0.5, 0], [0, 1]])
    np.testing.assert_array_equal(words({"c": tf.constant(["a", ""])}), [[0, 0, 0, 1], [1, 0, 0, 0]])


@pytest.mark.parametrize("word", ["[UNK]", "[MASK]", " ", "ü"])
def test_any_text_is_a_value(word):
    encode, _, _ = preprocessing.build(Features((), (Category("c", (word, "b")),), {}))

    np.testing.assert_array_equal(
        encode({"c": tf.constant([word, "z", ""])}), [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    )


def test_input_signature():
    assert preprocessing.input_signature(FEATURES) == {
        "n": tf.TensorSpec([None], tf.float64, "n"),
        "m": tf.TensorSpec([None], tf.float32, "m"),
        "c": tf.TensorSpec([None], tf.string, "c"),
    }


class TestBatches:
    def read(self, transform, seed=1, **options):
        data, mean = preprocessing.batches(transform, RAW, np.arange(len(ROWS), dtype=np.float32), 3, seed, **options)
        passes = [[(rows.numpy(), target.numpy()) for rows, target in data] for _ in range(2)]
        return passes, mean

    @pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
    def test_contain_each_row_once_with_its_target(self, transform, cache_bytes):
        passes, mean = self.read(transform, cache_bytes=cache_bytes)

        np.testing.assert_allclose(mean, ENCODED.mean(axis=0), rtol=1e-6)
        for batches in passes:
            assert [len(rows) for rows, _ in batches] == [3, 3, 2]
            targets = np.concatenate([target for _, target in batches])
            assert sorted(targets) == list(range(len(ROWS)))
            np.testing.assert_array_equal(np.concatenate([rows for rows, _ in batches]), ENCODED[targets.astype(int)])

    @pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
    def test_have_an_order_that_depends_on_the_seed(self, transform, cache_bytes):
        def order(seed):
            passes, _ = self.read(transform, seed, cache_bytes=cache_bytes)
            return [[float(value) for _, target in batches for value in target] for batches in passes]

        assert order(1) == order(1) != order(2)
        assert order(1)[0] != order(1)[1]
