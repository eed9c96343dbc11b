"""Test whether the candidate is slower than the stable version allows, from histograms of latencies.

Is a larger share of the candidate's requests slower than `max_ratio` times the stable p99 than the 1 % of the stable version
that is slower than its p99? That is a test of two shares, and `shares` makes it: requests of the stable version above a bound
near its p99, and requests of the candidate above the first bound that is at least `max_ratio` times as high. The bound is
chosen at each look from the latencies before it, so that the test stays exact.

What the test cannot see: differences within a bin. TensorFlow Serving's bins grow by a factor of 1.8 and Envoy's by about 2, so
that a ratio of 1.2 means one of 1.8; `Limit.ratio` is the ratio that is tested. It compares the latencies that servers or the
gateway measured, under the load that each of them has.
"""

import math
from dataclasses import dataclass, field, replace

from tiffin.errors import InputError
from tiffin.rollout.statistics import histograms, shares
from tiffin.rollout.statistics.histograms import Histogram
from tiffin.rollout.statistics.shares import Evidence, Tally

# Requests of the stable version before a bound is chosen.
LEAST_REQUESTS = 100


@dataclass(frozen=True)
class Limit:
    """The bounds that requests are compared with.

    Attributes:
        stable: Bound near the quantile of the stable version.
        candidate: Bound for the candidate, at least `max_ratio` times as high.
    """

    stable: float
    candidate: float

    @property
    def ratio(self) -> float:
        """The ratio that is tested."""
        return self.candidate / self.stable


@dataclass(frozen=True)
class LatencyEvidence:
    """What the looks so far say against the candidate's latency. All of it is needed to go on after a restart.

    Attributes:
        quantile: Quantile that is compared, such as 0.99.
        slow: The evidence of the test of shares; its errors are slow requests.
        stable: Latencies of the stable version at the last look.
        candidate: Latencies of the candidate at the last look.
        limit: Bounds of the last look; None before the first comparison.
    """

    quantile: float
    slow: Evidence
    stable: Histogram = field(default_factory=Histogram)
    candidate: Histogram = field(default_factory=Histogram)
    limit: Limit | None = None


def look(
    evidence: LatencyEvidence, stable: Histogram, candidate: Histogram, *, max_ratio: float = 1.0
) -> LatencyEvidence:
    """Return the evidence after another look.

    The first requests, until the stable version has 100, only serve to choose the bound.

    Args:
        evidence: The evidence before; `LatencyEvidence(0.99, Evidence(level=...))` at the start.
        stable: Latencies of the stable version since the start of the rollout, or since earlier.
        candidate: The same of the candidate.
        max_ratio: Ratio, at least 1, of the candidate's quantile to that of the stable version that is allowed. Defaults to 1.

    Raises:
        InputError: The ratio is below 1, a count is lower than before, or the bins differ.
    """
    if not max_ratio >= 1:
        raise InputError(f"max_ratio should be at least 1. Received: {max_ratio}. Pass 1.5 to allow 50 % more latency.")
    if stable.bounds != candidate.bounds:
        raise InputError(
            "The latencies of both versions should be counted in the same bins. "
            f"Received: bounds {stable.bounds} of the stable version, {candidate.bounds} of the candidate."
        )
    limit = find_limit(evidence.stable, evidence.quantile, max_ratio)
    if limit is None:
        return replace(evidence, stable=stable, candidate=candidate)
    slow = shares.look(
        evidence.slow,
        _add(evidence.slow.stable, evidence.stable, stable, limit.stable),
        _add(evidence.slow.candidate, evidence.candidate, candidate, limit.candidate),
    )
    if slow is evidence.slow:  # one version had no request: compare them at the next look
        return evidence
    return LatencyEvidence(evidence.quantile, slow, stable, candidate, limit)


def find_limit(stable: Histogram, quantile: float, max_ratio: float) -> Limit | None:
    """Return the pair of bounds whose lower one is nearest to a quantile, by the odds of the share above it.

    None if there are fewer than 100 requests, or no bound has requests above and below it and a bound of the candidate.

    Args:
        stable: Latencies of the stable version.
        quantile: The quantile, above 0 and below 1.
        max_ratio: Least ratio of the two bounds.
    """
    found, nearest = None, math.inf
    if stable.total < LEAST_REQUESTS:
        return None
    for index, bound in enumerate(stable.bounds):
        above = stable.above(index)
        higher = next((other for other in stable.bounds[index:] if other >= max_ratio * bound), None)
        if not 0 < above < stable.total or higher is None or bound <= 0:
            continue
        distance = abs(math.log(above / (stable.total - above)) - math.log((1 - quantile) / quantile))
        if distance < nearest:
            found, nearest = Limit(bound, higher), distance
    return found


def _add(tally: Tally, before: Histogram, now: Histogram, bound: float) -> Tally:
    """Return a tally with the requests between two readings, of which those above a bound are errors."""
    if histograms.has_restarted(before, now):
        raise InputError(
            "Counts of latencies should grow from look to look, in the same bins. "
            f"Received: {now.counts} after {before.counts}. Add up counts across restarts of servers."
        )
    index = now.bounds.index(bound)
    return Tally(tally.requests + now.total - before.total, tally.errors + now.above(index) - before.above(index))
