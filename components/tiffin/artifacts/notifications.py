"""The notifications artifact: what people were told about a run, and what they were not told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents
from tiffin.artifacts.logs import WARNING

NOTIFIED = "notified.json"


@dataclass(frozen=True)
class Notified:
    """What became of a message.

    Attributes:
        kind: Kind of the event, such as `failure`; empty for a note about messages that were dropped.
        subject: What the message is about.
        outcome: `sent`; `kept` for the next run of the pipeline, since it did not arrive; `repeated` or `told`: the same was sent
            before; `dropped`: it waited for too long; `lost`: it did not arrive, and could not be kept.
        address: Name of the address, without secrets; empty for all.
        reason: Why it was not sent; empty if it was.
    """

    kind: str
    subject: str
    outcome: Literal["sent", "kept", "repeated", "told", "dropped", "lost"]
    address: str = ""
    reason: str = ""

    @property
    def line(self) -> str:
        """The line in the log of the step."""
        what = f"{self.kind.replace('_', ' ')}: {self.subject}" if self.kind else self.subject
        if self.outcome == "sent":
            return f"notified {self.address} ({what})"
        if self.outcome in ("repeated", "told"):
            return f"not notified again ({what}): {self.reason}"
        after = {"kept": "; kept for the next run", "lost": "; not kept"}.get(self.outcome, "")
        return f"{WARNING}not notified {self.address or 'anybody'} ({what}): {self.reason}{after}"


@dataclass(frozen=True)
class Notifications:
    """The document of the notify stage."""

    notified: tuple[Notified, ...]


def write_notifications(artifact: str | Path, notified: Sequence[Notified]) -> None:
    """Write a notifications artifact."""
    documents.write(Path(artifact) / NOTIFIED, Notifications(tuple(notified)))


def read_notifications(artifact: str | Path) -> Notifications:
    """Read a notifications artifact.

    Raises:
        InputError: The file is missing or is not a notifications document.
    """
    return documents.read(Path(artifact) / NOTIFIED, Notifications)
