"""A comparison in groups of columns finds what a comparison of all columns at once finds."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from support.written import table, write_examples
from tiffin.validation.columns import Rules, Split
from tiffin.validation.comparison import compare
from tiffin.validation.statistics import compute
from tiffin.validation.tfdv import tfdv

# Anomalies: a missing column, a new one, one of another type, a new value of a shared domain, one out of range, missing
# values, a flag that is no flag, and too few rows. The other columns are good.
ROWS = table(
    kitchen=["thai", "soup", "new", "thai"],
    other=["thai", "soup", "soup", "thai"],
    km=[1.0, 2.0, 300.0, 4.0],
    whole=[1.0, 2.0, 3.0, 4.0],
    items=[1, 2, None, 4],
    flag=["yes", "no", "maybe", "yes"],
    typed=["a", "b", "c", "d"],
    extra=[1, 2, 3, 4],
)
SCHEMA = """
    string_domain { name: "kitchens" value: "thai" value: "soup" }
    string_domain { name: "unused" value: "x" }
    feature { name: "gone" type: INT presence { min_count: 1 min_fraction: 1 } }
    feature { name: "kitchen" type: BYTES domain: "kitchens" }
    feature { name: "other" type: BYTES domain: "kitchens" }
    feature { name: "km" type: FLOAT float_domain { max: 100 } }
    feature { name: "whole" type: FLOAT }
    feature { name: "items" type: INT presence { min_fraction: 1 } }
    feature { name: "flag" type: BYTES bool_domain { true_value: "yes" false_value: "no" } }
    feature { name: "typed" type: INT }
    default_environment: "TRAINING"
    default_environment: "SERVING"
    feature { name: "serving" type: INT presence { min_fraction: 1 } not_in_environment: "TRAINING" }
    dataset_constraints { min_examples_count: 5 }
"""


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return Split(compute(write_examples(tmp_path_factory.mktemp("comparison"), {"train": ROWS})).datasets[0])


@pytest.fixture(scope="module")
def rules():
    return Rules(text_format.Parse(SCHEMA, schema_pb2.Schema()))


def told(found):
    return sorted((column, reason.SerializeToString(deterministic=True)) for column, reason in found)


def test_nothing_to_compare():
    assert (
        list(compare(Split(statistics_pb2.DatasetFeatureStatistics(num_examples=1)), Rules(schema_pb2.Schema()), None))
        == []
    )


@pytest.mark.parametrize("environment", [None, "TRAINING", "SERVING"])
@pytest.mark.parametrize("columns", [1, 2, 3, 64])
def test_groups_find_the_same(split, rules, columns, environment):
    whole = tfdv.validate_statistics(
        statistics_pb2.DatasetFeatureStatisticsList(datasets=[split.dataset]), rules.schema, environment=environment
    )
    expected = [("", reason) for reason in whole.dataset_anomaly_info.reason]
    expected += [(column, reason) for column, info in whole.anomaly_info.items() for reason in info.reason]
    found = told(compare(split, rules, environment, columns))

    assert {column for column, _ in found} >= {"", "gone", "kitchen", "km", "items", "flag", "typed", "extra"}
    assert found == told(expected)
