"""The label's values in batches, its task and classes, and labels that are rejected."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import DataError, InputError
from tiffin.stages.train import label as module
from tiffin.stages.train.label import Values, find_label, look_at


def find(values, task="auto"):
    return find_label(look_at([pa.array(values)]), "y", task)


class TestLookAt:
    @pytest.mark.parametrize("batches", [[], [pa.array([None, None], pa.float64())], [pa.array([], pa.string())]])
    def test_no_values(self, batches):
        missing = sum(map(len, batches))

        assert look_at(batches) == Values(0, missing, [], 0, False, True, 0.0, 0.0)

    def test_numbers(self):
        batches = [pa.array([2.0, None, -0.0]), pa.array([0.0, float("nan"), float("inf")]), pa.array([2.0, 1.5])]

        assert look_at(batches) == Values(5, 3, [0.0, 1.5, 2.0], 3, False, False, 0.0, 2.0)

    def test_text(self):
        assert look_at([pa.array(["b", None]), pa.array(["a", "b"])]) == Values(
            3, 1, ["a", "b"], 2, True, True, 0.0, 0.0
        )

    def test_the_first_thousand_of_many(self):
        values = look_at([pa.array(range(5000, 0, -1))])

        assert (list(values.distinct), values.count, values.counted) == (list(range(1, 1001)), 5000, "5000")

    @pytest.mark.parametrize("kind", [int, float, str])
    def test_more_than_are_counted(self, monkeypatch, kind):
        monkeypatch.setattr(module, "_MAX_DISTINCT", 100)
        monkeypatch.setattr(module, "_MERGED", 30)
        values = look_at([pa.array([kind(number)] * 3) for number in range(150, 0, -1)])
        first = sorted(map(kind, range(1, 151)))[:5]

        assert (values.rows, list(values.distinct), values.count, values.counted) == (450, first, 101, "more than 100")

    def test_many_whole_numbers_are_no_classes(self, monkeypatch):
        monkeypatch.setattr(module, "_MAX_DISTINCT", 100)
        values = look_at([pa.array(list(range(150)) * 5)])
        found = find_label(values, "y", "auto")

        assert found.task == "regression"
        assert "100 " in found.choice
        assert "(0, 1, 2, 3, 4, ...)" in found.choice
        with pytest.raises(InputError, match=r"label='y' with .* 100: 0, 1, 2, 3, 4\."):
            find_label(values, "y", "binary")

    @given(st.lists(st.lists(st.one_of(st.none(), st.integers(-40, 40)), max_size=30), max_size=8))
    def test_batches_make_no_difference(self, lists):
        batches = [pa.array(values, pa.int64()) for values in lists]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_MERGED", 3)
            found = look_at(batches)

        assert found == look_at([pa.concat_arrays([*batches, pa.array([], pa.int64())])])
        present = {value for values in lists for value in values if value is not None}
        assert (list(found.distinct), found.count) == (sorted(present), len(present))


class TestFindLabel:
    @pytest.mark.parametrize("values", [[1], [0.5, 0.5], ["a", "a"]])
    def test_one_value(self, values):
        with pytest.raises(DataError, match=rf"label='y', always {values[0]}\."):
            find(values, "auto")

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
        found = find(values, "auto")

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
        found = find(values, task).choice

        assert all(part in found for part in choice)

    @pytest.mark.parametrize(
        ("values", "task", "classes"),
        [([0, 1], "multiclass", ("0", "1")), ([0, 1], "regression", ()), (list(range(30)), "multiclass", 30)],
    )
    def test_explicit_task(self, values, task, classes):
        found = find(values, task)

        assert found.task == task
        assert classes in (found.classes, len(found.classes))

    def test_unknown_task(self):
        with pytest.raises(InputError, match=r"task='binry'.* 'binary'\?"):
            find([0, 1], "binry")

    def test_a_binary_label_with_three_values(self):
        with pytest.raises(InputError, match=r"'binary'.*label='y' with 3: a, b, c.*'multiclass'"):
            find(["a", "b", "c"], "binary")

    def test_a_regression_of_text(self):
        with pytest.raises(InputError, match=r"'regression'.*label='y', text"):
            find(["a", "b"], "regression")

    def test_more_than_a_thousand_classes(self):
        with pytest.raises(DataError, match=r"1000.*label='y' with 1001\."):
            find([str(number) for number in range(1001)])
