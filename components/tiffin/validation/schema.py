"""Infer a schema from statistics, and check the label.

The tolerances of an inferred schema follow from the number of rows: a split drawn from the same data passes, by Fisher's exact
test, with a probability of at least 1 - `_RISK`.
"""

import math
from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.artifacts.statistics import find_split, read_common, read_logical
from tiffin.drift.significance import most_by_chance
from tiffin.errors import DataError, InputError, did_you_mean
from tiffin.validation.columns import Split
from tiffin.validation.magnitudes import count_magnitudes, expected_range, write_range
from tiffin.validation.rules import TRAINING
from tiffin.validation.statistics import VOCABULARY, read_groups
from tiffin.validation.tfdv import tfdv

# Probability that a split of the same data is reported, over all columns and rules.
_RISK = 0.005
_RULES = 3
# Shares that are tolerated however many rows there are, so that small changes from week to week pass.
_MAY_BE_MISSING = 0.01
_MAY_BE_NEW = 0.05
# A column in which a larger share of values can be new is free text, without a list of values.
_FREE_TEXT = 0.5


def infer(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str = "", split: str = "train"
) -> schema_pb2.Schema:
    """Return the schema inferred from the statistics of one split, with tolerances for the other splits' numbers of rows.

    Args:
        statistics: Statistics with one dataset per split.
        label: Column to predict; required in training data, absent in serving requests. Empty for no label.
        split: Split whose statistics are used. Defaults to `train`.

    Raises:
        InputError: The split or the label does not exist.
        DataError: The split has no rows, or the label has fewer than two distinct values.
    """
    dataset = find_split(statistics, split)
    if label:
        check_label(dataset, label)
    one = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
    schema = tfdv.infer_schema(one, infer_feature_shape=False, max_string_domain_size=VOCABULARY)
    train = Split(dataset)
    others = [Split(other) for other in statistics.datasets if other.name != split and other.num_examples] or [train]
    risk = _RISK / (_RULES * max(1, len(train.columns)) * len(others))
    for feature in schema.feature:
        column = train.columns[feature.name]
        _set_presence(feature, train, others, risk)
        _set_domain(schema, feature, column)
        if feature.domain:
            _set_mass(schema, feature, train, others, risk)
        elif column.HasField("num_stats") and not read_logical(column) and read_groups(column) is None:
            _set_magnitude(feature, train, others, risk)
        if feature.name == label:
            feature.presence.min_count = 1
            schema.default_environment.extend([TRAINING, "SERVING"])
            feature.not_in_environment.append("SERVING")
    return schema


def _set_presence(feature: schema_pb2.Feature, train: Split, others: Sequence[Split], risk: float) -> None:
    """Set the share of rows that need a value. Missing values may double, or half of the values may be gone."""
    rows = train.draws()
    missing = 1 - read_common(train.find(feature.name)).num_non_missing / max(1, train.rows)
    allowed = max(_MAY_BE_MISSING, min(2 * missing, (1 + missing) / 2))
    for other in others:
        other_rows = other.draws()
        most = most_by_chance(round(missing * rows), rows, other_rows, risk)
        allowed = max(allowed, (most + 0.5) / other_rows)
    feature.presence.Clear()
    feature.presence.min_count = 1 if allowed < 1 else 0
    if allowed < 1:
        feature.presence.min_fraction = _round_down(1 - allowed)


def _set_domain(
    schema: schema_pb2.Schema, feature: schema_pb2.Feature, column: statistics_pb2.FeatureNameStatistics
) -> None:
    """Replace the domains that TFDV guesses from the values: 0 and 1 may be the first two of many numbers."""
    feature.ClearField("int_domain")
    feature.ClearField("float_domain")
    if feature.HasField("bool_domain") and read_logical(column) != "boolean":
        feature.ClearField("bool_domain")
        if column.HasField("string_stats"):
            values = sorted(bucket.label for bucket in column.string_stats.rank_histogram.buckets)
            schema.string_domain.add(name=feature.name, value=values)
            feature.domain = feature.name
    if read_logical(column) in ("date", "timestamp"):
        feature.time_domain.integer_format = schema_pb2.TimeDomain.UNIX_SECONDS
    if feature.domain and read_groups(column) is not None:
        # No value of the key is in two splits.
        _drop_domain(schema, feature)


