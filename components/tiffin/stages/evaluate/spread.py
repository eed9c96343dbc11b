"""Rows that are evenly spread over a split whose batches come one by one."""

import numpy as np


class Spread:
    """Chooses every row, every second, every third and so on, so that no more than a number of rows are chosen.

    Args:
        rows: Number of rows of the split.
        most: Maximum number of chosen rows.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._step, self._seen = max(1, -(-rows // most)), 0

    def choose(self, rows: int) -> np.ndarray:
        """Return the indices of the chosen rows in the next batch, which has `rows` rows."""
        chosen = np.arange(-self._seen % self._step, rows, self._step)
        self._seen += rows
        return chosen
