"""Calibration: how far predictions are from what is observed: shares of rows that have a class, or means of numbers."""

import numpy as np
from sklearn.calibration import calibration_curve

from tiffin.artifacts.measures import Calibration, Histogram
from tiffin.quality.outcomes import Outcomes

# Bins of equal numbers of rows. Bins of equal width leave most of them empty for a rare class, and the error depends on them.
BINS = 10
_ERROR_BINS = 30


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
    if outcomes.task == "regression":
        return _means(outcomes)
    probability, hit = confidence(outcomes)
    observed, predicted = calibration_curve(hit, probability, n_bins=BINS, strategy="quantile", pos_label=True)
    rows = np.bincount(np.searchsorted(bin_edges(probability), probability), minlength=BINS)
    return Calibration(tuple(predicted.tolist()), tuple(observed.tolist()), tuple(rows[rows > 0].tolist()))


def expected_error(curve: Calibration) -> float:
    """Return the expected calibration error: the distance in each bin, weighted by its rows."""
    distance = np.abs(np.array(curve.observed) - np.array(curve.predicted))
    return float(np.average(distance, weights=curve.rows))


def _means(outcomes: Outcomes) -> Calibration:
    """Return the mean prediction and the mean label of each bin of a regression."""
    place = np.searchsorted(bin_edges(outcomes.answer), outcomes.answer)
    rows = np.bincount(place, minlength=BINS)
    filled = np.flatnonzero(rows)
    predicted, observed = (
        np.bincount(place, values, BINS)[filled] / rows[filled] for values in (outcomes.answer, outcomes.truth)
    )
    return Calibration(tuple(predicted.tolist()), tuple(observed.tolist()), tuple(rows[filled].tolist()))


def errors(outcomes: Outcomes) -> Histogram:
    """Return the histogram of prediction minus label, without the lowest and the highest 0.5 % of the rows."""
    apart = outcomes.answer - outcomes.truth
    low, high = np.quantile(apart, (0.005, 0.995))
    rows, edges = np.histogram(apart[(low <= apart) & (apart <= high)], bins=_ERROR_BINS)
    return Histogram(tuple(edges.tolist()), tuple(rows.tolist()))
