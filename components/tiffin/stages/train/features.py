"""Which features the columns become: decided from statistics and schema, without another pass over the data."""

from dataclasses import dataclass

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.errors import InputError

# A value must be seen this often to have a weight of its own; rarer ones share the weight of the unknown.
_MIN_COUNT = 5
_MAX_VOCABULARY = 500
# A text column whose values hardly repeat is a name or an identifier: there is nothing to learn from it.
_MAX_DISTINCT_SHARE = 0.5


@dataclass(frozen=True)
class Number:
    """A column of numbers, cut into pieces at its quantiles.

    Attributes:
        name: Column.
        whole: Whether the column holds whole numbers.
        edges: At least two rising numbers: the pieces' ends.
    """

    name: str
    whole: bool
    edges: tuple[float, ...]


@dataclass(frozen=True)
class Category:
    """A column of text with its known values, most frequent first."""

    name: str
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """What the model takes: every column it is given, and why the others are left out."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    left_out: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """The input columns, numbers first."""
        return [number.name for number in self.numbers] + [category.name for category in self.categories]


def choose(statistics: statistics_pb2.DatasetFeatureStatistics, schema: schema_pb2.Schema, label: str) -> Features:
    """Return the features that the training split's statistics and the schema suggest.

    Args:
        statistics: Of the training split.
        schema: Columns that it calls deprecated or unknown are left out.
        label: Column to predict.

    Raises:
        InputError: No column is left to learn from.
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
                left_out[name] = "the same in every row"
            elif len(edges) < 2 and feature.num_stats.common_stats.num_non_missing < _MIN_COUNT:
                left_out[name] = "missing in nearly every row"
            else:
                if len(edges) < 2:  # There or not there is all it tells.
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
            f"At least one column should be left to learn from. Received: label='{label}' and columns left out: "
            f"{', '.join(f'{name} ({reason})' for name, reason in left_out.items()) or 'none'}."
        )
    return Features(tuple(numbers), tuple(categories), left_out)


def _edges(stats: statistics_pb2.NumericStatistics) -> tuple[float, ...]:
    """Return the distinct quantiles of the present values, smallest and largest included."""
    if stats.common_stats.num_non_missing == 0:
        return (0.0,)
    quantiles = [h for h in stats.histograms if h.type == statistics_pb2.Histogram.QUANTILES]
    values = [b.low_value for h in quantiles for b in h.buckets] + [b.high_value for h in quantiles for b in h.buckets]
    return tuple(float(value) for value in np.unique(np.array([*values, stats.min, stats.max], np.float64)))


def _vocabulary(stats: statistics_pb2.StringStatistics, rows: float) -> tuple[str, tuple[str, ...]]:
    """Return why the column is left out, or an empty string, and its vocabulary."""
    # Parquet tells empty text from missing text; the model's signature cannot.
    present = stats.common_stats.num_non_missing - sum(
        bucket.sample_count for bucket in stats.rank_histogram.buckets if not bucket.label
    )
    if present < _MIN_COUNT:
        return "missing in nearly every row", ()
    if present > 100 and stats.unique > _MAX_DISTINCT_SHARE * present:
        return "its values hardly repeat", ()
    named = [bucket for bucket in stats.rank_histogram.buckets if bucket.label]
    buckets = [b for b in named if b.sample_count >= min(_MIN_COUNT, max(1, rows / 100))]
    vocabulary = tuple(bucket.label for bucket in buckets[:_MAX_VOCABULARY])
    if len(vocabulary) < 2 and present == rows:
        return "the same in nearly every row", ()
    return "", vocabulary
