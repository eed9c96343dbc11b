"""The rollback artifact: a version that was taken out of production."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

ROLLBACK = "rollback.json"


@dataclass(frozen=True)
class Rollback:
    """A rollback.

    Attributes:
        model: Name of the model.
        leaving: Version that was in production.
        version: Version that is in production again.
        why: Reason.
        by: Who asked for it.
        at: Time of the change, in ISO 8601, UTC.
        is_new: False if an earlier attempt of the same run made the change.
        problem: Why the server did not answer with the version; empty if it did, or was not asked.
    """

    model: str
    leaving: int
    version: int
    why: str
    by: str
    at: str
    is_new: bool = True
    problem: str = ""

    @property
    def sentence(self) -> str:
        """The change in one sentence."""
        problem = f" The server does not answer with it: {self.problem}" if self.problem else ""
        return (
            f"'{self.model}' was rolled back from version {self.leaving} to version {self.version}: {self.why}{problem}"
        )


def write_rollback(artifact: str | Path, rollback: Rollback) -> None:
    """Write a rollback artifact."""
    documents.write(Path(artifact) / ROLLBACK, rollback)


def read_rollback(artifact: str | Path) -> Rollback:
    """Read a rollback artifact.

    Raises:
        InputError: The file is missing or is not a rollback document.
    """
    return documents.read(Path(artifact) / ROLLBACK, Rollback)
