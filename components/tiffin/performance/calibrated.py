"""Maps from the model's probabilities to calibrated ones, from which performance without labels is estimated.

    evaluation  the calibration curve of the evaluation: logit(c) = a + b logit(p), fitted to its bins by maximum likelihood.
                If the bins deviate from it (chi-squared test at 1 %), the map goes through the bins instead: they are pooled
                where they fall (isotonic regression of scikit-learn), between them it is linear in log odds, and beyond them
                it has the slope of the outer bins.
    labels      the same with rows of the log that have labels, in up to 100 bins, if there are 1,000 of them, 100 of each side,
                and no fewer than the evaluation had. They should be from before the time that is estimated: labels from a time
                when the relation of inputs and labels has changed would hide the change.
    identity    the probabilities as they are, if there is no calibration curve.

Of a model with several classes, it is the probability of the most likely class that is calibrated; the others are scaled so
that all add up to 1.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn.isotonic import IsotonicRegression

from tiffin.artifacts.measures import Calibration
from tiffin.quality import calibration
from tiffin.quality.outcomes import Outcomes

Source = Literal["evaluation", "labels", "identity"]
# Rows with labels, and rows of each side, that an isotonic regression needs.
LEAST_ROWS, LEAST_OF_A_SIDE = 1000, 100
_FITS = 0.01
# Log odds at which a map of the evaluation bends; float32 has no probabilities below 1 beyond 16.
_ODDS = np.linspace(-17, 17, 273)
_STEPS, _LARGEST_STEP = 50, 5.0
_SAME = np.array([0.0, 1.0])
# Rows of a bin of labels, and bins of them.
_BIN_ROWS, _MOST_BINS = 100, 100


@dataclass(frozen=True)
class CalibrationMap:
    """A map from probabilities to calibrated ones, and how sure it is.

    Attributes:
        source: `evaluation`, `labels` or `identity`.
        rows: Number of rows with labels that it is from; 0 for `identity`.
        predicted: Probabilities at which the map bends, in ascending order.
        observed: Calibrated probabilities there; linear between them, constant beyond.
        fit: a and b of the fitted line of log odds; None for another map.
        covariance: Variance of a, covariance of a and b, and variance of b; None for another map.
        bins: Calibration curve of the rows that another map is from, whose noise is that of the map.
    """

    source: Source
    rows: int
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    fit: tuple[float, ...] | None = None
    covariance: tuple[float, ...] | None = None
    bins: Calibration | None = None

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Return the calibrated probabilities, in float64."""
        found: np.ndarray = np.interp(np.clip(probability, 0, 1), self.predicted, self.observed)
        return found

    def noise(self, probability: np.ndarray, rng: np.random.Generator, rounds: int) -> np.ndarray:
        """Return calibrated probabilities as other rows would have given them, `[rounds, probabilities]`.

        The log odds vary: of a fitted line by the errors of a and b, of another map by those of the share of each bin,
        1 / sqrt(o (1 - o) n) with o = (hits + 1) / (n + 2), and linearly between bins.
        """
        calibrated, given = self.apply(probability), np.clip(probability, 0, 1)
        if self.covariance is not None:
            first, both, second = self.covariance
            drawn = rng.multivariate_normal(np.zeros(2), [[first, both], [both, second]], rounds, method="eigh")
            spread = drawn[:, :1] + drawn[:, 1:] * _log_odds(given)
        elif self.bins is not None:
            rows = np.array(self.bins.rows, np.float64)
            share = (np.array(self.bins.observed) * rows + 1) / (rows + 2)
            drawn = rng.normal(size=(rounds, len(rows))) / np.sqrt(share * (1 - share) * rows)
            spread = np.stack([np.interp(given, np.array(self.bins.predicted), one) for one in drawn])
        else:
            spread = np.zeros((rounds, len(given)))
        found: np.ndarray = expit(_log_odds(calibrated) + spread)
        return found


IDENTITY = CalibrationMap("identity", 0, (0.0, 1.0), (0.0, 1.0))


