"""Counts in fixed bins: of latencies, of predictions, of differences. They add up over servers, batches and processes."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiffin.errors import InputError


@dataclass(frozen=True)
class Histogram:
    """Counts in bins.

    Attributes:
        bounds: Upper bounds of the bins, growing; a value at a bound is in the bin below it. Empty if nothing was read yet.
        counts: Number of values in each bin; one more than bounds, for the values above the last bound.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if (
            len(self.counts) != len(self.bounds) + 1
            or min(self.counts) < 0
            or not all(map(math.isfinite, self.bounds))
            or any(low >= high for low, high in itertools.pairwise(self.bounds))
        ):
            raise InputError(
                "A histogram should have finite, growing bounds and one count more than bounds, none below 0. "
                f"Received: bounds {self.bounds}, counts {self.counts}."
            )

    @property
    def total(self) -> int:
        """Number of values."""
        return sum(self.counts)

    def above(self, index: int) -> int:
        """Return the number of values above the bound at `index`."""
        return sum(self.counts[index + 1 :])


def from_cumulative(bounds: Sequence[float], totals: Sequence[int]) -> Histogram:
    """Return the histogram of Prometheus' buckets.

    Args:
        bounds: The labels `le`, growing; the last one is infinity.
        totals: Number of values up to each bound.

    Raises:
        InputError: The last bound is not infinity, or the totals do not grow.
    """
    if not bounds or bounds[-1] != math.inf or len(bounds) != len(totals):
        raise InputError(
            "The buckets should be pairs of bound and total, up to le=+Inf. "
            f"Received: bounds {tuple(bounds)}, totals {tuple(totals)}."
        )
    return Histogram(tuple(bounds[:-1]), tuple(int(n) for n in np.diff(totals, prepend=0)))


def count(values: np.ndarray, bounds: Sequence[float]) -> Histogram:
    """Return the histogram of values; NaN is in no bin.

    Args:
        values: Numbers, of any shape.
        bounds: Upper bounds of the bins, growing.
    """
    known = values[~np.isnan(values)]
    found = np.bincount(np.searchsorted(bounds, known.ravel(), side="left"), minlength=len(bounds) + 1)
    return Histogram(tuple(bounds), tuple(found.tolist()))


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms with the same bounds; those without bounds and values are left out.

    Raises:
        InputError: The bounds differ.
    """
    known = [one for one in histograms if one.bounds or one.total]
    if len({one.bounds for one in known}) > 1:
        raise InputError(
            "Histograms should have the same bounds to be added up. "
            f"Received: {' and '.join(sorted({str(one.bounds) for one in known}))}."
        )
    return (
        Histogram(known[0].bounds, tuple(map(sum, zip(*(one.counts for one in known), strict=True))))
        if known
        else Histogram()
    )


def has_restarted(before: Histogram, now: Histogram) -> bool:
    """Return whether a server counts from 0 again, or in other bins: a counter only falls if its process started anew."""
    return before.bounds != now.bounds or any(old > new for old, new in zip(before.counts, now.counts, strict=True))


def difference(before: Mapping[str, Histogram], now: Mapping[str, Histogram]) -> Histogram:
    """Return what servers counted between two readings, by the rules of `tiffin.serving.counters.difference`.

    A server in both readings adds its difference; one that restarted in between adds all that it counted since; one that is
    in a single reading adds nothing.

    Raises:
        InputError: The servers have different bounds.
    """
    return merge(_increase(before[server], one) for server, one in now.items() if server in before)


def _increase(before: Histogram, now: Histogram) -> Histogram:
    if has_restarted(before, now):
        return now
    return Histogram(now.bounds, tuple(new - old for old, new in zip(before.counts, now.counts, strict=True)))


def quantile(histogram: Histogram, share: float) -> float | None:
    """Return the value that a share of the values is not above, or None without values.

    It is interpolated within its bin, as by Prometheus' `histogram_quantile`: the first bin starts at 0 if its bound is
    above 0, and a quantile above the last bound is the last bound.

    Args:
        histogram: The counts.
        share: Share of the values, from 0 to 1, such as 0.99.
    """
    if not histogram.total or not histogram.bounds:
        return None
    wanted, seen = share * histogram.total, 0
    for index, number in enumerate(histogram.counts[:-1]):
        if number and seen + number >= wanted:
            high = histogram.bounds[index]
            low = histogram.bounds[index - 1] if index else min(0.0, high)
            return low + (high - low) * max(0.0, wanted - seen) / number
        seen += number
    return histogram.bounds[-1]
