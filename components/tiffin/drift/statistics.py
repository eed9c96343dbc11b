"""Profiles from TFDV's statistics."""

import itertools
import math

from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.statistics import read_common, read_logical
from tiffin.drift.profiles import Numbers, Profile, Texts

_QUANTILES = statistics_pb2.Histogram.QUANTILES


def read_profiles(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict[str, Profile]:
    """Return the profile of each column of a split; columns of bytes and of structures have none."""
    rows = int(dataset.num_examples)
    found: dict[str, Profile] = {}
    for feature in dataset.features:
        name, kind = feature.path.step[0], feature.WhichOneof("stats")
        if kind == "num_stats":
            found[name] = _numbers(feature, rows)
        elif kind == "string_stats":
            found[name] = _texts(feature, rows)
    return found


def _numbers(feature: statistics_pb2.FeatureNameStatistics, rows: int) -> Numbers:
    """Return the profile of numbers. The buckets of equal quantiles together have the rows of that value."""
    logical = read_logical(feature)
    histogram = next((h for h in feature.num_stats.histograms if h.type == _QUANTILES), statistics_pb2.Histogram())
    known = int(read_common(feature).num_non_missing) - int(histogram.num_nan)
    groups = [list(group) for _, group in itertools.groupby(histogram.buckets, key=lambda bucket: bucket.high_value)]
    bins = [(float(group[0].high_value), sum(bucket.sample_count for bucket in group)) for group in groups]
    total = sum(count for _, count in bins)
    if known <= 0 or not total:
        return Numbers(rows, rows, (), (0.0,), logical=logical)
    first, last = histogram.buckets[0], histogram.buckets[-1]
    finite = [place for place in (first.low_value, *(edge for edge, _ in bins)) if math.isfinite(place)] or [0.0]
    # A maximum that is no frequent value is no edge: larger values of other rows belong to the same bin.
    above = bins.pop()[1] if last.low_value < last.high_value else 0.0
    above += sum(count for edge, count in bins if edge == math.inf)
    below = sum(count for edge, count in bins if edge == -math.inf)
    inner = [(edge, count) for edge, count in bins if math.isfinite(edge)]
    counts = [*(count for _, count in inner), above]
    counts[0] += below
    # The counts of quantiles are estimates, which add up to the rows only nearly.
    scaled = tuple(count * known / total for count in counts)
    edges = tuple(edge for edge, _ in inner)
    # A value in two quantiles or more has all rows between them.
    step = known / len(histogram.buckets)
    several = {float(group[0].high_value) for group in groups if len(group) > 1}
    at_edges = (*(max(0.0, c - step) if e in several else 0.0 for e, c in zip(edges, scaled, strict=False)), 0.0)
    return Numbers(rows, rows - known, edges, scaled, finite[0], finite[-1], logical, at_edges)


def _texts(feature: statistics_pb2.FeatureNameStatistics, rows: int) -> Texts:
    text = feature.string_stats
    present = int(text.common_stats.num_non_missing)
    counts = {bucket.label: round(bucket.sample_count) for bucket in text.rank_histogram.buckets}
    listed_all = text.unique <= len(counts)
    listed = sum(counts.values())
    return Texts(rows, rows - present, counts, 0 if listed_all else max(0, present - listed), listed_all)
