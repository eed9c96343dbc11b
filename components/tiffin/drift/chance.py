"""What a distance is by chance: its mean and its tail if both sides are drawn from the same rows, and its interval.

With `n` and `m` rows, the noise has the scale `1 / n + 1 / m`. Nothing is sampled: the same numbers give the same result.

- Jensen-Shannon divergence and population stability index: `distance * c / (1 / n + 1 / m)` follows the chi-squared
  distribution with one degree of freedom less than bins, where `c` is `8 ln 2` and 1: to second order, both are multiples of
  Pearson's statistic. If the distributions differ, it is the noncentral one, which gives the interval. The p-value of both is
  the larger one of the divergence's and of Pearson's test.
- Largest difference of a share: the maximum of independent normal differences. The tail is Fisher's exact test of the bin
  with the largest difference, times the number of bins (Bonferroni).
- Wasserstein distance: the integral of a Brownian bridge's absolute value, with the mean
  `sqrt(2 / pi) * sum(width * sqrt(F (1 - F)))`. It exceeds its mean by `u` with a probability of at most
  `exp(-u² / (2 s²))`, with the variance `s²` of the values (Borell-TIS inequality; the largest variance of the integral over
  all signs is that of the mean).
- Differences of shares: Fisher's exact test, and the interval of Newcombe (1998, Statistics in Medicine 17, 873-890, method 10).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from tiffin.drift.distances import deviation_of

JENSEN_SHANNON, POPULATION_STABILITY_INDEX = 8 * math.log(2), 1.0
# Intervals hold the distance with 95 % confidence.
_LEVEL = 0.05
_Z = float(special.ndtri(1 - _LEVEL / 2))
_GRID = 400
_LONG_SERIES = 10_000


@dataclass(frozen=True)
class Chance:
    """What a distance is by chance.

    Attributes:
        mean: Mean of the distance without a change.
        p_value: Probability of this distance or a larger one without a change, from 0 to 1.
        low: Lower end of the 95 % interval of the distance.
        high: Upper end.
    """

    mean: float
    p_value: float
    low: float
    high: float


def of_bins(distance: float, factor: float, bins: int, n: float, m: float, most: float = math.inf) -> Chance:
    """Return the chance of a divergence over bins.

    Args:
        distance: The divergence.
        factor: `JENSEN_SHANNON` or `POPULATION_STABILITY_INDEX`.
        bins: Number of bins that have rows.
        n: Rows of the baseline.
        m: Other rows.
        most: Largest value of the divergence. Defaults to infinity.
    """
    scale, freedom = (1 / n + 1 / m) / factor, bins - 1
    if freedom < 1:
        return Chance(0.0, 1.0, 0.0, 0.0)
    found = distance / scale
    ends = [_noncentrality(found, freedom, share) * scale for share in (1 - _LEVEL / 2, _LEVEL / 2)]
    return Chance(
        min(most, freedom * scale), float(special.chdtrc(freedom, found)), min(most, ends[0]), min(most, ends[1])
    )


def pearson(before: np.ndarray, now: np.ndarray) -> float:
    """Return the p-value of Pearson's test that the shares of all bins are equal.

    Args:
        before: Rows of the baseline in each bin, none of which is empty on both sides.
        now: Other rows in each bin.
    """
    n, m = before.sum(), now.sum()
    pooled = (before + now) / (n + m)
    statistic = sum(
        float(((counts - rows * pooled) ** 2 / (rows * pooled)).sum()) for counts, rows in ((before, n), (now, m))
    )
    return float(special.chdtrc(len(before) - 1, statistic)) if len(before) > 1 else 1.0


def _noncentrality(found: float, freedom: int, share: float) -> float:
    """Return the noncentrality at which a share of the noncentral chi-squared distribution is below a value."""
    if special.chdtr(freedom, found) <= share:
        return 0.0
    # The square root is nearly normal, with variance 1, where the series would be long.
    if found > _LONG_SERIES:
        return max(0.0, (math.sqrt(found) - float(special.ndtri(share))) ** 2 - freedom + 1)
    return float(special.chndtrinc(found, freedom, share))


def of_largest(p: np.ndarray, q: np.ndarray, n: float, m: float) -> Chance:
    """Return the chance of the largest difference of a share.

    Args:
        p: Shares of the baseline.
        q: Shares of the other rows.
        n: Rows of the baseline.
        m: Other rows.
    """
    pooled = (n * p + m * q) / (n + m)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    noisy = deviation[deviation > 0]
    if not len(noisy):
        return Chance(0.0, 1.0, 0.0, 0.0)
    places = np.linspace(0, 8 * noisy.max(), _GRID + 1)[1:]
    below = np.exp(np.log1p(-special.erfc(places[:, None] / (noisy * math.sqrt(2)))).sum(axis=1))
    mean = float((1 - below).sum() * places[0])
    at = int(np.abs(p - q).argmax())
    p_value = min(1.0, len(noisy) * fisher(p[at] * n, n, q[at] * m, m))
    # The largest of many differences is large by chance: its lower end is corrected for the number of bins.
    careful = float(special.ndtri(1 - _LEVEL / 2 / len(noisy)))
    low, _ = newcombe(p[at] * n, n, q[at] * m, m, careful)
    _, high = newcombe(p[at] * n, n, q[at] * m, m)
    return Chance(mean, p_value, low, high)


def of_wasserstein(
    distance: float, edges: np.ndarray, deviation: float, p: np.ndarray, q: np.ndarray, n: float, m: float
) -> Chance:
    """Return the chance of a Wasserstein distance.

    Args:
        distance: The distance in units of the deviation.
        edges: Upper edges of the bins, growing.
        deviation: Deviation of the baseline, above 0.
        p: Shares of the baseline, one more than edges.
        q: Shares of the other rows.
        n: Rows of the baseline.
        m: Other rows.
    """
    pooled = (n * p + m * q) / (n + m)
    noise = math.sqrt(1 / n + 1 / m)
    up_to = np.cumsum(pooled)[: len(edges) - 1].clip(0, 1)
    mean = math.sqrt(2 / math.pi) * noise * float((np.diff(edges) * np.sqrt(up_to * (1 - up_to))).sum()) / deviation
    spread = noise * deviation_of(edges, pooled) / deviation
    above = max(0.0, distance - mean)
    p_value = math.exp(-(above**2) / (2 * spread**2)) if above and spread else 1.0
    return Chance(mean, p_value, max(0.0, distance - mean - _Z * spread), distance + _Z * spread)


def of_share(a: float, n: float, b: float, m: float) -> Chance:
    """Return the chance of the difference of two shares, `|a / n - b / m|`.

    Args:
        a: Rows of the baseline that have a property.
        n: Rows of the baseline.
        b: Other rows that have it.
        m: Other rows.
    """
    pooled = (a + b) / (n + m)
    mean = math.sqrt(2 / math.pi * pooled * (1 - pooled) * (1 / n + 1 / m))
    low, high = newcombe(a, n, b, m)
    return Chance(mean, fisher(a, n, b, m), low, high)


def fisher(a: float, n: float, b: float, m: float) -> float:
    """Return the p-value of Fisher's exact test that two shares are equal: twice the smaller tail, at most 1."""
    a, n, b, m = (round(count) for count in (a, n, b, m))
    below, above = stats.hypergeom.cdf(b, n + m, a + b, m), stats.hypergeom.sf(b - 1, n + m, a + b, m)
    return float(min(1.0, 2 * min(below, above)))


