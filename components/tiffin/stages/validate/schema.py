"""Infer a schema from statistics, and check the label."""

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.artifacts.statistics import find_split
from tiffin.errors import DataError, InputError, did_you_mean
from tiffin.stages.validate.tfdv import tfdv

# An inferred schema tolerates this share of missing values and of new categories, so that it reports broken data and not
# rare values.
_MAY_BE_MISSING = 0.01
_MAY_BE_NEW = 0.05
# A column with values in a smaller share of rows may have none in another split.
_RARE = 0.01


def infer(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, label: str = "", split: str = "train"
) -> schema_pb2.Schema:
    """Return the schema inferred from the statistics of one split.

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
    schema = tfdv.infer_schema(one, infer_feature_shape=False)
    present = {f.path.step[0]: f for f in dataset.features}
    for feature in schema.feature:
        share = _common(present[feature.name]).num_non_missing / max(1, dataset.num_examples)
        if feature.presence.min_fraction == 1.0 and feature.name != label:
            feature.presence.min_fraction = 1.0 - _MAY_BE_MISSING
        if share < _RARE:
            feature.presence.min_count = 0
        if feature.HasField("domain"):
            feature.distribution_constraints.min_domain_mass = 1.0 - _MAY_BE_NEW
        if feature.name == label:
            schema.default_environment.extend(["TRAINING", "SERVING"])
            feature.not_in_environment.append("SERVING")
    return schema


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
    if _common(feature).num_non_missing == 0:
        raise DataError(
            f"The label should have values. Received: label='{label}' with 0 values in split '{dataset.name}'."
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


def _common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return getattr(feature, feature.WhichOneof("stats")).common_stats
