"""The anomalies artifact: where the examples break the schema."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

ANOMALIES = "anomalies.json"


@dataclass(frozen=True)
class Anomaly:
    """One way in which one column of one split breaks the schema.

    Attributes:
        split: Name of the split.
        column: Name of the column; empty where the whole split is meant.
        code: TFDV's name of the rule, such as `ENUM_TYPE_UNEXPECTED_STRING_VALUES`: stable, to filter by.
        summary: What is wrong in a few words.
        description: What was found.
    """

    split: str
    column: str
    code: str
    summary: str
    description: str


@dataclass(frozen=True)
class Anomalies:
    """Whether the examples are valid, the reason in one line, and every anomaly."""

    valid: bool
    reason: str
    anomalies: tuple[Anomaly, ...]


def write_anomalies(artifact: str | Path, anomalies: Anomalies) -> None:
    """Write an anomalies artifact."""
    documents.write(Path(artifact) / ANOMALIES, anomalies)


def read_anomalies(artifact: str | Path) -> Anomalies:
    """Read an anomalies artifact.

    Raises:
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / ANOMALIES, Anomalies)