def newcombe(a: float, n: float, b: float, m: float, z: float = _Z) -> tuple[float, float]:
    """Return the interval of the absolute difference of two shares; it starts at 0 if equal shares are in it.

    Args:
        a: Rows of the baseline that have a property.
        n: Rows of the baseline.
        b: Other rows that have it.
        m: Other rows.
        z: Half of its width in standard deviations. Defaults to that of 95 % confidence.
    """
    (first, first_low, first_high), (second, low, high) = wilson(a, n, z), wilson(b, m, z)
    apart = second - first
    down = apart - math.hypot(second - low, first_high - first)
    up = apart + math.hypot(high - second, first - first_low)
    ends = sorted((abs(down), abs(up)))
    return (0.0 if down <= 0 <= up else ends[0]), min(1.0, ends[1])


def wilson(count: float, rows: float, z: float = _Z) -> tuple[float, float, float]:
    """Return a share and the ends of its interval (Wilson, 1927), with 95 % confidence by default."""
    share, square = count / rows, z**2 / rows
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / rows + square / (4 * rows))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def adjust(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number: those up to a level hold its share of false discoveries.

    Source: Benjamini and Hochberg (1995, J. R. Stat. Soc. B 57, 289-300).
    """
    if not len(p_values):
        return np.zeros(0)
    return np.asarray(stats.false_discovery_control(p_values, method="bh"))
