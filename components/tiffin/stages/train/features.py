"""Choose the model's features from the statistics and the schema, without another pass over the data."""

from dataclasses import dataclass

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.errors import InputError

# Minimum count of a vocabulary entry; rarer values are treated as unknown.
_MIN_COUNT = 5
_MAX_VOCABULARY = 500
# A text column with mostly unique values is a name or an identifier, and is left out.
_MAX_DISTINCT_SHARE = 0.5


@dataclass(frozen=True)
class Number:
    """A numeric column, split into bins at its quantiles.

    Attributes:
        name: Column name.
        whole: Whether the column holds integers.
        edges: Bin edges: at least two numbers in ascending order.
    """

    name: str
    whole: bool
    edges: tuple[float, ...]


@dataclass(frozen=True)
class Category:
    """A text column with its vocabulary, most frequent value first."""

    name: str
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """The model's input columns, and the columns left out, each with the reason."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    left_out: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """Names of the input columns, numeric columns first."""
        return [number.name for number in self.numbers] + [category.name for category in self.categories]


def choose(statistics: statistics_pb2.DatasetFeatureStatistics, schema: schema_pb2.Schema, label: str) -> Features:
    """Return the features for the training split.

    Args:
        statistics: Statistics of the training split.
        schema: Schema; columns that are deprecated, disabled or absent in it are left out.
        label: Column to predict; never a feature.

    Raises:
        InputError: No column is usable as a feature.
    """
    usable = {
        feature.name: feature
        for feature in schema.feature
        if feature.lifecycle_stage not in (schema_pb2.DEPRECATED, schema_pb2.DISABLED)
    }
    numbers, categories, left_out = [], [], {}
    for feature in statistics.features:
        name = feature.path.step[0]
        if name == label:
            continue
        if name not in usable:
            left_out[name] = "not in the schema"
        elif feature.WhichOneof("stats") == "num_stats":
            edges = _edges(feature.num_stats)
            if len(edges) < 2 and feature.num_stats.common_stats.num_missing == 0:
                left_out[name] = "constant"
            elif len(edges) < 2 and feature.num_stats.common_stats.num_non_missing < _MIN_COUNT:
                left_out[name] = "nearly always missing"
            else:
                if len(edges) < 2:  # One value besides missing: only its presence is informative.
                    edges = (edges[0], edges[0] + 1.0)
                numbers.append(Number(name, feature.type == statistics_pb2.FeatureNameStatistics.INT, edges))
        else:
            reason, vocabulary = _vocabulary(feature.string_stats, statistics.num_examples)
            if reason:
                left_out[name] = reason
            else:
                categories.append(Category(name, vocabulary))
    if not numbers and not categories:
        raise InputError(
            f"At least one column besides label='{label}' should be usable as a feature. Received: "
            f"{', '.join(f'{name} ({reason})' for name, reason in left_out.items()) or 'no other column'}."
        )
    return Features(tuple(numbers), tuple(categories), left_out)


def _edges(stats: statistics_pb2.NumericStatistics) -> tuple[float, ...]:
    """Return the distinct quantiles of the values, including minimum and maximum."""
    if stats.common_stats.num_non_missing == 0:
        return (0.0,)
    quantiles = [h for h in stats.histograms if h.type == statistics_pb2.Histogram.QUANTILES]
    values = [b.low_value for h in quantiles for b in h.buckets] + [b.high_value for h in quantiles for b in h.buckets]
    edges = np.unique(np.array([*values, stats.min, stats.max], np.float64))
    return tuple(float(edge) for edge in edges[np.isfinite(edges)]) or (0.0,)


def _vocabulary(stats: statistics_pb2.StringStatistics, rows: float) -> tuple[str, tuple[str, ...]]:
    """Return the reason to leave the column out, or an empty string, and its vocabulary."""
    # The model's signature cannot distinguish empty from missing text, as Parquet does.
    present = stats.common_stats.num_non_missing - sum(
        bucket.sample_count for bucket in stats.rank_histogram.buckets if not bucket.label
    )
    if present < _MIN_COUNT:
        return "nearly always missing", ()
    if present > 100 and stats.unique > _MAX_DISTINCT_SHARE * present:
        return "mostly unique values", ()
    named = [bucket for bucket in stats.rank_histogram.buckets if bucket.label]
    buckets = [b for b in named if b.sample_count >= min(_MIN_COUNT, max(1, rows / 100))]
    vocabulary = tuple(bucket.label for bucket in buckets[:_MAX_VOCABULARY])
    if len(vocabulary) < 2 and present == rows:
        return "nearly constant", ()
    return "", vocabulary
