"""Compute the metrics of predictions that come in batches; `definitions` explains each."""

import math
from collections.abc import Mapping

import numpy as np

from tiffin.stages.evaluate.definitions import BINARY, MULTICLASS, REGRESSION
from tiffin.stages.evaluate.moments import Moments
from tiffin.stages.evaluate.ranking import Ranking

# Distinct scores that are told apart: of a binary model, and of each class and all classes of a multiclass model. A ranking
# of up to 1,048,576 rows is exact for up to 8 classes.
_SCORES = 1 << 20
_SCORES_OF_ALL = 1 << 23


class Binary:
    """The metrics of probabilities of the positive class.

    Attributes:
        confusion: Rows by true class, `[2, 2]`, and predicted class: 1 from a probability of 0.5.
        ranking: The probabilities.
    """

    def __init__(self) -> None:
        self.confusion, self.ranking = np.zeros((2, 2), np.int64), Ranking(_SCORES)
        self._finite, self._losses, self._squares = True, Moments(), Moments()

    def add(self, truth: np.ndarray, probability: np.ndarray) -> None:
        """Add rows.

        Args:
            truth: Labels, `[rows]`, 0 or 1.
            probability: Predicted probabilities, `[rows]`, from 0 to 1.
        """
        self.confusion += _confusion(truth, probability >= 0.5, 2)
        self._finite = self._finite and bool(np.isfinite(probability).all())
        if self._finite:
            self.ranking.add(probability, truth == 1)
            self._losses.add(log_losses(truth, probability))
            self._squares.add((truth - probability.astype(np.float64)) ** 2)

    @property
    def ranked(self) -> bool:
        """Whether ranking metrics are defined: both classes occur, and all predictions are finite."""
        return self._finite and bool(self.confusion.sum(axis=1).all())

    def values(self) -> dict[str, float | None]:
        """Return the metrics."""
        baseline = {"baseline_log_loss": guessed_log_loss(self.confusion.sum(axis=1))}
        if not self._finite:
            return _rounded(dict.fromkeys(BINARY) | baseline)
        (_, false), (missed, true) = self.confusion.tolist()
        return _rounded(
            {
                "auc": self.ranking.auc() if self.ranked else None,
                "average_precision": self.ranking.average_precision() if self.ranked else None,
                "accuracy": self.confusion.trace() / self.confusion.sum(),
                "precision": true / (true + false) if true else 0.0,
                "recall": true / (true + missed) if true else 0.0,
                "f1": 2 * true / (2 * true + false + missed) if true else 0.0,
                "log_loss": self._losses.mean,
                "brier": self._squares.mean,
                **baseline,
            }
        )

    def errors(self) -> dict[str, float]:
        """Return what metrics may differ from the exact ones by; empty if all are exact."""
        if not self.ranked or not self.ranking.grouped:
            return {}
        return {"auc": self.ranking.auc_error(), "average_precision": self.ranking.average_precision_error()}


