"""Measure predictions with scikit-learn; `definitions` explains each metric."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics as sklearn

from tiffin.artifacts.measures import Curve, PrecisionRecall
from tiffin.quality import calibration
from tiffin.quality.definitions import METRICS, TOP
from tiffin.quality.outcomes import Outcomes
from tiffin.quality.ranking import Ranking

# Rows whose scores are ranked one by one, which takes scikit-learn 50 bytes per row. Of more rows, near scores are grouped.
_RANKED_ROWS = 1 << 24
_GROUPS = 1 << 20
_CURVE_POINTS = 100


def measure(outcomes: Outcomes) -> dict[str, float | None]:
    """Return the metrics of the task, rounded to 8 digits; None for those that are undefined."""
    names = names_of(outcomes)
    if not outcomes.rows or not outcomes.is_finite:
        return dict.fromkeys(names)
    found = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[outcomes.task](outcomes)
    return rounded({name: found[name] for name in names})


def names_of(outcomes: Outcomes) -> list[str]:
    """Return the metrics of the task, without the accuracy of the top 3 of 3 classes, which is always 1."""
    trivial = [f"top_{best}_accuracy" for best in TOP if outcomes.classes <= best]
    return [name for name in METRICS[outcomes.task] if name not in trivial]


def baseline(outcomes: Outcomes) -> dict[str, float | None]:
    """Return the main metric of guessing: the shares of the classes, or the mean of the label."""
    if outcomes.task == "regression":
        with np.errstate(over="ignore", invalid="ignore"):
            return rounded({"baseline_rmse": float(outcomes.truth.std())})
    return rounded({"baseline_log_loss": guessed_log_loss(outcomes.counts)})


def confusion(outcomes: Outcomes) -> np.ndarray:
    """Return the confusion matrix, `[classes, classes]`: true classes as rows, predicted classes as columns."""
    matrix: np.ndarray = sklearn.confusion_matrix(outcomes.truth, outcomes.predicted(), labels=range(outcomes.classes))
    return matrix


def recalls(matrix: np.ndarray) -> list[float | None]:
    """Return the recall of each class from the confusion matrix; None for a class without rows."""
    rows = matrix.sum(axis=1)
    return [_round(float(hits / count)) if count else None for hits, count in zip(matrix.diagonal(), rows, strict=True)]


def _binary(outcomes: Outcomes) -> dict[str, float | None]:
    truth, predicted = outcomes.truth, outcomes.predicted()
    ranked = _ranked(truth == 1, outcomes.answer) if outcomes.counts.all() else None
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
        truth, predicted, average="binary", zero_division=0.0
    )
    return {
        "auc": sklearn.roc_auc_score(ranked.truth, ranked.score, sample_weight=ranked.weight) if ranked else None,
        "average_precision": sklearn.average_precision_score(ranked.truth, ranked.score, sample_weight=ranked.weight)
        if ranked
        else None,
        "accuracy": sklearn.accuracy_score(truth, predicted),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "log_loss": _log_loss(outcomes),
        "brier": _mean(
            outcomes, lambda part: sklearn.brier_score_loss(part.truth, np.clip(part.answer, 0, 1), pos_label=1)
        ),
        "calibration_error": calibration.expected_error(calibration.measure(outcomes)),
    }


def _multiclass(outcomes: Outcomes) -> dict[str, float | None]:
    truth, predicted = outcomes.truth, outcomes.predicted()
    present = np.flatnonzero(outcomes.counts)
    scores = []
    for number in present if len(present) > 1 else ():
        ranked = _ranked(truth == number, outcomes.answer[:, number])
        scores.append(sklearn.roc_auc_score(ranked.truth, ranked.score, sample_weight=ranked.weight))
    return {
        "auc": float(np.mean(scores)) if scores else None,
        "accuracy": sklearn.accuracy_score(truth, predicted),
        "f1": sklearn.f1_score(truth, predicted, average="macro", zero_division=0.0),
        "log_loss": _log_loss(outcomes),
        "calibration_error": calibration.expected_error(calibration.measure(outcomes)),
        **{
            f"top_{best}_accuracy": _mean(
                outcomes,
                lambda part, best=best: sklearn.top_k_accuracy_score(  # type: ignore[misc]
                    part.truth, part.answer, k=best, labels=range(part.classes)
                ),
            )
            for best in TOP
            if outcomes.classes > best
        },
    }


def _regression(outcomes: Outcomes) -> dict[str, float | None]:
    truth, answer = outcomes.truth, outcomes.answer
    with np.errstate(over="ignore", invalid="ignore"):
        return {
            "r2": sklearn.r2_score(truth, answer) if outcomes.rows > 1 else None,
            "rmse": sklearn.root_mean_squared_error(truth, answer),
            "mae": sklearn.mean_absolute_error(truth, answer),
            "pinball_loss_10": sklearn.mean_pinball_loss(truth, answer, alpha=0.1),
            "pinball_loss_90": sklearn.mean_pinball_loss(truth, answer, alpha=0.9),
        }


def _log_loss(outcomes: Outcomes) -> float:
    least = float(np.finfo(outcomes.answer.dtype).eps)

    def loss(part: Outcomes) -> float:
        exact = part.answer.astype(np.float64)
        if part.task == "binary":
            positive = np.clip(exact, least, 1 - least)
            return float(sklearn.log_loss(part.truth, np.stack([1 - positive, positive], axis=1), labels=[0, 1]))
        # float32 rows do not sum to 1 exactly.
        exact /= exact.sum(axis=1, keepdims=True)
        return float(sklearn.log_loss(part.truth, exact, labels=range(part.classes)))

    return _mean(outcomes, loss)


def _mean(outcomes: Outcomes, measured: Callable[[Outcomes], Any]) -> float:
    """Return the mean of a metric that is a mean over the rows, so that scikit-learn's copies stay small."""
    parts = [(float(measured(part)), part.rows) for part in outcomes.chunks()]
    return math.fsum(value * rows for value, rows in parts) / outcomes.rows


