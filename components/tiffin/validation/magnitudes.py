"""Compare the magnitude of numbers, to notice a changed unit: the median of the absolute values that are not 0.

A factor in the values is the same factor in this median. Outliers, zeros and signs do not move it.
An inferred schema keeps the range in which it should be in a tag of the column, because TensorFlow Metadata has no such rule.
"""

import itertools
import re
from bisect import bisect_left
from collections.abc import Sequence

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.drift.significance import fewest_for_half
from tiffin.errors import InputError

_TAG = "median_magnitude"
# A median within this factor is not a changed unit, however many rows show it.
_FACTOR = 3.0
# Nor is one between these quantiles of the magnitudes.
_USUAL = (0.4, 0.6)
# Values taken per bucket of the quantiles.
_STEPS = 8


def find_magnitude(numbers: statistics_pb2.NumericStatistics) -> float | None:
    """Return the median of the absolute values that are not 0; None without such values, or if too few are apart from 0.

    With zeros or both signs, it is interpolated between the quantiles.
    """
    if numbers.common_stats.num_non_missing and (numbers.min > 0 or numbers.max < 0):
        return abs(float(numbers.median))
    found = _magnitudes(numbers)
    return _quantile(found, 0.5) if found else None


def count_magnitudes(numbers: statistics_pb2.NumericStatistics) -> int:
    """Return the number of values that are not 0."""
    return int(numbers.common_stats.num_non_missing - numbers.num_zeros)


def expected_range(
    numbers: statistics_pb2.NumericStatistics, rows: int, other_rows: int, risk: float
) -> tuple[float, float] | None:
    """Return the range of the median magnitude in another split of the same data; None if too few rows tell.

    Args:
        numbers: Statistics of the column.
        rows: Number of its independent values that are not 0.
        other_rows: Number of those of the other split.
        risk: Probability of a median outside the range, from 0 to 1.
    """
    found = _magnitudes(numbers)
    if not found or not other_rows:
        return None
    tail = fewest_for_half(rows, other_rows, risk / 2) / rows
    if tail * rows < 1:
        return None
    median = find_magnitude(numbers) or 0.0
    low = min(_quantile(found, min(tail, _USUAL[0])), median / _FACTOR)
    high = max(_quantile(found, max(1 - tail, _USUAL[1])), median * _FACTOR)
    return low, high


def write_range(feature: schema_pb2.Feature, low: float, high: float) -> None:
    """Add the range of the median magnitude to a column of a schema."""
    feature.annotation.tag.append(f"{_TAG} {low:.6g} to {high:.6g}")


def read_range(feature: schema_pb2.Feature) -> tuple[float, float] | None:
    """Return the range of the median magnitude of a column of a schema; None without one.

    Raises:
        InputError: The tag is not of the form `median_magnitude LOW to HIGH`.
    """
    for tag in feature.annotation.tag:
        if tag.split(" ")[0] == _TAG:
            found = re.fullmatch(rf"{_TAG} (\S+) to (\S+)", tag)
            try:
                if found:
                    return float(found[1]), float(found[2])
            except ValueError:
                pass
            raise InputError(
                f"The schema's tag should be '{_TAG} LOW to HIGH'. Received: '{tag}' of column '{feature.name}'. "
                "Correct the numbers, or remove the tag."
            )
    return None


def _magnitudes(numbers: statistics_pb2.NumericStatistics) -> list[tuple[float, float]]:
    """Return the absolute values that are not 0 with their number of rows, sorted, from the quantiles.

    A bucket around 0 does not tell how far from 0 its values are. Where half of the values that are not 0 are in such buckets,
    there are no magnitudes.
    """
    buckets = [
        bucket
        for histogram in numbers.histograms
        if histogram.type == statistics_pb2.Histogram.QUANTILES
        for bucket in histogram.buckets
    ]
    apart = sum(bucket.sample_count for bucket in buckets if bucket.low_value > 0 or bucket.high_value < 0)
    if count_magnitudes(numbers) - apart >= apart:
        return []
    found = []
    for bucket in buckets:
        step = (bucket.high_value - bucket.low_value) / _STEPS
        values = (bucket.low_value + step * (number + 0.5) for number in range(_STEPS))
        found += [(abs(value), bucket.sample_count / _STEPS) for value in values if value]
    return sorted(found)


def _quantile(magnitudes: Sequence[tuple[float, float]], share: float) -> float:
    sums = list(itertools.accumulate(weight for _, weight in magnitudes))
    return magnitudes[min(bisect_left(sums, share * sums[-1]), len(sums) - 1)][0]
