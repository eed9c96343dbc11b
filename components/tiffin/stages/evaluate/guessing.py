"""Compare a model with guessing, row by row, and measure the margin that the number of rows supports.

Guessing is the best constant prediction for the split: the shares of its classes, or the mean of its label. No other
constant is better there, so a model that ignores its inputs can only lose, also where the shares changed since training.

The model's gain is the mean over the rows of the guess's loss minus the model's. The margin is the larger of two:

- The half-width of the one-sided 95 % interval of that mean: Student's t for paired differences.
- What chance gives in at most 5 % of draws to predictions that do not depend on the label, however skewed these are and
  however few the rows. Log loss: ln(20) / rows, because the likelihood ratio of predictions made on other rows to the best
  constant exceeds 20 in at most 5 % of draws (Wasserman, Ramdas and Balakrishnan, Universal inference, PNAS 117, 2020).
  Squared error: the share of the variance that a correlation must explain to be significant (Pitman, Significance tests
  which may be applied to samples from any populations II, 1937).

Both need rows that are independent of each other.
"""

import math

import numpy as np
from scipy.special import stdtrit

from tiffin.quality.definitions import Comparison
from tiffin.quality.moments import Moments
from tiffin.quality.outcomes import Outcomes

_CONFIDENCE = 0.95
# Of up to 4 rows, a random order is the right one in more than 1 - _CONFIDENCE / 2 of draws.
_FEWEST_NUMBERS = 5


def compare_with_guessing(outcomes: Outcomes) -> Comparison:
    """Return the comparison of a model with guessing."""
    beside: Classes | Numbers
    beside = Numbers(float(outcomes.truth.mean())) if outcomes.task == "regression" else Classes(outcomes.counts)
    for part in outcomes.chunks():
        beside.add(part.truth, part.answer)
    return beside.comparison()


class Classes:
    """Predicted probabilities beside the shares of the classes, by log loss."""

    def __init__(self, rows: np.ndarray) -> None:
        """Start with the number of rows of each class in the whole split."""
        with np.errstate(divide="ignore"):  # a class without rows
            self._guesses = -np.log(rows / rows.sum())
        self._rows, self._finite, self._gains = int(rows.sum()), True, Moments()

    def add(self, truth: np.ndarray, answer: np.ndarray) -> None:
        """Add rows.

        Args:
            truth: Class indices, `[rows]`.
            answer: Predicted probabilities: of the positive class, `[rows]`, or of each class, `[rows, classes]`.
        """
        self._finite = self._finite and bool(np.isfinite(answer).all())
        if not self._finite:
            return
        if answer.ndim == 1:
            chosen = np.where(truth == 1, answer, 1 - answer).astype(np.float64)
        else:
            chosen = answer[np.arange(len(truth)), truth] / answer.sum(axis=1, dtype=np.float64)
        # As scikit-learn does, so that a probability of 0 has a finite loss.
        losses = -np.log(np.clip(chosen, np.finfo(answer.dtype).eps, 1))
        self._gains.add(self._guesses[truth] - losses)

    def comparison(self) -> Comparison:
        """Return the comparison of all rows."""
        if not self._finite:
            return Comparison(None, self._rows)
        margin = max(_half_width(self._gains), -math.log(1 - _CONFIDENCE) / self._rows)
        return Comparison(self._gains.mean - margin, self._rows)


class Numbers:
    """Predicted numbers beside the mean, by squared error; the result is in units of the label, as RMSE is."""

    def __init__(self, mean: float) -> None:
        """Start with the mean of the label over all rows."""
        self._mean, self._finite, self._guesses, self._gains = mean, True, Moments(), Moments()

    def add(self, truth: np.ndarray, answer: np.ndarray) -> None:
        """Add rows.

        Args:
            truth: Labels, `[rows]`.
            answer: Predictions, `[rows]`.
        """
        self._finite = self._finite and bool(np.isfinite(answer).all())
        with np.errstate(over="ignore", invalid="ignore"):
            guesses = (truth.astype(np.float64) - self._mean) ** 2
            self._guesses.add(guesses)
            if self._finite:
                self._gains.add(guesses - (truth - answer) ** 2)

    def comparison(self) -> Comparison:
        """Return the comparison of all rows."""
        rows, variance = self._guesses.count, self._guesses.mean
        if not self._finite:
            return Comparison(None, rows)
        margin = max(_half_width(self._gains), _chance_share(rows) * variance)
        return Comparison(math.sqrt(variance) - math.sqrt(variance - self._gains.mean + margin), rows)


def _half_width(gains: Moments) -> float:
    """Return the half-width of the one-sided interval of the mean; 0 for a single row, which the other margin covers."""
    rows = gains.count
    return float(stdtrit(rows - 1, _CONFIDENCE) * gains.deviation(1) / math.sqrt(rows)) if rows > 1 else 0.0


def _chance_share(rows: int) -> float:
    """Return the share of the variance that unrelated predictions explain in at most 5 % of draws."""
    if rows < _FEWEST_NUMBERS:
        return 1.0
    quantile = float(stdtrit(rows - 2, _CONFIDENCE))
    return quantile**2 / (quantile**2 + rows - 2)
