"""Compute the metrics of predictions; `definitions` explains each."""

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import entr
from sklearn import metrics

from tiffin.stages.evaluate.definitions import BINARY, MULTICLASS, REGRESSION


def binary(truth: np.ndarray, probability: np.ndarray) -> dict[str, float | None]:
    """Return the metrics of probabilities of the positive class.

    Args:
        truth: Labels, `[rows]`, 0 or 1.
        probability: Predicted probabilities, `[rows]`, from 0 to 1.
    """
    both = 0 < truth.mean() < 1
    chosen = probability >= 0.5
    baseline = {"baseline_log_loss": guessed_log_loss(truth)}
    if not np.isfinite(probability).all():
        return _rounded(dict.fromkeys(BINARY) | baseline)
    return _rounded(
        {
            # Ranking metrics are undefined for a split with one class.
            "auc": metrics.roc_auc_score(truth, probability) if both else None,
            "average_precision": metrics.average_precision_score(truth, probability) if both else None,
            "accuracy": metrics.accuracy_score(truth, chosen),
            "precision": metrics.precision_score(truth, chosen, zero_division=0.0),
            "recall": metrics.recall_score(truth, chosen, zero_division=0.0),
            "f1": metrics.f1_score(truth, chosen, zero_division=0.0),
            "log_loss": metrics.log_loss(truth, probability, labels=[0, 1]),
            "brier": metrics.brier_score_loss(truth, probability),
            **baseline,
        }
    )


def multiclass(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    """Return the metrics of class probabilities.

    Args:
        truth: Class indices, `[rows]`.
        probabilities: Predicted probabilities, `[rows, classes]`; each row sums to 1.
    """
    classes = np.arange(probabilities.shape[1])
    baseline = {"baseline_log_loss": guessed_log_loss(truth)}
    if not np.isfinite(probabilities).all():
        return _rounded(dict.fromkeys(MULTICLASS) | baseline)
    # scikit-learn requires rows that sum to 1 more precisely than float32 does.
    probabilities = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    present = np.unique(truth)
    scores = [metrics.roc_auc_score(truth == c, probabilities[:, int(c)]) for c in present] if len(present) > 1 else []
    chosen = probabilities.argmax(axis=1)
    return _rounded(
        {
            "auc": float(np.mean(scores)) if scores else None,
            "accuracy": metrics.accuracy_score(truth, chosen),
            "f1": metrics.f1_score(truth, chosen, average="macro", zero_division=0.0),
            "log_loss": metrics.log_loss(truth, probabilities, labels=classes),
            **baseline,
        }
    )


def regression(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
    """Return the metrics of predicted numbers.

    Args:
        truth: Labels, `[rows]`.
        prediction: Predictions, `[rows]`.
    """
    baseline = {"baseline_rmse": float(np.std(truth, dtype=np.float64))}
    if not np.isfinite(prediction).all():
        return _rounded(dict.fromkeys(REGRESSION) | baseline)
    return _rounded(
        {
            "r2": metrics.r2_score(truth, prediction) if len(truth) > 1 else None,
            "rmse": metrics.root_mean_squared_error(truth, prediction),
            "mae": metrics.mean_absolute_error(truth, prediction),
            **baseline,
        }
    )


def guessed_log_loss(truth: np.ndarray) -> float:
    """Return the log loss of the classes' shares, the best constant prediction.

    Args:
        truth: Class indices, `[rows]`.
    """
    # abs: the entropy of a single class is -0.0.
    return abs(float(entr(np.bincount(truth) / len(truth)).sum()))


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the metrics rounded to 8 digits; further digits depend on the order of summation."""
    return {
        name: float(f"{value:.8g}") if value is not None and math.isfinite(value) else None
        for name, value in values.items()
    }
