"""Intervals that stay valid however often they are looked at: confidence sequences (Darling and Robbins 1967).

All intervals of a confidence sequence hold the true value together with a probability of `1 - level`, so that one may stop at
any look, also because of the interval. They are functions of counts and sums, which add up over batches and processes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Bets on the mean of bounded values, as shares of the range. Up to 0.5, the evidence falls as the assumed mean grows.
_BETS = 0.5 * 2.0 ** -np.arange(0, 12)
_COSTS = -np.log1p(-_BETS) - _BETS
# The ends of intervals are searched for in rounds of this many parts: exact to 1e-9 of the range, outwards.
_PARTS, _ROUNDS = 64, 5
# Rows for which an asymptotic interval is narrowest.
_TUNED_FOR = 1000
# An asymptotic interval needs this many rows.
LEAST_ROWS = 100


@dataclass(frozen=True)
class Interval:
    """Both ends of an interval; they are part of it."""

    low: float
    high: float

    def __sub__(self, other: "Interval") -> "Interval":
        """Return the interval of the difference; it holds where both do, so each should have half of the level."""
        return Interval(self.low - other.high, self.high - other.low)


@dataclass(frozen=True)
class Moments:
    """Number, sum and sum of squares of values; they add up."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float | None:
        """Mean; None without values."""
        return self.total / self.rows if self.rows else None

    @property
    def variance(self) -> float:
        """Variance; 0 without values."""
        return max(0.0, self.squares / self.rows - (self.total / self.rows) ** 2) if self.rows else 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.rows + other.rows, self.total + other.total, self.squares + other.squares)


def moments(values: np.ndarray) -> Moments:
    """Return the moments of finite values."""
    exact = values.astype(np.float64).ravel()
    return Moments(len(exact), float(exact.sum()), float(exact @ exact))


def share_interval(number: int, of: int, *, level: float = 0.05) -> Interval:
    """Return the interval of a share.

    It has the shares under which the counts are not `1 / level` times less likely than under a uniform mixture of all shares:
    the mixture martingale of Robbins (1970, Ann. Math. Statist. 41, 1397-1409), which is exact.

    Args:
        number: Number of rows that count.
        of: Number of all rows.
        level: Probability, above 0 and below 1, that an interval at any look misses the share. Defaults to 0.05.
    """
    if not of:
        return Interval(0.0, 1.0)
    mixture = math.lgamma(number + 1) + math.lgamma(of - number + 1) - math.lgamma(of + 2)

    def is_out(shares: np.ndarray) -> np.ndarray:
        likely = (number * np.log(shares) if number else 0.0) + (
            (of - number) * np.log1p(-shares) if number < of else 0.0
        )
        return np.asarray(mixture - likely >= -math.log(level))

    share = number / of
    low = 0.0 if not number else _last_out(is_out, 0.0, share)
    high = 1.0 if number == of else _last_out(is_out, 1.0, share)
    return Interval(low, high)


def mean_interval(found: Moments, low: float, high: float, *, level: float = 0.05) -> Interval:
    """Return the interval of the mean of bounded values.

    It has the means against which no bet wins: for values `y` from -1 on, the product of `exp(b y - c y²)`, with
    `c = -log(1 - b) - b`, is at most that of `1 + b y` (Fan, Grama and Liu 2015, Electron. J. Probab. 20, 1), which is a
    martingale if the mean of `y` is 0. The mean over several `b` is the mixture of Howard, Ramdas, McAuliffe and Sekhon
    (2021, Annals of Statistics 49, 1055-1080); the interval is exact, and narrow if the variance is small.

    Args:
        found: Moments of the values.
        low: Minimum of the values.
        high: Maximum of the values.
        level: Probability, above 0 and below 1, that an interval at any look misses the mean. Defaults to 0.05.
    """
    if not found.rows:
        return Interval(low, high)
    width = high - low
    total = (found.total - found.rows * low) / width
    squares = (found.squares - 2 * low * found.total + found.rows * low**2) / width**2

    def is_out(means: np.ndarray, sign: int) -> np.ndarray:
        sums = sign * (total - found.rows * means)
        logs = np.outer(_BETS, sums) - np.outer(_COSTS, squares - 2 * means * total + found.rows * means**2)
        most = logs.max(axis=0)
        return np.asarray(most + np.log(np.exp(logs - most).mean(axis=0)) >= math.log(2 / level))

    middle = min(1.0, max(0.0, total / found.rows))
    ends = (
        _last_out(lambda means: is_out(means, 1), 0.0, middle),
        _last_out(lambda means: is_out(means, -1), 1.0, middle),
    )
    return Interval(low + width * ends[0], low + width * ends[1])


def asymptotic_interval(found: Moments, *, level: float = 0.05) -> Interval | None:
    """Return the interval of the mean of values without bounds; None below 100 values.

    It is the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024, Annals of Statistics
    52, 2613-2640): valid at all looks together as the number of values grows, if their variance is finite. With few values,
    or very large ones among them, it may miss the mean more often than `level` says.

    Args:
        found: Moments of the values.
        level: Probability, above 0 and below 1, that an interval at any look misses the mean. Defaults to 0.05.
    """
    if found.rows < LEAST_ROWS or found.mean is None:
        return None
    rate = (-2 * math.log(level) + math.log(1 - 2 * math.log(level))) / _TUNED_FOR
    scale = found.rows * rate + 1
    radius = math.sqrt(found.variance * 2 * scale / (found.rows**2 * rate) * math.log(math.sqrt(scale) / level))
    return Interval(found.mean - radius, found.mean + radius)


def _last_out(is_out: Callable[[np.ndarray], np.ndarray], out: float, inside: float) -> float:
    """Return the value next to the interval, between an end of the range and a value inside."""
    for _ in range(_ROUNDS):
        places = np.linspace(out, inside, _PARTS + 1)
        number = int(np.append(is_out(places[1:-1]), False).argmin())
        out, inside = float(places[number]), float(places[number + 1])
    return out
