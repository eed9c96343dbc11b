"""Compare the distributions of the predictions of both versions, from counts in fixed bins.

The distance is that of Kolmogorov and Smirnov at the bounds of the bins: the largest difference between the shares of both
versions up to a bound. 0 means the same distribution, 1 that no value of one is within the range of the other; differences
within a bin cannot be seen. It has a lower limit by a band around each of the two distributions that holds at all values and
all looks together (Howard and Ramdas 2022, Bernoulli 28, 1704-1728): with a probability of `1 - level`, the share up to any
value is never farther from the true one, after `t` rows from the first one on, than

    0.85 * sqrt((log(log(e * t)) + 0.8 * log(1612 / level)) / t)

What it assumes: the rows of each version are drawn from one distribution. If the requests change over the day, versions with
different weights over the day get different requests. Compare what both predicted since the last change of the weight.
"""

import math
from dataclasses import dataclass

import numpy as np

from tiffin.errors import InputError
from tiffin.rollout.statistics.histograms import Histogram


@dataclass(frozen=True)
class Comparison:
    """Two distributions.

    Attributes:
        distance: Largest difference between the shares up to a bound, from 0 to 1.
        at_least: Lower limit of the true distance; 0 if it may be 0.
        at: Bound with the largest difference; None without a difference.
        level: Probability that the lower limit, at any look, is above the true distance.
        tolerance: Distance that is allowed.
    """

    distance: float
    at_least: float
    at: float | None
    level: float
    tolerance: float

    @property
    def is_significant(self) -> bool:
        """Whether the distance is above the tolerance for certain, up to `level`."""
        return self.at_least > self.tolerance

    @property
    def log_e_value(self) -> float:
        """The comparison as evidence beside that of `shares`: `log(1 / level)` if it is significant, of 0 otherwise."""
        return -math.log(self.level) if self.is_significant else -math.inf


def compare(stable: Histogram, candidate: Histogram, *, level: float = 0.05, tolerance: float = 0.0) -> Comparison:
    """Return the distance between two distributions, and its lower limit.

    Args:
        stable: Predictions of the stable version.
        candidate: Predictions of the candidate, in the same bins.
        level: Probability, above 0 and below 1, that the lower limit is above the true distance at any look; each version
            gets half of it. Defaults to 0.05.
        tolerance: Distance, from 0 and below 1, that is allowed. Versions of a model predict differently, so 0 only fits a
            candidate that should predict the same. Defaults to 0.

    Raises:
        InputError: The bins differ.
    """
    if not stable.total or not candidate.total:
        return Comparison(0.0, 0.0, None, level, tolerance)
    if stable.bounds != candidate.bounds:
        raise InputError(
            "Both versions should be counted in the same bins. "
            f"Received: bounds {stable.bounds} of the stable version, {candidate.bounds} of the candidate."
        )
    shares = [np.cumsum(one.counts)[:-1] / one.total for one in (stable, candidate)]
    distances = np.abs(shares[0] - shares[1])
    if not len(distances) or not distances.any():
        return Comparison(0.0, 0.0, None, level, tolerance)
    place = int(distances.argmax())
    distance = float(distances[place])
    at_least = max(0.0, distance - radius(stable.total, level / 2) - radius(candidate.total, level / 2))
    return Comparison(distance, at_least, stable.bounds[place], level, tolerance)


def radius(rows: int, level: float) -> float:
    """Return the half width of the band around a distribution; 1 means that nothing is known.

    Args:
        rows: Number of rows, above 0.
        level: Probability, above 0 and below 1, that the true distribution is outside of the band at any look.
    """
    return min(1.0, 0.85 * math.sqrt((math.log(1 + math.log(rows)) + 0.8 * math.log(1612 / level)) / rows))
