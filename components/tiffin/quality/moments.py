"""Mean and variance of numbers that come in batches."""

import math

import numpy as np


class Moments:
    """The number, the mean and the variance of all numbers added so far.

    Batches are merged by the sums of squares around their means (Chan, Golub and LeVeque, "Algorithms for computing the sample
    variance", 1983), so that no digits are lost where the variance is small beside the mean.

    Attributes:
        count: Number of numbers.
        mean: Their mean; 0 for none.
    """

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Add numbers, `[rows]`."""
        if not len(values):
            return
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float64: infinite or NaN
            mean = values.mean(dtype=np.float64)
            apart = mean - self.mean
            before, self.count = self.count, self.count + len(values)
            self.mean = float(self.mean + apart * (len(values) / self.count))
            squares = ((values - mean) ** 2).sum() + apart**2 * (before * (len(values) / self.count))
            self._squares = float(self._squares + squares)

    def deviation(self, ddof: int = 0) -> float:
        """Return the standard deviation.

        Args:
            ddof: What the divisor is less than the count by: 1 for the estimate from a sample. Defaults to 0.
        """
        return math.sqrt(self._squares / (self.count - ddof))
