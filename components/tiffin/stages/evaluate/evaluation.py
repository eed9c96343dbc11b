"""Evaluate a model artifact on a split: metrics, curves and the verdict of the gate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sklearn import metrics as curves

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import Training, read_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.verdict import Curve, Evaluation, write_evaluation
from tiffin.stages.evaluate import gate, guessing, metrics
from tiffin.stages.evaluate.predictions import Predictions, predict
from tiffin.version import __version__

_CURVE_POINTS = 100
_MEASURES = {"binary": metrics.binary, "multiclass": metrics.multiclass, "regression": metrics.regression}


def evaluate(
    model: str | Path,
    examples: str | Path,
    output: str | Path,
    *,
    thresholds: Mapping[str, float] | None = None,
    split: str = "eval",
) -> Evaluation:
    """Evaluate the exported model on a split, write the evaluation artifact and return its content.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact.
        output: Folder of the evaluation artifact.
        thresholds: Metric name to bound; see `gate.judge`. Defaults to none: better than guessing.
        split: Split to evaluate on. Defaults to `eval`.

    Raises:
        InputError: A parameter or an artifact is invalid.
        DataError: No row of the split has a label of a class in training.
    """
    record = read_training(model)
    # Fail before the predictions are computed.
    gate.check_thresholds(thresholds or {}, record.task)
    found = predict(model, examples, split, record)
    regression = record.task == "regression"
    values = _MEASURES[record.task](found.truth, found.answer)
    compare = guessing.compare_numbers if regression else guessing.compare_classes
    comparison = compare(found.truth, found.answer)
    verdict = gate.judge(record.task, values, thresholds or {}, comparison, found.unknown_classes)
    evaluation = Evaluation(
        passed=verdict.passed,
        reason=verdict.reason,
        checks=verdict.checks,
        metrics=values,
        task=record.task,
        split=split,
        rows=len(found.truth),
        data_version=record.data_version,
        tiffin_version=__version__,
        classes=None if regression else record.classes,
        confusion=None if regression else _confusion(record, found),
        curve=_roc(found) if record.task == "binary" else None,
        notes=_notes(read_manifest(examples).original_name(record.label), split, found.unlabelled),
    )
    write_evaluation(output, evaluation)
    return evaluation


def _notes(label: str, split: str, unlabelled: int) -> tuple[Note, ...]:
    if not unlabelled:
        return ()
    rows = "1 row" if unlabelled == 1 else f"{unlabelled} rows"
    text = f"{label}: {rows} of {split} without a label left out of the evaluation"
    return (Note("LABEL_MISSING", text, label, unlabelled),)


def _confusion(record: Training, found: Predictions) -> tuple[tuple[int, ...], ...]:
    chosen = found.answer.argmax(axis=1) if record.task == "multiclass" else found.answer >= 0.5
    counts = curves.confusion_matrix(found.truth, chosen, labels=range(len(record.classes)))
    return tuple(tuple(row) for row in counts.tolist())


def _roc(found: Predictions) -> Curve:
    """Return at most 100 points of the ROC curve, including both ends; none if it is undefined."""
    if not 0 < found.truth.mean() < 1 or not np.isfinite(found.answer).all():
        return Curve((), (), ())
    fpr, tpr, threshold = curves.roc_curve(found.truth, found.answer)
    chosen = np.unique(np.linspace(0, len(fpr) - 1, min(len(fpr), _CURVE_POINTS)).round().astype(int))
    # The first threshold is infinite by definition; KFP's charts and JSON need finite numbers.
    finite = np.where(np.isfinite(threshold), threshold, 1.0)
    return Curve(*(tuple(round(float(value), 6) for value in values[chosen]) for values in (fpr, tpr, finite)))
