"""The label's task and classes, labels that are rejected, and the model's raw inputs."""

import numpy as np
import pyarrow as pa
import pytest

from support.written import table, write_examples
from tiffin.errors import DataError, InputError
from tiffin.stages.train import columns
from tiffin.stages.train.features import Category, Features, Number


def chunked(values):
    return pa.chunked_array([pa.array(values)])


class TestFindLabel:
    @pytest.mark.parametrize("values", [[1], [0.5, 0.5], ["a", "a"]])
    def test_one_value(self, values):
        with pytest.raises(DataError, match=rf"label='y', always {values[0]}\."):
            columns.find_label(chunked(values), "y", "auto")

    @pytest.mark.parametrize(
        ("values", "task", "classes"),
        [
            ([1, 0, 1], "binary", ("0", "1")),
            ([1.0, 0.0], "binary", ("0", "1")),
            ([2.5, 1.5], "binary", ("1.5", "2.5")),
            (["yes", "no"], "binary", ("no", "yes")),
            (["b", "a", "c"], "multiclass", ("a", "b", "c")),
            ([10, 9, 2] * 5, "multiclass", ("2", "9", "10")),
            ([0.0, 1.0, 2.0] * 5, "multiclass", ("0", "1", "2")),
            ([-0.0, 0.0, 1.0, 2.0] * 5, "multiclass", ("0", "1", "2")),
            ([-1.0, 0.0, 1.0] * 5, "multiclass", ("-1", "0", "1")),
            (list(range(20)) * 5, "multiclass", tuple(map(str, range(20)))),
            (list(map(float, range(20))) * 5, "multiclass", tuple(map(str, range(20)))),
            # Too many, or too few rows for each: numbers.
            (list(range(21)) * 50, "regression", ()),
            (list(range(20)) * 4, "regression", ()),
            ([2001.0, 2002.0, 2003.0], "regression", ()),
            ([0.5, 1.0, 1.5] * 50, "regression", ()),
            ([0.0, 1.0, 2.5] * 50, "regression", ()),
        ],
    )
    def test_auto_derives_the_task_from_the_values(self, values, task, classes):
        found = columns.find_label(chunked(values), "y", "auto")

        assert (found.name, found.task, found.classes) == ("y", task, classes)

    @pytest.mark.parametrize(
        ("values", "task", "choice"),
        [
            ([0.0, 1.0, 2.0] * 5, "auto", ("multiclass", "3", "(0, 1, 2)", "task=regression")),
            ([3.0, 1.0, 2.0], "auto", ("regression", "3", "(1, 2, 3)", "task=multiclass")),
            ([1.0, 0.0], "auto", ("binary", "2", "(0, 1)", "task=regression")),
            ([0.5, 1.0, 2.0], "auto", ("regression", "task=multiclass")),
            (["b", "a", "c"], "auto", ("multiclass", "3", "(a, b, c)")),
            ([0, 1], "multiclass", ("multiclass",)),
        ],
    )
    def test_the_choice_has_the_task_the_values_and_the_alternative(self, values, task, choice):
        found = columns.find_label(chunked(values), "y", task).choice

        assert all(part in found for part in choice)

    @pytest.mark.parametrize(
        ("values", "task", "classes"),
        [([0, 1], "multiclass", ("0", "1")), ([0, 1], "regression", ()), (list(range(30)), "multiclass", 30)],
    )
    def test_explicit_task(self, values, task, classes):
        found = columns.find_label(chunked(values), "y", task)

        assert found.task == task
        assert classes in (found.classes, len(found.classes))

    def test_unknown_task(self):
        with pytest.raises(InputError, match=r"task='binry'.* 'binary'\?"):
            columns.find_label(chunked([0, 1]), "y", "binry")

    def test_a_binary_label_with_three_values(self):
        with pytest.raises(InputError, match=r"'binary'.*label='y' with 3: a, b, c.*'multiclass'"):
            columns.find_label(chunked(["a", "b", "c"]), "y", "binary")

    def test_a_regression_of_text(self):
        with pytest.raises(InputError, match=r"'regression'.*label='y', text"):
            columns.find_label(chunked(["a", "b"]), "y", "regression")

    def test_more_than_a_thousand_classes(self):
        with pytest.raises(DataError, match=r"1000.*label='y' with 1001\."):
            columns.find_label(chunked([str(number) for number in range(1001)]), "y", "auto")


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
        found = columns.encode_label(chunked(values), columns.find_label(chunked(values), "y", task))

        assert (found.tolist(), found.dtype) == (encoded, np.float64)


class TestReadTable:
    def test_leaves_out_rows_without_a_label(self, tmp_path):
        examples = write_examples(tmp_path, {"train": [table(x=[1, 2], y=[0, None]), table(x=[3, 4], y=[None, 1])]})
        found, unlabelled = columns.read_table(examples, "train", ["x"], "y")

        assert (found["x"].to_pylist(), unlabelled) == ([1, 4], 2)

    def test_leaves_out_labels_that_are_no_numbers(self, tmp_path):
        rows = table(x=[1, 2, 3, 4], y=[0.5, float("nan"), float("inf"), None])
        found, unlabelled = columns.read_table(write_examples(tmp_path, {"train": rows}), "train", ["x"], "y")

        assert (found["x"].to_pylist(), unlabelled) == ([1], 3)

    def test_no_row_has_a_label(self, tmp_path):
        examples = write_examples(tmp_path, {"train": table(x=[1, 2], y=[None, None])})
        with pytest.raises(DataError, match=r"label='y'.*'train'"):
            columns.read_table(examples, "train", ["x"], "y")

    @pytest.mark.parametrize(
        ("names", "label", "message"),
        [(["x"], "yy", r"^label .*'yy'.* 'y'\?"), (["xx"], "y", r"'xx'.* 'x'\?")],
    )
    def test_a_column_that_does_not_exist(self, tmp_path, names, label, message):
        examples = write_examples(tmp_path, {"train": table(x=[1], y=[0])})
        with pytest.raises(InputError, match=rf"{message}.*: x, y\."):
            columns.read_table(examples, "train", names, label)

    def test_a_split_that_does_not_exist(self, tmp_path):
        examples = write_examples(tmp_path, {"train": table(x=[1], y=[0])})
        with pytest.raises(InputError, match=r"train.*split='test'"):
            columns.read_table(examples, "test", ["x"], "y")


def test_missing_values_are_nan_or_the_empty_string():
    features = Features((Number("n", True, (0, 1)), Number("f", False, (0, 1))), (Category("c", ("a",)),), {})
    rows = table(n=[2**53 - 1, 2**62 + 1, None], f=[0.1, 1.7e9 + 0.001, None], c=["a", "", None])
    found = columns.raw_inputs(rows, features)

    np.testing.assert_array_equal(found["n"], [2.0**53 - 1, 2.0**62, np.nan])
    np.testing.assert_array_equal(found["f"], [0.1, 1.7e9 + 0.001, np.nan])
    assert (found["n"].dtype, found["f"].dtype, found["c"].tolist()) == (np.float64, np.float64, ["a", "", ""])


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
        scale = columns.find_scale(target, columns.Label("y", "regression", ()))
        scaled = (target - scale.mean) / scale.deviation

        assert (scaled.mean(), scaled.std()) == (pytest.approx(0, abs=1e-3), pytest.approx(1))

    def test_of_classes_changes_nothing(self):
        assert columns.find_scale(np.array([0.0, 2.0]), columns.Label("y", "binary", ("a", "b"))) == columns.Scale(0, 1)
