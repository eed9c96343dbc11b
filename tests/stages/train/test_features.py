"""The features chosen from the columns, and the reasons to leave columns out."""

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from support.written import table, write_schema, write_statistics
from tiffin.artifacts.schema import read_schema
from tiffin.artifacts.statistics import find_split, read_statistics
from tiffin.errors import InputError
from tiffin.stages.train import features

ROWS = 200


def choose(tmp_path, change=None, **columns):
    rows = table(y=[row % 2 for row in range(ROWS)], **columns)
    statistics = find_split(read_statistics(write_statistics(tmp_path, rows)), "train")
    schema = read_schema(write_schema(tmp_path, rows))
    if change:
        change(schema)
    return features.choose(statistics, schema, "y")


COUNT = list(range(ROWS))


class TestNumbers:
    def test_are_split_at_their_quantiles(self, tmp_path):
        [number] = choose(tmp_path, n=[0, 10, 10, 40] * (ROWS // 4)).numbers

        assert (number.name, number.whole, number.edges) == ("n", True, (0.0, 10.0, 40.0))

    def test_of_fractions(self, tmp_path):
        [number] = choose(tmp_path, n=[0.5, 1.5] * (ROWS // 2)).numbers

        assert (number.whole, number.edges) == (False, (0.5, 1.5))

    def test_with_many_values_have_thirty_two_bins(self, tmp_path):
        [number] = choose(tmp_path, n=COUNT).numbers

        assert len(number.edges) == 33
        assert (number.edges[0], number.edges[-1]) == (0, 199)

    def test_with_one_value_besides_missing_are_kept(self, tmp_path):
        [number] = choose(tmp_path, n=[7 if row % 2 else None for row in COUNT]).numbers

        assert number.edges == (7.0, 8.0)

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ([7] * ROWS, "constant"),
            ([None] * (ROWS - 4) + [7] * 4, "nearly always missing"),
        ],
    )
    def test_without_information_are_left_out(self, tmp_path, values, reason):
        assert choose(tmp_path, n=values, other=COUNT).left_out == {"n": reason}


class TestCategories:
    def test_have_a_vocabulary_with_the_most_frequent_value_first(self, tmp_path):
        [category] = choose(tmp_path, c=["a", "b", "b", "c"] * (ROWS // 4)).categories

        assert category.vocabulary[0] == "b"
        assert set(category.vocabulary) == {"a", "b", "c"}

    def test_have_no_value_seen_less_than_twice_in_two_hundred_rows(self, tmp_path):
        [category] = choose(tmp_path, c=["a", "b"] * 99 + ["b", "rare"]).categories

        assert category.vocabulary == ("b", "a")

    def test_treat_empty_text_as_missing(self, tmp_path):
        [category] = choose(tmp_path, c=["a", "b", "", ""] * (ROWS // 4)).categories

        assert set(category.vocabulary) == {"a", "b"}

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (["x"] * ROWS, "nearly constant"),
            ([None] * ROWS, "nearly always missing"),
            ([""] * ROWS, "nearly always missing"),
            ([None] * (ROWS - 4) + ["x"] * 4, "nearly always missing"),
            ([f"id {row}" for row in COUNT], "mostly unique values"),
        ],
    )
    def test_without_information_are_left_out(self, tmp_path, values, reason):
        assert choose(tmp_path, c=values, other=COUNT).left_out == {"c": reason}

    def test_with_one_value_besides_missing_are_kept(self, tmp_path):
        [category] = choose(tmp_path, c=["x" if row % 2 else None for row in COUNT]).categories

        assert category.vocabulary == ("x",)


class TestSchema:
    def test_excludes_columns(self, tmp_path):
        def change(schema):
            for feature in schema.feature:
                if feature.name == "old":
                    feature.lifecycle_stage = schema_pb2.DEPRECATED
            del schema.feature[[feature.name for feature in schema.feature].index("new")]

        found = choose(tmp_path, change, old=COUNT, new=COUNT, kept=COUNT)

        assert (found.columns, found.left_out) == (["kept"], {"old": "not in the schema", "new": "not in the schema"})

    def test_that_leaves_no_feature(self, tmp_path):
        with pytest.raises(InputError, match=r"label='y'.*: n \(constant\)\."):
            choose(tmp_path, n=[7] * ROWS)
