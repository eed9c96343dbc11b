"""The training columns as records, the encoded label, and its scale."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st

from support.written import table, write_examples
from tiffin.errors import InputError
from tiffin.stages.train import columns, preprocessing
from tiffin.stages.train.features import Category, Features, Number
from tiffin.stages.train.label import Label, find_label, look_at


class TestEncodeLabel:
    @pytest.mark.parametrize(
        ("values", "task", "encoded"),
        [
            ([1, 0, 1], "auto", [1, 0, 1]),
            (["b", "a", "c"], "auto", [1, 0, 2]),
            ([1.5, 2.0, 1.7e9 + 0.001], "auto", [1.5, 2, 1.7e9 + 0.001]),
            ([1.0, 0.0, 1.0], "auto", [1, 0, 1]),
        ],
    )
    def test_is_the_index_of_the_class_or_the_number(self, values, task, encoded):
        label = find_label(look_at([pa.array(values)]), "y", task)
        found = columns.encode_label(pa.array(values), label)

        assert (found.tolist(), found.dtype) == (encoded, np.float64)


FEATURES = Features((Number("n", True, (0, 1)), Number("f", False, (0, 1))), (Category("c", ("a", "ü")),), {})
LABEL = Label("y", "binary", ("no", "yes"))


def read(folder, tables, features=FEATURES, label=LABEL):
    found = columns.read_records(write_examples(folder, {"train": tables}), "train", features, label)
    return np.concatenate([np.empty(0, columns.record_type(features)), *found])


class TestReadRecords:
    def test_no_rows(self, tmp_path):
        rows = table(n=[1], f=[0.5], c=["a"], y=["no"])
        found = read(tmp_path, rows.slice(0, 0))

        assert (len(found), found.dtype) == (0, columns.record_type(FEATURES))

    def test_numbers_and_positions_in_the_vocabulary(self, tmp_path):
        rows = table(
            n=[2**53 - 1, 2**62 + 1, None, 0, 1],
            f=[0.1, 1.7e9 + 0.001, None, float("nan"), float("inf")],
            c=["a", "", None, "ü", "zoo"],
            y=["yes", "no", "no", "yes", "yes"],
        )
        found = read(tmp_path, rows)

        np.testing.assert_array_equal(found["numbers"][:, 0], [2.0**53 - 1, 2.0**62, np.nan, 0, 1])
        np.testing.assert_array_equal(found["numbers"][:, 1], [0.1, 1.7e9 + 0.001, np.nan, np.nan, np.inf])
        assert found["indices"][:, 0].tolist() == [2, 0, 0, 3, 1]
        assert found["target"].tolist() == [1, 0, 0, 1, 1]

    @pytest.mark.parametrize(
        "words", [["a", "", "[UNK]", "[MASK]", " ", "A"], ["ü", "u", "\u0308", "", "x" * 300, "\0"]]
    )
    def test_positions_are_those_of_the_saved_model(self, tmp_path, words):
        features = Features((), (Category("c", tuple(word for word in words[::2] if word)),), {})
        transform, encode, _, _ = preprocessing.build(features)
        found = read(tmp_path, table(c=words, y=["yes"] * 6), features)

        np.testing.assert_array_equal(encode(None, tf.constant(found["indices"])), transform({"c": tf.constant(words)}))

    def test_leaves_out_rows_without_a_label(self, tmp_path):
        features = Features((Number("x", True, (0, 1)),), (), {})
        tables = [table(x=[1, 2], y=["no", None]), table(x=[3, 4], y=[None, "yes"])]
        found = read(tmp_path, tables, features)

        assert found["numbers"][:, 0].tolist() == [1, 4]
        assert found["indices"].shape == (2, 0)

    def test_leaves_out_labels_that_are_no_numbers(self, tmp_path):
        features = Features((Number("x", True, (0, 1)),), (), {})
        rows = table(x=[1, 2, 3, 4], y=[0.5, float("nan"), float("inf"), None])
        found = read(tmp_path, rows, features, Label("y", "regression", ()))

        assert (found["numbers"][:, 0].tolist(), found["target"].tolist()) == ([1], [0.5])

    def test_a_split_that_does_not_exist(self, tmp_path):
        examples = write_examples(tmp_path, {"train": table(x=[1], y=[0])})
        with pytest.raises(InputError, match=r"train.*split='test'"):
            list(columns.read_records(examples, "test", FEATURES, LABEL))


@pytest.mark.parametrize(
    ("names", "label", "message"),
    [(["x"], "yy", r"^label .*'yy'.* 'y'\?"), (["xx"], "y", r"'xx'.* 'x'\?")],
)
def test_a_column_that_does_not_exist(tmp_path, names, label, message):
    examples = write_examples(tmp_path, {"train": table(x=[1], y=[0])})
    features = Features(tuple(Number(name, True, (0, 1)) for name in names), (), {})
    with pytest.raises(InputError, match=rf"{message}.*: x, y\."):
        columns.check_columns(examples, features, label)


class TestScale:
    @pytest.mark.parametrize(
        "target",
        [
            [1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 4],
            [1e12 + 0.5, 1e12, 1e12],
            [-1e300, 1e300],
            [1e-200, 3e-200],
            [1e-9, 2e-9],
            [-5.0, -3.0],
        ],
    )
    def test_gives_mean_zero_and_deviation_one(self, target):
        target = np.array(target)
        scale = columns.find_scale([target], target.min(), target.max())
        scaled = (target - scale.mean) / scale.deviation

        assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-3), pytest.approx(1))

    @given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), min_size=1, max_size=8))
    def test_of_parts_is_that_of_all(self, parts):
        target = np.array([value for part in parts for value in part])
        assume(len(target) and np.ptp(target) > 1e-3)
        scale = columns.find_scale(map(np.array, parts), target.min(), target.max())

        assert (scale.mean, scale.deviation) == pytest.approx((target.mean(), target.std()), rel=1e-9, abs=1e-9)