def find_map(curve: Calibration | None, labelled: Outcomes | None = None) -> CalibrationMap:
    """Return the map from rows with labels if there are enough, else from the evaluation's curve, else none.

    Args:
        curve: Calibration curve of the evaluation; None if it has none.
        labelled: Rows with labels from before the time that is estimated. Defaults to none.
    """
    least = max(LEAST_ROWS, sum(curve.rows) if curve else 0)
    if labelled is not None and labelled.rows >= least:
        probability, hit = calibration.confidence(labelled)
        if min(hit.sum(), (~hit).sum()) >= LEAST_OF_A_SIDE:
            return _from_curve(_fine_curve(probability, hit), "labels")
    if curve is None or not curve.rows:
        return IDENTITY
    return _from_curve(curve, "evaluation")


def _fine_curve(probability: np.ndarray, hit: np.ndarray) -> Calibration:
    """Return a calibration curve of more bins than that of an evaluation: of 100 rows or more, at most 100 bins."""
    bins = min(_MOST_BINS, len(hit) // _BIN_ROWS)
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability)
    rows = np.bincount(place, minlength=len(edges) + 1)
    filled = np.flatnonzero(rows)
    predicted, observed = (
        np.bincount(place, values, len(rows))[filled] / rows[filled] for values in (probability, hit.astype(np.float64))
    )
    return Calibration(tuple(predicted.tolist()), tuple(observed.tolist()), tuple(rows[filled].tolist()))


def _from_curve(curve: Calibration, source: Source) -> CalibrationMap:
    order = np.argsort(curve.predicted, kind="stable")
    predicted, observed, rows = (
        np.array(one, np.float64)[order] for one in (curve.predicted, curve.observed, curve.rows)
    )
    odds, total = _log_odds(predicted), int(rows.sum())
    line, covariance = _fit(odds, observed, rows)
    expected = expit(line[0] + line[1] * odds)
    apart = float((rows * (observed - expected) ** 2 / np.maximum(expected * (1 - expected), 1e-12)).sum())
    knots = (0.0, *expit(_ODDS).tolist(), 1.0)
    if len(rows) > 2 and apart > chi2.isf(_FITS, len(rows) - 2):
        pooled = IsotonicRegression(y_min=0, y_max=1).fit_transform(odds, observed, sample_weight=rows)
        # A bin without any hit, or with hits only, as of one more row of both.
        levels = _log_odds((pooled * rows + 0.5) / (rows + 1))
        mapped = np.interp(_ODDS, odds, np.maximum.accumulate(levels))
        # Beyond the bins, the slope is that of the outer fifth of the rows.
        outer = max(3, len(odds) // 5)
        low, high = (
            _fit(odds[part], observed[part], rows[part], line)[0][1] for part in (slice(outer), slice(-outer, None))
        )
        mapped += low * np.minimum(_ODDS - odds[0], 0) + high * np.maximum(_ODDS - odds[-1], 0)
        return CalibrationMap(source, total, knots, _with_ends(mapped), bins=curve)
    mapped = line[0] + line[1] * _ODDS
    first, both, second = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    spread = (float(first), float(both), float(second))
    return CalibrationMap(source, total, knots, _with_ends(mapped), (float(line[0]), float(line[1])), spread)


def _with_ends(odds: np.ndarray) -> tuple[float, ...]:
    shares = expit(odds).tolist()
    return (shares[0], *shares, shares[-1])


def _fit(
    odds: np.ndarray, observed: np.ndarray, rows: np.ndarray, start: np.ndarray = _SAME
) -> tuple[np.ndarray, np.ndarray]:
    """Return a and b of the line of log odds, and their covariance, by Newton's method.

    The prior of a and b is normal around `start`, by default the identity, 0 and 1, with variance 1, so that bins that say
    nothing of b leave it.
    """
    design = np.stack([np.ones_like(odds), odds], axis=1)
    line = start
    for _ in range(_STEPS):
        share = expit(design @ line)
        slope = design.T @ (rows * (observed - share)) - (line - start)
        bent = (design * (rows * share * (1 - share))[:, None]).T @ design + np.eye(2)
        step = np.clip(np.linalg.solve(bent, slope), -_LARGEST_STEP, _LARGEST_STEP)
        line = line + step
        if np.abs(step).max() < 1e-10:
            break
    # Calibration never turns the order of rows around.
    return np.array([line[0], max(line[1], 0.0)]), np.linalg.inv(bent)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    found: np.ndarray = logit(np.clip(probability, expit(_ODDS[0]), expit(_ODDS[-1])))
    return found
