"""The labels and predictions of a split, held in memory: of 100 million rows, 5 bytes of each for a binary model.

A binary model needs 1 byte for the label and 4 for the probability; several classes need 4 for each probability; numbers
need 12. The model in production needs the same again without the labels, and each column of slices 2 bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tiffin.artifacts.model import Task

# Rows that scikit-learn gets at once for a mean over all rows, so that its copies stay small.
CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class Outcomes:
    """Labels and predictions, row by row.

    Attributes:
        task: Task of the model.
        classes: Number of classes; 0 for regression.
        truth: Labels, `[rows]`: class indices or numbers.
        answer: Predictions: probabilities of the positive class or numbers, `[rows]`; probabilities, `[rows, classes]`.
    """

    task: Task
    classes: int
    truth: np.ndarray
    answer: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.truth)

    @property
    def is_finite(self) -> bool:
        """Whether all predictions are finite."""
        return all(bool(np.isfinite(chunk.answer).all()) for chunk in self.chunks())

    @property
    def counts(self) -> np.ndarray:
        """Number of rows of each class."""
        return np.bincount(self.truth, minlength=self.classes)

    def of(self, rows: np.ndarray | slice) -> "Outcomes":
        """Return the outcomes of some rows."""
        return replace(self, truth=self.truth[rows], answer=self.answer[rows])

    def chunks(self) -> Iterator["Outcomes"]:
        """Yield the outcomes in parts."""
        for start in range(0, self.rows, CHUNK_ROWS):
            yield self.of(slice(start, start + CHUNK_ROWS))

    def predicted(self) -> np.ndarray:
        """Return the index of the predicted class of each row: 1 from a probability of 0.5, or the most likely class."""
        if self.task == "binary":
            return (self.answer >= 0.5).astype(np.int8)
        return np.concatenate([chunk.answer.argmax(axis=1).astype(np.int32) for chunk in self.chunks()])

    def losses(self) -> np.ndarray:
        """Return the loss of each row: log loss, or the squared error."""
        return np.concatenate([_losses(chunk) for chunk in self.chunks()])


def _losses(outcomes: Outcomes) -> np.ndarray:
    truth, answer = outcomes.truth, outcomes.answer
    if outcomes.task == "regression":
        with np.errstate(over="ignore", invalid="ignore"):
            squares: np.ndarray = (truth - answer) ** 2
        return squares
    if outcomes.task == "binary":
        chosen = np.where(truth == 1, answer, 1 - answer.astype(np.float64))
        least = float(np.finfo(answer.dtype).eps)
    else:
        # float32 rows do not sum to 1 exactly.
        chosen = answer[np.arange(len(truth)), truth] / answer.sum(axis=1, dtype=np.float64)
        least = float(np.finfo(np.float64).eps)
    # As scikit-learn does, so that a probability of 0 has a finite loss.
    losses: np.ndarray = -np.log(np.clip(chosen.astype(np.float64), least, 1 - least))
    return losses


class Gathering:
    """The outcomes of a model, and the groups of the rows, as batches come."""

    def __init__(self, task: Task, classes: int, rows: int) -> None:
        self._task, self._classes, self._filled = task, classes, 0
        kind = np.float64 if task == "regression" else np.min_scalar_type(max(classes - 1, 0))
        self._truth = np.empty(rows, kind)
        self._answers: list[np.ndarray | None] = []

    def add(self, truth: np.ndarray, answers: Sequence[np.ndarray | None]) -> None:
        """Add rows.

        Args:
            truth: Labels, `[rows]`.
            answers: Predictions of each model; None for a model that failed, which stays so.
        """
        end = self._filled + len(truth)
        self._truth[self._filled : end] = truth
        if not self._answers:
            self._answers = [
                None if answer is None else np.empty((len(self._truth), *answer.shape[1:]), answer.dtype)
                for answer in answers
            ]
        for number, answer in enumerate(answers):
            held = self._answers[number]
            if answer is None or held is None:
                self._answers[number] = None
            else:
                held[self._filled : end] = answer
        self._filled = end

    def outcomes(self) -> list[Outcomes | None]:
        """Return the outcomes of each model."""
        return [
            None if answer is None else Outcomes(self._task, self._classes, self._truth, answer)
            for answer in self._answers
        ]