@dataclass(frozen=True)
class _Ranked:
    """Scores to rank: one by one, or groups with their numbers of rows as weights."""

    truth: np.ndarray
    score: np.ndarray
    weight: np.ndarray | None = None


def _ranked(truth: np.ndarray, score: np.ndarray) -> _Ranked:
    if len(truth) <= _RANKED_ROWS:
        return _Ranked(truth, score)
    return _Ranked(*_grouped(truth, score).weighted())


def _grouped(truth: np.ndarray, score: np.ndarray) -> Ranking:
    ranking = Ranking(_GROUPS)
    for start in range(0, len(truth), _GROUPS):
        ranking.add(score[start : start + _GROUPS], truth[start : start + _GROUPS])
    return ranking


def errors(outcomes: Outcomes) -> dict[str, float]:
    """Return what metrics may differ from the exact ones by; empty if all are exact."""
    if outcomes.task == "regression" or outcomes.rows <= _RANKED_ROWS or not outcomes.is_finite:
        return {}
    present = np.flatnonzero(outcomes.counts)
    if len(present) < 2:
        return {}
    if outcomes.task == "binary":
        ranking = _grouped(outcomes.truth == 1, outcomes.answer)
        if not ranking.grouped:
            return {}
        return {"auc": ranking.auc_error(), "average_precision": ranking.average_precision_error()}
    rankings = [_grouped(outcomes.truth == number, outcomes.answer[:, number]) for number in present]
    if not any(ranking.grouped for ranking in rankings):
        return {}
    return {"auc": float(np.mean([ranking.auc_error() for ranking in rankings]))}


def roc(outcomes: Outcomes) -> Curve:
    """Return at most 100 points of the ROC curve of a binary model, including both ends; none if it is undefined."""
    if not outcomes.is_finite or not outcomes.counts.all():
        return Curve((), (), ())
    ranked = _ranked(outcomes.truth == 1, outcomes.answer)
    fpr, tpr, threshold = sklearn.roc_curve(ranked.truth, ranked.score, sample_weight=ranked.weight)
    # The first threshold is infinite by definition; KFP's charts and JSON need finite numbers.
    finite = np.where(np.isfinite(threshold), threshold, 1.0)
    return Curve(*_points(_evenly(len(fpr)), fpr, tpr, finite))


def precision_recall(outcomes: Outcomes) -> PrecisionRecall:
    """Return at most 100 points of the precision-recall curve of a binary model; none if it is undefined."""
    if not outcomes.is_finite or not outcomes.counts.all():
        return PrecisionRecall((), ())
    ranked = _ranked(outcomes.truth == 1, outcomes.answer)
    precision, recall, _ = sklearn.precision_recall_curve(ranked.truth, ranked.score, sample_weight=ranked.weight)
    # Evenly by recall: the first points, of the highest scores, are few rows and differ most.
    wanted = np.linspace(0, 1, _CURVE_POINTS)
    chosen = np.unique(len(recall) - 1 - np.searchsorted(recall[::-1], wanted).clip(0, len(recall) - 1))
    return PrecisionRecall(
        *_points(chosen if len(recall) > _CURVE_POINTS else np.arange(len(recall)), precision, recall)
    )


def _evenly(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _CURVE_POINTS)).round().astype(int))


def _points(chosen: np.ndarray, *curves: np.ndarray) -> list[tuple[float, ...]]:
    return [tuple(round(float(value), 6) for value in values[chosen]) for values in curves]


def guessed_log_loss(rows: np.ndarray) -> float:
    """Return the log loss of the classes' shares, the best constant prediction.

    Args:
        rows: Number of rows of each class.
    """
    shares = rows[rows > 0] / rows.sum()
    return abs(float((shares * np.log(shares)).sum()))  # abs: of a single class, it is -0.0


def rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the metrics rounded to 8 digits; further digits depend on the order of summation."""
    return {name: _round(value) for name, value in values.items()}


def _round(value: float | None) -> float | None:
    return float(f"{value:.8g}") if value is not None and math.isfinite(value) else None
