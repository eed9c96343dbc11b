"""The metrics of each task, and which way each is good; without what computes them, so that a run can hold to their names.

    binary      auc, average_precision, accuracy, precision, recall, f1 (at 0.5), log_loss, brier
    multiclass  auc (one against the rest, mean of the classes), accuracy, f1 (mean of the classes), log_loss
    regression  r2, rmse, mae

A metric that cannot be measured is None: a ranking of one class, or answers that are not finite.

`baseline_*` is the same metric for always predicting what was most likely in training: the shares of the classes, or the
mean of the label.
"""

# Metric -> whether larger is better. auc: 0.5 is chance, 1 perfect. log_loss, brier, rmse, mae: 0 is perfect, no upper
# end (brier: 1). r2: 1 is perfect, 0 no better than the mean. The others: 0 worst, 1 perfect.
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
# The metric that a model must do better in than its baseline, whatever thresholds say.
MAIN = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
