"""The metrics of each task and their directions. Imports nothing heavy, so thresholds can be checked before a run.

    binary      auc, average_precision, accuracy, precision, recall, f1 (at 0.5), log_loss, brier
    multiclass  auc (one-vs-rest, macro average), accuracy, f1 (macro average), log_loss
    regression  r2, rmse, mae

A metric is None if it is undefined: a ranking with a single class, or predictions that are not finite.

`baseline_*` is the same metric for guessing: the best constant prediction for the split, the shares of its classes or the
mean of its label, as in r2.
"""

from dataclasses import dataclass

# Metric -> whether higher is better. auc: 0.5 is chance, 1 is perfect. log_loss, brier, rmse, mae: 0 is perfect, no upper
# bound (brier: 1). r2: 1 is perfect, 0 equals predicting the mean. Others: from 0, worst, to 1, perfect.
HIGHER_IS_BETTER = {
    "accuracy": True,
    "auc": True,
    "average_precision": True,
    "brier": False,
    "f1": True,
    "log_loss": False,
    "mae": False,
    "precision": True,
    "r2": True,
    "recall": True,
    "rmse": False,
}
BINARY = ("auc", "average_precision", "accuracy", "precision", "recall", "f1", "log_loss", "brier")
MULTICLASS = ("auc", "accuracy", "f1", "log_loss")
REGRESSION = ("r2", "rmse", "mae")
METRICS = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}
# The metric that must be better than guessing, with or without thresholds.
MAIN = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class Comparison:
    """A model beside guessing, by the main metric of its task.

    Attributes:
        at_least: What the model is better by with 95 % confidence; 0 or less if it is not clearly better. None if its
            predictions are not finite.
        rows: Number of rows.
    """

    at_least: float | None
    rows: int
