"""Profiles from TFDV's statistics, and statistics from profiles."""

import itertools
import math
from collections.abc import Collection, Mapping

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


def write_profiles(
    profiles: Mapping[str, Profile], name: str, rows: int, integers: Collection[str] = ()
) -> statistics_pb2.DatasetFeatureStatistics:
    """Return profiles as TFDV's statistics, so that they can be checked against a schema.

    Args:
        profiles: Column to its profile.
        name: Name of the rows.
        rows: Number of rows.
        integers: Columns of integers. Defaults to none.
    """
    dataset = statistics_pb2.DatasetFeatureStatistics(name=name, num_examples=rows)
    for column, one in profiles.items():
        feature = dataset.features.add()
        feature.path.step.append(column)
        if isinstance(one, Texts):
            feature.type = statistics_pb2.FeatureNameStatistics.STRING
            feature.string_stats.SetInParent()
            _write_texts(feature.string_stats, one)
        else:
            kinds = statistics_pb2.FeatureNameStatistics
            feature.type = kinds.INT if column in integers else kinds.FLOAT
            feature.num_stats.SetInParent()
            _write_numbers(feature.num_stats, one)
        common = read_common(feature)
        common.num_non_missing, common.num_missing = one.present, one.missing
        if one.present:
            common.min_num_values = common.max_num_values = 1
            common.tot_num_values = one.present
    return dataset


def _write_texts(stats: statistics_pb2.StringStatistics, one: Texts) -> None:
    stats.unique = len(one.counts) + (not one.listed_all)
    for place, (value, count) in enumerate(one.counts.items()):
        stats.rank_histogram.buckets.add(low_rank=place, high_rank=place, label=value, sample_count=count)


def _write_numbers(stats: statistics_pb2.NumericStatistics, one: Numbers) -> None:
    if not one.present:
        return
    stats.min, stats.max = one.low, one.high
    histogram = stats.histograms.add(type=_QUANTILES)
    places = [-math.inf, *one.edges, math.inf]
    for low, high, count in zip(places[:-1], places[1:], one.counts, strict=True):
        if count:
            histogram.buckets.add(low_value=max(low, one.low), high_value=min(high, one.high), sample_count=count)
    middle, below = one.present / 2, 0.0
    for bucket in histogram.buckets:
        below += bucket.sample_count
        if below >= middle:
            stats.median = (bucket.low_value + bucket.high_value) / 2
            break
    stats.num_zeros = int(sum(b.sample_count for b in histogram.buckets if b.low_value == b.high_value == 0))
