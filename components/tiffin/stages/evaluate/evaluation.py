"""The evaluation of a model artifact on a split: metrics, curves and the verdict of the gate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as curves

from tiffin import artifacts
from tiffin.stages.evaluate import gate, metrics
from tiffin.stages.evaluate.predictions import Predictions, predict
from tiffin.version import __version__

_CURVE_POINTS = 100


def evaluate(
    model: str | Path,
    examples: str | Path,
    output: str | Path,
    *,
    thresholds: Mapping[str, float] | None = None,
    split: str = "eval",
) -> dict[str, Any]:
    """Evaluate the exported model on a split, write the evaluation artifact and return its content.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact.
        output: Folder of the evaluation artifact.
        thresholds: Metric to bound; see `gate.judge`. Defaults to none: better than the baseline is enough.
        split: Which split. Defaults to `eval`.

    Returns:
        `passed`, `reason`, `checks`, `metrics`, `task`, `rows`, `split`, and `curve` (false and true positive rates with
        their thresholds) for a binary label or `confusion` (rows are the truth) for classes.

    Raises:
        InputError: A parameter or an artifact breaks a rule.
        DataError: The split has no rows with a label that the model knows.
    """
    record = artifacts.read_json(Path(model) / artifacts.TRAINING)
    # Before the work whose result they judge.
    gate.check_thresholds(thresholds or {}, record["task"])
    found = predict(model, examples, split, record)
    result = _measure(record, found)
    verdict = {
        **gate.judge(record["task"], result["metrics"], thresholds or {}, found.unknown_classes),
        **result,
        "task": record["task"],
        "split": split,
        "rows": len(found.truth),
        "data_version": record["data_version"],
        "tiffin_version": __version__,
    }
    artifacts.write_json(Path(output) / artifacts.VERDICT, verdict)
    return verdict


def _measure(record: Mapping[str, Any], found: Predictions) -> dict[str, Any]:
    if record["task"] == "regression":
        return {"metrics": metrics.regression(found.truth, found.answer, record["label_mean"])}
    classes = range(len(record["classes"]))
    if record["task"] == "multiclass":
        confusion = curves.confusion_matrix(found.truth, found.answer.argmax(axis=1), labels=classes)
        values = metrics.multiclass(found.truth, found.answer, np.array(record["class_shares"]))
        return {"metrics": values, "confusion": confusion.tolist(), "classes": record["classes"]}
    confusion = curves.confusion_matrix(found.truth, found.answer >= 0.5, labels=classes)
    return {
        "metrics": metrics.binary(found.truth, found.answer, record["class_shares"][1]),
        "confusion": confusion.tolist(),
        "classes": record["classes"],
        "curve": _roc(found),
    }


def _roc(found: Predictions) -> dict[str, list[float]]:
    """Return at most 100 points of the ROC curve, its ends included; none where there is no ranking to measure."""
    if not 0 < found.truth.mean() < 1 or not np.isfinite(found.answer).all():
        return {"fpr": [], "tpr": [], "threshold": []}
    fpr, tpr, threshold = curves.roc_curve(found.truth, found.answer)
    chosen = np.unique(np.linspace(0, len(fpr) - 1, min(len(fpr), _CURVE_POINTS)).round().astype(int))
    # The first threshold is infinite by definition; KFP's charts and JSON take finite numbers.
    finite = np.where(np.isfinite(threshold), threshold, 1.0)
    return {
        name: [round(float(value), 6) for value in values[chosen]]
        for name, values in (("fpr", fpr), ("tpr", tpr), ("threshold", finite))
    }
