"""Notes: what a step did to the data, or decided for the user, so that nothing is dropped, converted or guessed in silence."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One thing that a step did or decided on its own.

    Attributes:
        code: Kind of note, in capitals, for example `ROWS_SET_ASIDE`.
        text: One line for the user: what happened, and the parameter that changes it.
        column: Column concerned; empty if the note is about the whole data.
        count: Number of rows, values or columns concerned; None if there is nothing to count.
        example: First example, with its location if known; empty if there is none.
    """

    code: str
    text: str
    column: str = ""
    count: int | None = None
    example: str = ""


def by_severity(notes: Iterable[Note]) -> list[Note]:
    """Return notes with skipped rows first, then missing labels, then all others in the given order."""
    return sorted(notes, key=lambda note: 0 if "SET_ASIDE" in note.code else 1 if "LABEL" in note.code else 2)