def _set_mass(
    schema: schema_pb2.Schema, feature: schema_pb2.Feature, train: Split, others: Sequence[Split], risk: float
) -> None:
    """Set the share of values that must be in the domain.

    The expected share of new values is that of the values that one row has (Good, 1953, The population frequencies of species).
    """
    text = train.find(feature.name).string_stats
    if text.unique > len(text.rank_histogram.buckets):
        # The statistics list the most frequent values only.
        _drop_domain(schema, feature)
        return
    rows = train.draws(text.common_stats.num_non_missing)
    single = min(rows, sum(bucket.sample_count == 1 for bucket in text.rank_histogram.buckets))
    allowed = _MAY_BE_NEW
    for other in _with_column(others, feature.name):
        other_rows = other.draws(read_common(other.find(feature.name)).num_non_missing)
        # Each of the distinct values may be the one that is in the other split only.
        most = most_by_chance(single, rows, other_rows, risk / max(1, text.unique))
        allowed = max(allowed, (most + 0.5) / other_rows) if other_rows else allowed
    if allowed < _FREE_TEXT:
        feature.distribution_constraints.min_domain_mass = _round_down(1 - allowed)
    else:
        _drop_domain(schema, feature)


def _set_magnitude(feature: schema_pb2.Feature, train: Split, others: Sequence[Split], risk: float) -> None:
    """Set the range of the median magnitude, unless a split has too few values."""
    numbers = train.find(feature.name).num_stats
    rows = train.draws(count_magnitudes(numbers))
    ranges = [
        expected_range(numbers, rows, other.draws(count_magnitudes(other.find(feature.name).num_stats)), risk)
        for other in _with_column(others, feature.name)
    ]
    found = [one for one in ranges if one]
    if found and len(found) == len(ranges):
        write_range(feature, min(low for low, _ in found), max(high for _, high in found))


def _with_column(splits: Sequence[Split], name: str) -> list[Split]:
    return [split for split in splits if name in split.columns]


def _drop_domain(schema: schema_pb2.Schema, feature: schema_pb2.Feature) -> None:
    names = [domain.name for domain in schema.string_domain]
    if feature.domain in names:
        del schema.string_domain[names.index(feature.domain)]
    feature.ClearField("domain")


def _round_down(share: float) -> float:
    """Round to 4 digits, for readers of the schema."""
    return math.floor(share * 10_000) / 10_000


def check_label(dataset: statistics_pb2.DatasetFeatureStatistics, label: str) -> None:
    """Raise unless the label is a column with at least two distinct values.

    Raises:
        InputError: The column does not exist.
        DataError: The split has no rows, or the label has fewer than two distinct values.
    """
    if dataset.num_examples == 0:
        raise DataError(
            f"The split '{dataset.name}' should have at least one row. Received: 0 rows. Pass more data, or raise its weight in "
            "splits."
        )
    features = {feature.path.step[0]: feature for feature in dataset.features}
    if label not in features:
        raise InputError(
            f"label should be a column of the data. Received: label='{label}'.{did_you_mean(label, features)} "
            f"The columns are: {', '.join(features)}."
        )
    feature = features[label]
    if read_common(feature).num_non_missing == 0:
        raise DataError(
            f"The label should have values. Received: label='{label}' without a value in split '{dataset.name}'. "
            "Choose another label, or check how missing values are written."
        )
    if feature.WhichOneof("stats") == "num_stats":
        single = feature.num_stats.min == feature.num_stats.max
        value = f"{feature.num_stats.min:g}"
    else:
        single = feature.string_stats.unique == 1
        value = feature.string_stats.rank_histogram.buckets[0].label
    if single:
        raise DataError(
            f"The label should have at least two distinct values. Received: label='{label}' with the one value {value} in split "
            f"'{dataset.name}'. Choose another label, or pass data with other values."
        )
