"""The metrics of each task and their directions. Imports nothing heavy, so a gate can be checked before a run.

    binary      auc, average_precision, accuracy, precision, recall, f1 (at 0.5), log_loss, brier, calibration_error
    multiclass  auc (one-vs-rest, macro average), accuracy, f1 (macro average), log_loss, calibration_error,
                top_3_accuracy, top_5_accuracy
    regression  r2, rmse, mae, pinball_loss_10, pinball_loss_90

A metric is None if it is undefined: a ranking with a single class, or predictions that are not finite. The accuracy of the top
3 of 3 classes is always 1, and left out.

calibration_error is the expected calibration error: the mean over the rows of the distance between the predicted
probability and the share of rows that have the class, in 10 bins of equal numbers of rows. It takes the probability of the
positive class, or of the most likely one of several. pinball_loss_10 is the quantile loss of the predictions as 10 %
quantiles: it weighs a prediction that is too high 9 times as much as one that is too low.

`baseline_*` is the same metric for guessing: the best constant prediction for the split, the shares of its classes or the
mean of its label, as in r2.
"""

from dataclasses import dataclass

# Metric -> whether higher is better. auc: 0.5 is chance, 1 is perfect. log_loss, brier, calibration_error, rmse, mae and
# pinball_loss: 0 is perfect, no upper bound (brier, calibration_error: 1). r2: 1 is perfect, 0 equals predicting the mean.
# Others: from 0, worst, to 1, perfect.
HIGHER_IS_BETTER = {
    "accuracy": True,
    "auc": True,
    "average_precision": True,
    "brier": False,
    "calibration_error": False,
    "f1": True,
    "log_loss": False,
    "mae": False,
    "pinball_loss_10": False,
    "pinball_loss_90": False,
    "precision": True,
    "r2": True,
    "recall": True,
    "rmse": False,
    "top_3_accuracy": True,
    "top_5_accuracy": True,
}
BINARY = (
    "auc", "average_precision", "accuracy", "precision", "recall", "f1", "log_loss", "brier", "calibration_error",
)  # fmt: skip
MULTICLASS = ("auc", "accuracy", "f1", "log_loss", "calibration_error", "top_3_accuracy", "top_5_accuracy")
REGRESSION = ("r2", "rmse", "mae", "pinball_loss_10", "pinball_loss_90")
METRICS = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}
# Most likely classes of the top accuracies.
TOP = (3, 5)
# The metric that is compared with guessing and with the model in production.
MAIN = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
# Metric of a binary or a multiclass model that can be bounded for one class.
OF_A_CLASS = "recall"

# Measure of a sensitive column -> whether higher is better. Differences: from 0, no difference between the groups. Ratios,
# of the smallest to the largest: 1 is no difference, 0 the largest one.
_PAIRS = ("demographic_parity", "equalized_odds", "equal_opportunity", "accuracy")
FAIRNESS = {f"{name}_{kind}": kind == "ratio" for name in _PAIRS for kind in ("difference", "ratio")} | {
    "mean_prediction_difference": False,
    "mae_difference": False,
    "mae_ratio": True,
}
MEASURES = {
    "binary": tuple(name for name in FAIRNESS if not name.startswith(("mean_", "mae_"))),
    "multiclass": ("accuracy_difference", "accuracy_ratio"),
    "regression": ("mean_prediction_difference", "mae_difference", "mae_ratio"),
}


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
