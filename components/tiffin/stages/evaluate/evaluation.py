"""Evaluate a model artifact on a split: metrics, curves and the verdict of the gate."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Context
from pathlib import Path

import numpy as np

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import Training, read_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.verdict import Curve, Evaluation, write_evaluation
from tiffin.stages.evaluate import gate, guessing, metrics, predictions
from tiffin.version import __version__

_CURVE_POINTS = 100
# The stated error is no smaller than the computed one.
_UPWARDS = Context(prec=1, rounding=ROUND_CEILING)

Measures = metrics.Binary | metrics.Multiclass | metrics.Regression


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
        StorageError: A shard is missing or damaged.
    """
    record = read_training(model)
    # Fail before the predictions are computed.
    gate.check_thresholds(thresholds or {}, record.task)
    run, labels = predictions.load(model), predictions.read_labels(examples, split, record)
    measures, beside = _start(record, labels)
    for truth, answer in predictions.predict(run, examples, split, record):
        measures.add(truth, answer)
        beside.add(truth, answer)
    values = measures.values()
    verdict = gate.judge(record.task, values, thresholds or {}, beside.comparison(), labels.unknown_classes)
    label = read_manifest(examples).original_name(record.label)
    evaluation = Evaluation(
        passed=verdict.passed,
        reason=verdict.reason,
        checks=verdict.checks,
        metrics=values,
        task=record.task,
        split=split,
        rows=labels.rows,
        data_version=record.data_version,
        tiffin_version=__version__,
        classes=None if isinstance(measures, metrics.Regression) else record.classes,
        confusion=None if isinstance(measures, metrics.Regression) else _rows(measures.confusion),
        curve=_roc(measures) if isinstance(measures, metrics.Binary) else None,
        notes=(*_unlabelled(label, split, labels.unlabelled), *_errors(measures.errors())),
    )
    write_evaluation(output, evaluation)
    return evaluation


def _start(record: Training, labels: predictions.Labels) -> tuple[Measures, guessing.Classes | guessing.Numbers]:
    if record.task == "regression":
        return metrics.Regression(labels.mean), guessing.Numbers(labels.mean)
    measures = metrics.Binary() if record.task == "binary" else metrics.Multiclass(len(record.classes))
    return measures, guessing.Classes(labels.counts)


def _unlabelled(label: str, split: str, unlabelled: int) -> tuple[Note, ...]:
    if not unlabelled:
        return ()
    rows = "1 row" if unlabelled == 1 else f"{unlabelled} rows"
    text = f"{label}: {rows} of {split} without a label left out of the evaluation"
    return (Note("LABEL_MISSING", text, label, unlabelled),)


def _errors(errors: Mapping[str, float]) -> tuple[Note, ...]:
    """Return the note about metrics that are not exact."""
    if not errors:
        return ()
    bounds = " and ".join(
        f"{name} is within {_UPWARDS.create_decimal(error):.0e} of the exact value" for name, error in errors.items()
    )
    return (Note("METRICS_APPROXIMATE", f"{bounds}: near scores were grouped, since too many are distinct"),)


def _rows(matrix: np.ndarray) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def _roc(measures: metrics.Binary) -> Curve:
    """Return at most 100 points of the ROC curve, including both ends; none if it is undefined."""
    if not measures.ranked:
        return Curve((), (), ())
    fpr, tpr, threshold = measures.ranking.curve()
    chosen = np.unique(np.linspace(0, len(fpr) - 1, min(len(fpr), _CURVE_POINTS)).round().astype(int))
    # The first threshold is infinite by definition; KFP's charts and JSON need finite numbers.
    finite = np.where(np.isfinite(threshold), threshold, 1.0)
    return Curve(*(tuple(round(float(value), 6) for value in values[chosen]) for values in (fpr, tpr, finite)))
