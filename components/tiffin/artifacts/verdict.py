"""The evaluation artifact: metrics of a model, and the verdict of the gate."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.model import Task

VERDICT = "verdict.json"


@dataclass(frozen=True)
class Check:
    """One rule of the gate.

    Attributes:
        metric: Name.
        value: What the model reached; None if it could not be measured, which passes nothing.
        bound: What it had to reach: at least where larger is better, else at most.
        passed: Whether it did.
        reason: The same in words.
    """

    metric: str
    value: float | None
    bound: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class Verdict:
    """Whether a model passed the gate, the reason in one line, and every check."""

    passed: bool
    reason: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Curve:
    """A ROC curve: false and true positive rates with their thresholds; empty where there is no ranking to measure."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    threshold: tuple[float, ...]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model on a split.

    Attributes:
        passed: Whether the model may go on.
        reason: Why, in one line.
        checks: Every rule of the gate.
        metrics: By name; None for one that could not be measured.
        task: Of the model.
        split: Name of the split.
        rows: Number of rows with a label that the model knows.
        data_version: Of the data that the model was trained on.
        tiffin_version: Version that evaluated it.
        classes: Of a classification, as in the confusion matrix.
        confusion: Of a classification: rows are the truth, columns the answers.
        curve: Of a binary label.
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
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / VERDICT, Evaluation)
