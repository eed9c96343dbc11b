"""The evaluation artifact: metrics of a model, and the verdict of the gate."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
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
            guessing.
        passed: Whether the value meets the bound; of the check against guessing, whether it is better by more than margin.
        reason: The result in one sentence.
        margin: Of the check against guessing, what the value must be better by on this number of rows, with 95 %
            confidence; None for other checks, and without a value.
        rows: Of the check against guessing, the number of rows; None for other checks.
    """

    metric: str
    value: float | None
    bound: float
    passed: bool
    reason: str
    margin: float | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a model passed the gate, the reason in one line, and every check."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Curve:
    """A ROC curve: false and true positive rates with their thresholds; empty if the label has a single class."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    threshold: tuple[float, ...]


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
        notes: Rows that were left out of the evaluation.
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

    @property
    def verdict(self) -> Verdict:
        """The verdict of the gate."""
        return Verdict(self.passed, self.reason, self.checks)


def write_evaluation(artifact: str | Path, evaluation: Evaluation) -> None:
    """Write an evaluation artifact."""
    documents.write(Path(artifact) / VERDICT, evaluation)


def read_evaluation(artifact: str | Path) -> Evaluation:
    """Read an evaluation artifact.

    Raises:
        InputError: The file is missing or is not an evaluation document.
    """
    return documents.read(Path(artifact) / VERDICT, Evaluation)
