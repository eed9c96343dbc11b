"""The statistics of a split and the rules of a schema, by column."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.validation.columns import Rules, Split


def split(text):
    return Split(text_format.Parse(text, statistics_pb2.DatasetFeatureStatistics()))


def rules(text):
    return Rules(text_format.Parse(text, schema_pb2.Schema()))


COLUMN = 'features { path { step: "a" } num_stats { min: 2 } }'
# The key of the split has 5 values in 20 rows.
KEY = 'num_examples: 20 features { path { step: "shop" } num_stats {} custom_stats { name: "groups" num: 5 } }'


class TestSplit:
    def test_without_columns_has_no_statistics(self):
        empty = split('name: "eval"')

        assert (empty.name, empty.rows, empty.columns, empty.groups, empty.draws()) == ("eval", 0, {}, None, 0)
        assert empty.find("a").string_stats.common_stats.num_non_missing == 0

    def test_has_its_columns(self):
        assert split(COLUMN).find("a").num_stats.min == 2

    def test_draws_each_row_without_a_key(self):
        assert (split(COLUMN + "num_examples: 20").draws(), split(COLUMN + "num_examples: 20").draws(7)) == (20, 7)

    def test_draws_one_row_per_value_of_a_key(self):
        assert (split(KEY).groups, split(KEY).draws(), split(KEY).draws(8)) == (5, 5, 2)


class TestRules:
    def test_without_columns_allow_everything(self):
        assert (rules("").find("a"), rules("").domain("a")) == (schema_pb2.Feature(), [])

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ('feature { name: "a" }', []),
            ('feature { name: "a" domain: "b" } string_domain { name: "b" value: ["x", "y"] }', ["x", "y"]),
            ('feature { name: "a" domain: "c" } string_domain { name: "b" value: "x" }', []),
            ('feature { name: "a" string_domain { value: ["x", "y"] } }', ["x", "y"]),
            ('feature { name: "a" bool_domain { true_value: "yes" false_value: "no" } }', ["yes", "no"]),
        ],
    )
    def test_have_the_values_of_a_column(self, text, values):
        assert rules(text).domain("a") == values
