"""The artifact of labelled answers: rows of the prediction log with their labels, as a training reads them."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

LABELLED = "labelled.json"
ROWS = "labelled.parquet"


@dataclass(frozen=True)
class LabelledRows:
    """Labelled answers of a version in a time window.

    Attributes:
        model: Name of the model.
        version: Version that gave the answers.
        start: Start of the window in UTC, in ISO 8601; empty if no answers were asked for.
        end: End of the window, not included.
        answers: Answers in the window.
        labelled: Those that have a label.
        rows: Rows of labelled.parquet; 0 without the file.
        notes: What was left out.
    """

    model: str
    version: int
    start: str
    end: str
    answers: int
    labelled: int
    rows: int
    notes: tuple[Note, ...] = ()


def read_labelled(artifact: str | Path) -> LabelledRows:
    """Read the labelled.json of an artifact.

    Raises:
        InputError: The file is missing or is no such document.
    """
    return documents.read(Path(artifact) / LABELLED, LabelledRows)
