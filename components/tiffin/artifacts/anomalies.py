"""The anomalies artifact: how the examples violate the schema."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

ANOMALIES = "anomalies.json"


@dataclass(frozen=True)
class Anomaly:
    """A violation of the schema by one column of one split.

    Attributes:
        split: Name of the split.
        column: Name of the column in the examples; empty if the anomaly concerns the whole split.
        code: TFDV's anomaly type, such as `ENUM_TYPE_UNEXPECTED_STRING_VALUES`, or `NO_EXAMPLES`, `UNEXPECTED_MAGNITUDE` or
            `FREQUENT_NEW_VALUE`; stable across releases.
        summary: What was found, with values and shares, and what was expected.
        description: What the schema has for the column, or what to do.
    """

    split: str
    column: str
    code: str
    summary: str
    description: str


@dataclass(frozen=True)
class Anomalies:
    """Whether the examples are valid, the reason in one line, every anomaly, and notes such as reused statistics."""

    valid: bool
    reason: str
    anomalies: tuple[Anomaly, ...]
    notes: tuple[Note, ...] = ()


def write_anomalies(artifact: str | Path, anomalies: Anomalies) -> None:
    """Write an anomalies artifact."""
    documents.write(Path(artifact) / ANOMALIES, anomalies)


def read_anomalies(artifact: str | Path) -> Anomalies:
    """Read an anomalies artifact.

    Raises:
        InputError: The file is missing or is not an anomalies document.
    """
    return documents.read(Path(artifact) / ANOMALIES, Anomalies)