class Multiclass:
    """The metrics of class probabilities.

    Attributes:
        confusion: Rows by true class and most likely class, `[classes, classes]`.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self._rankings = [Ranking(min(_SCORES, _SCORES_OF_ALL // classes)) for _ in range(classes)]
        self._finite, self._losses = True, Moments()

    def add(self, truth: np.ndarray, probabilities: np.ndarray) -> None:
        """Add rows.

        Args:
            truth: Class indices, `[rows]`.
            probabilities: Predicted probabilities, `[rows, classes]`; each row sums to 1.
        """
        self.confusion += _confusion(truth, probabilities.argmax(axis=1), len(self.confusion))
        self._finite = self._finite and bool(np.isfinite(probabilities).all())
        if self._finite:
            # float32 rows do not sum to 1 exactly.
            exact = probabilities / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
            for number, ranking in enumerate(self._rankings):
                ranking.add(exact[:, number], truth == number)
            self._losses.add(log_losses(truth, exact))

    def values(self) -> dict[str, float | None]:
        """Return the metrics."""
        rows = self.confusion.sum(axis=1)
        baseline = {"baseline_log_loss": guessed_log_loss(rows)}
        if not self._finite:
            return _rounded(dict.fromkeys(MULTICLASS) | baseline)
        scores = [ranking.auc() for ranking in self._ranked()]
        both = rows + self.confusion.sum(axis=0)
        f1 = 2 * self.confusion.diagonal()[both > 0] / both[both > 0]
        return _rounded(
            {
                "auc": float(np.mean(scores)) if scores else None,
                "accuracy": self.confusion.trace() / self.confusion.sum(),
                "f1": float(f1.mean()),
                "log_loss": self._losses.mean,
                **baseline,
            }
        )

    def errors(self) -> dict[str, float]:
        """Return what metrics may differ from the exact ones by; empty if all are exact."""
        ranked = self._ranked() if self._finite else []
        if not any(ranking.grouped for ranking in ranked):
            return {}
        return {"auc": float(np.mean([ranking.auc_error() for ranking in ranked]))}

    def _ranked(self) -> list[Ranking]:
        """Return the rankings of the classes that occur, if there are several."""
        present = self.confusion.sum(axis=1) > 0
        if present.sum() < 2:
            return []
        return [ranking for ranking, here in zip(self._rankings, present, strict=True) if here]


class Regression:
    """The metrics of predicted numbers."""

    def __init__(self, mean: float) -> None:
        """Start with the mean of the label over all rows."""
        self._mean, self._finite = mean, True
        self._apart, self._squares, self._sizes = Moments(), Moments(), Moments()

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Add rows.

        Args:
            truth: Labels, `[rows]`.
            prediction: Predictions, `[rows]`.
        """
        self._finite = self._finite and bool(np.isfinite(prediction).all())
        with np.errstate(over="ignore", invalid="ignore"):
            self._apart.add((truth - self._mean) ** 2)
            if self._finite:
                self._squares.add((truth - prediction) ** 2)
                self._sizes.add(np.abs(truth - prediction))

    def values(self) -> dict[str, float | None]:
        """Return the metrics."""
        variance, square = self._apart.mean, self._squares.mean
        baseline = {"baseline_rmse": math.sqrt(variance)}
        if not self._finite:
            return _rounded(dict.fromkeys(REGRESSION) | baseline)
        r2 = 1 - square / variance if variance else float(not square)
        return _rounded(
            {
                "r2": r2 if self._apart.count > 1 else None,
                "rmse": math.sqrt(square),
                "mae": self._sizes.mean,
                **baseline,
            }
        )

    def errors(self) -> dict[str, float]:
        """Return nothing: all metrics are exact."""
        return {}


def log_losses(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Return the log loss of each row, `[rows]`.

    Args:
        truth: Class indices, `[rows]`.
        answer: Predicted probabilities: of the positive class, `[rows]`, or of each class, `[rows, classes]`.
    """
    if answer.ndim == 1:
        chosen = np.where(truth == 1, answer, 1 - answer.astype(np.float64))
    else:
        chosen = answer[np.arange(len(truth)), truth]
    # As scikit-learn does, so that a probability of 0 has a finite loss.
    least = np.finfo(answer.dtype).eps
    losses: np.ndarray = -np.log(np.clip(chosen.astype(np.float64), least, 1 - least))
    return losses


def guessed_log_loss(rows: np.ndarray) -> float:
    """Return the log loss of the classes' shares, the best constant prediction.

    Args:
        rows: Number of rows of each class.
    """
    shares = rows[rows > 0] / rows.sum()
    return abs(float((shares * np.log(shares)).sum()))  # abs: of a single class, it is -0.0


def _confusion(truth: np.ndarray, chosen: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(truth * classes + chosen, minlength=classes**2).reshape(classes, classes)


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the metrics rounded to 8 digits; further digits depend on the order of summation."""
    return {
        name: float(f"{value:.8g}") if value is not None and math.isfinite(value) else None
        for name, value in values.items()
    }
