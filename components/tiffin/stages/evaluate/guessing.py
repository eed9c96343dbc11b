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

from tiffin.stages.evaluate.definitions import Comparison

_CONFIDENCE = 0.95
# Of up to 4 rows, a random order is the right one in more than 1 - _CONFIDENCE / 2 of draws.
_FEWEST_NUMBERS = 5


def compare_classes(truth: np.ndarray, answer: np.ndarray) -> Comparison:
    """Compare predicted probabilities with the shares of the classes by log loss.

    Args:
        truth: Class indices, `[rows]`.
        answer: Predicted probabilities: of the positive class, `[rows]`, or of each class, `[rows, classes]`.
    """
    rows = len(truth)
    if not np.isfinite(answer).all():
        return Comparison(None, rows)
    if answer.ndim == 1:
        chosen = np.where(truth == 1, answer, 1 - answer).astype(np.float64)
    else:
        chosen = answer[np.arange(rows), truth] / answer.sum(axis=1, dtype=np.float64)
    # As scikit-learn does, so that a probability of 0 has a finite loss.
    losses = -np.log(np.clip(chosen, np.finfo(answer.dtype).eps, 1))
    shares = np.bincount(truth) / rows
    gains = -np.log(shares[truth]) - losses
    margin = max(_half_width(gains), -math.log(1 - _CONFIDENCE) / rows)
    return Comparison(float(gains.mean()) - margin, rows)


def compare_numbers(truth: np.ndarray, answer: np.ndarray) -> Comparison:
    """Compare predicted numbers with the mean by squared error; the result is in units of the label, as RMSE is.

    Args:
        truth: Labels, `[rows]`.
        answer: Predictions, `[rows]`.
    """
    rows = len(truth)
    truth = truth.astype(np.float64)
    guesses = (truth - truth.mean()) ** 2
    guess = math.sqrt(guesses.mean())
    if not np.isfinite(answer).all():
        return Comparison(None, rows)
    gains = guesses - (truth - answer) ** 2
    margin = max(_half_width(gains), _chance_share(rows) * float(guesses.mean()))
    highest = guess**2 - float(gains.mean()) + margin
    return Comparison(guess - math.sqrt(highest), rows)


def _half_width(gains: np.ndarray) -> float:
    """Return the half-width of the one-sided interval of the mean; 0 for a single row, which the other margin covers."""
    rows = len(gains)
    return float(stdtrit(rows - 1, _CONFIDENCE) * gains.std(ddof=1) / math.sqrt(rows)) if rows > 1 else 0.0


def _chance_share(rows: int) -> float:
    """Return the share of the variance that unrelated predictions explain in at most 5 % of draws."""
    if rows < _FEWEST_NUMBERS:
        return 1.0
    quantile = float(stdtrit(rows - 2, _CONFIDENCE))
    return quantile**2 / (quantile**2 + rows - 2)
