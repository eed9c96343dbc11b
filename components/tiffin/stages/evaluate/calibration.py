"""Calibration: how far predicted probabilities are from the shares of rows that have the class."""

import numpy as np
from sklearn.calibration import calibration_curve

from tiffin.artifacts.verdict import Calibration
from tiffin.stages.evaluate.outcomes import Outcomes

# Bins of equal numbers of rows. Bins of equal width leave most of them empty for a rare class, and the error depends on them.
BINS = 10


def confidence(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Return a probability of each row, and whether the row has the class: the positive one, or the most likely one."""
    if outcomes.task == "binary":
        return np.clip(outcomes.answer, 0, 1), outcomes.truth == 1
    highest = np.concatenate([chunk.answer.max(axis=1) for chunk in outcomes.chunks()])
    return np.clip(highest, 0, 1), outcomes.predicted() == outcomes.truth


def bin_edges(probability: np.ndarray) -> np.ndarray:
    """Return the inner edges of the bins, as scikit-learn's `calibration_curve` has them."""
    edges: np.ndarray = np.percentile(probability, np.linspace(0, 1, BINS + 1) * 100)[1:-1]
    return edges


def measure(outcomes: Outcomes) -> Calibration:
    """Return the calibration curve."""
    probability, hit = confidence(outcomes)
    observed, predicted = calibration_curve(hit, probability, n_bins=BINS, strategy="quantile", pos_label=True)
    rows = np.bincount(np.searchsorted(bin_edges(probability), probability), minlength=BINS)
    return Calibration(tuple(predicted.tolist()), tuple(observed.tolist()), tuple(rows[rows > 0].tolist()))


def expected_error(curve: Calibration) -> float:
    """Return the expected calibration error: the distance in each bin, weighted by its rows."""
    distance = np.abs(np.array(curve.observed) - np.array(curve.predicted))
    return float(np.average(distance, weights=curve.rows))
