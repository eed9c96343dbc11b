"""Standard errors of the AUC, and the number of rows that find a loss.

    with labels   DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
                  characteristic curves", 1988: V = var(share of negatives below each positive) / positives
                  + var(share of positives above each negative) / negatives
    by theory     Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982: with Q1 = A / (2 - A) and
                  Q2 = 2 A^2 / (1 + A), V = (A (1 - A) + (positives - 1) (Q1 - A^2) + (negatives - 1) (Q2 - A^2))
                  / (positives * negatives)

A loss from A to A - loss is found with probability `power` by a one-sided test at `level` if

    loss >= z(level) * sqrt(R + V(A)) + z(power) * sqrt(R + V(A - loss))

where R is the variance of the value at training, and V that of the rows with labels.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import norm, rankdata

# Probability of a false alarm of a look, of the comparison with training and of each test of the diagnosis: in a week of daily
# looks, at most 3.5 % of both together.
LEVEL = 0.0025
_MOST_ROWS = 1 << 40


def auc_error(positive: np.ndarray, score: np.ndarray) -> float:
    """Return the standard error of the AUC by DeLong et al.

    Args:
        positive: Whether each row is positive, `[rows]`; of either kind, there is at least one.
        score: Scores, `[rows]`.
    """
    ranks = rankdata(score)
    parts = []
    for side, others in ((positive, ~positive), (~positive, positive)):
        share = (ranks[side] - rankdata(score[side])) / others.sum()
        # A single row shows no spread: at most a quarter, that of a share.
        parts.append((share.var(ddof=1) if len(share) > 1 else 0.25) / len(share))
    return math.sqrt(sum(parts))


def theoretical_error(auc: float, positives: float, negatives: float) -> float:
    """Return the standard error of the AUC by Hanley and McNeil.

    Args:
        auc: The AUC, from 0 to 1.
        positives: Number of positive rows, at least 1.
        negatives: Number of negative rows, at least 1.
    """
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (first - auc**2) + (negatives - 1) * (second - auc**2)
    return math.sqrt(max(0.0, spread) / (positives * negatives))


def rows_for_auc(
    auc: float, loss: float, share: float, *, level: float = LEVEL, power: float = 0.95, reference_error: float = 0.0
) -> int | None:
    """Return the number of rows with a label in which a loss of AUC is found; None if no number is enough.

    Args:
        auc: AUC at training.
        loss: Loss to find, above 0 and below the AUC.
        share: Share of positive rows, above 0 and below 1.
        level: Probability of a false alarm. Defaults to 0.0025.
        power: Probability to find the loss. Defaults to 0.95.
        reference_error: Standard error of the AUC at training. Defaults to 0.
    """
    alarm, found = norm.isf(level), norm.ppf(power)

    def finds(rows: float) -> bool:
        errors = [
            math.hypot(reference_error, theoretical_error(value, max(1, rows * share), max(1, rows * (1 - share))))
            for value in (auc, auc - loss)
        ]
        return bool(loss >= alarm * errors[0] + found * errors[1])

    return _fewest(finds)


def rows_for_loss(
    error: float, rows: int, loss: float, *, level: float = LEVEL, power: float = 0.95, reference_error: float = 0.0
) -> int | None:
    """Return the number of rows in which a loss of any metric is found, whose variance falls with the number of rows.

        loss >= (z(level) + z(power)) * sqrt(reference_error^2 + error^2 * rows / n)

    Args:
        error: Standard error of the metric on `rows` rows.
        rows: Number of these rows.
        loss: Loss to find, above 0, in units of the metric.
        level: Probability of a false alarm. Defaults to 0.0025.
        power: Probability to find the loss. Defaults to 0.95.
        reference_error: Standard error of the value at training. Defaults to 0.
    """
    factor = float(norm.isf(level) + norm.ppf(power))
    left = (loss / factor) ** 2 - reference_error**2
    return math.ceil(error**2 * rows / left) if left > 0 else None


def _fewest(finds: Callable[[float], bool]) -> int | None:
    low, high = 1, 2
    while not finds(high):
        low, high = high, high * 2
        if high > _MOST_ROWS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high
