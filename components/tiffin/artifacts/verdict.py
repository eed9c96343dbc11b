"""The evaluation artifact: metrics of a model, and the verdict of the gate."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.artifacts import documents
from tiffin.artifacts.measures import (
    Attributions,
    Calibration,
    ClassRecall,
    Curve,
    Distribution,
    Fairness,
    Histogram,
    Interval,
    PrecisionRecall,
    Slice,
)
from tiffin.artifacts.model import Task
from tiffin.artifacts.notes import Note

VERDICT = "verdict.json"


@dataclass(frozen=True)
class Check:
    """The result of one rule of the gate.

    Attributes:
        metric: Name of the metric.
        value: The model's value; None if it could not be computed, which fails the check.
        bound: Minimum for metrics where higher is better, maximum otherwise; of the check against guessing, the value of
            guessing; of the check against production, the value of the model in production. None if there is no value to
            compare with.
        passed: Whether the value meets the bound; of the check against guessing, whether it is better by more than margin.
        reason: The result in one sentence.
        margin: Of the check against guessing, what the value must be better by on this number of rows, with 95 %
            confidence; of the check against production, what it may be worse by. None for other checks, and without a value.
        rows: Number of rows that the value is from; None if it is not from rows.
        code: Kind of the check: `BOUND`, `BASELINE`, `CHAMPION`, `SLICE`, `FAIRNESS`, `CALIBRATION`, `ROWS`,
            `UNKNOWN_CLASSES`, `SERVING`, `SIZE`, `LOAD_TIME` or `LATENCY`.
        slice: The slice or the sensitive column that the value is of; empty for all rows.
        low: Lower end of the 95 % interval of the value; of the check against production, of what the model is better by.
            None without an interval.
        high: Upper end of this interval.
        decided: Whether the check counts for the verdict. False if there was nothing to compare with.
    """

    metric: str
    value: float | None
    bound: float | None
    passed: bool
    reason: str
    margin: float | None = None
    rows: int | None = None
    code: str = "BOUND"
    slice: str = ""
    low: float | None = None
    high: float | None = None
    decided: bool = True


@dataclass(frozen=True)
class Verdict:
    """Whether a model passed the gate, the reason in one line, and every check."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Champion:
    """The model in production.

    Attributes:
        model: Name of the model.
        version: Version in the serving root; None if none is in production.
        compared: Whether it was compared on the rows of the split.
        reason: Result of the comparison, or why there was none.
        metrics: Its metrics on the same rows; empty if it was not compared.
        data_version: Version of its training data; empty if its SavedModel does not have it.
    """

    model: str
    version: int | None
    compared: bool
    reason: str
    metrics: dict[str, float | None]
    data_version: str = ""


@dataclass(frozen=True)
class Serving:
    """The model in a model server that was started for the evaluation only.

    The times differ between runs; they are in the verdict only if the gate bounds them.

    Attributes:
        server: Program of the model server.
        problem: Why it did not load the model or answer the rows; empty if it did.
        size_bytes: Size of the SavedModel.
        rows: Number of rows of the split that were sent.
        trainer_rows: Number of rows that were compared with the trained network, before its export; 0 if the model artifact
            has no predictions of it.
        differing_rows: Number of rows that were answered with other values; None if not all rows were answered.
        largest_difference: Largest difference of these values; None if not all rows were answered, or one is not finite.
        load_seconds: Seconds to load the model and run its warm-up requests, beside the evaluation unless the gate bounds them;
            None if it did not load.
        requests: Number of requests with one row.
        p50_ms: Median duration of these requests in milliseconds; None if they were not answered.
        p99_ms: 99th percentile of these durations.
    """

    server: str
    problem: str
    size_bytes: int
    rows: int
    trainer_rows: int
    differing_rows: int | None
    largest_difference: float | None
    load_seconds: float | None
    requests: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on a split.

    Attributes:
        passed: Whether the model passed the gate.
        reason: The reason in one line.
        checks: The result of every rule of the gate.
        metrics: Name of a metric to its value; None if it could not be computed.
        task: Task of the model.
        split: Name of the split.
        rows: Number of rows whose label is one of the model's classes.
        data_version: Version of the training data.
        tiffin_version: Version of Tiffin that evaluated the model.
        classes: Classes in the order of the confusion matrix; None for regression.
        confusion: Confusion matrix with true classes as rows and predicted classes as columns; None for regression.
        curve: ROC curve; None unless the task is binary.
        notes: Rows and groups that were left out of the evaluation, and what was not exact.
        intervals: Name of a metric to its 95 % interval.
        per_class: Recall of each class; None for regression.
        precision_recall: Precision-recall curve; None unless the task is binary.
        calibration: Calibration curve: of the positive class, of the most likely class, or of the numbers of a regression.
            None if predictions are not finite.
        errors: Prediction minus label, without the lowest and the highest 0.5 % of the rows; None unless the task is regression.
        slices: Metrics of the slices.
        fairness: Differences between the groups of sensitive columns.
        champion: The model in production; None if it was not looked for.
        attributions: What each column contributes to the predictions; None for a model without the signature `explain`.
        serving: The model in a model server; None if it was not tried.
        gate: The gate document, with defaults and thresholds filled in.
        gate_digest: First 16 hexadecimal digits of the SHA-256 of the gate document.
        verdict_digest: First 16 hexadecimal digits of the SHA-256 of the verdict: whether the model passed, the reason and the
            checks. Load time and latency are part of it only if the gate bounds them, so that it is otherwise the same for the
            same data, model and gate.
        predictions: Distribution of each output that is a prediction; of several classes, the 50 that are predicted most often.
            None in documents of earlier versions.
    """

    passed: bool
    reason: str
    checks: tuple[Check, ...]
    metrics: dict[str, float | None]
    task: Task
    split: str
    rows: int
    data_version: str
    tiffin_version: str
    classes: tuple[str, ...] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    curve: Curve | None = None
    notes: tuple[Note, ...] = ()
    intervals: dict[str, Interval] | None = None
    per_class: tuple[ClassRecall, ...] | None = None
    precision_recall: PrecisionRecall | None = None
    calibration: Calibration | None = None
    slices: tuple[Slice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    champion: Champion | None = None
    errors: Histogram | None = None
    attributions: Attributions | None = None
    serving: Serving | None = None
    gate: dict[str, object] | None = None
    gate_digest: str = ""
    verdict_digest: str = ""
    predictions: tuple[Distribution, ...] | None = None

    @property
    def predicted_classes(self) -> dict[str, int]:
        """Number of rows that each class is predicted for; empty for regression."""
        if self.classes is None or self.confusion is None:
            return {}
        return dict(zip(self.classes, map(sum, zip(*self.confusion, strict=True)), strict=True))

    @property
    def verdict(self) -> Verdict:
        """The verdict of the gate."""
        return Verdict(self.passed, self.reason, self.checks)


def digest(document: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a dataclass, or of JSON types, as canonical JSON."""
    text = json.dumps(documents.to_json(document), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_evaluation(artifact: str | Path, evaluation: Evaluation) -> None:
    """Write an evaluation artifact."""
    documents.write(Path(artifact) / VERDICT, evaluation)


def read_evaluation(artifact: str | Path) -> Evaluation:
    """Read an evaluation artifact.

    Raises:
        InputError: The file is missing or is not an evaluation document.
    """
    return documents.read(Path(artifact) / VERDICT, Evaluation)
