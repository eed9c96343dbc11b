"""What to tell the user about the predictions of a batch."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import PredictionFile

# Codes of the notes that follow from the files; those of parts are counted anew for all of them.
COUNTED = ("NO_ROWS", "SEVERAL_VERSIONS", "UNREADABLE_DATES", "TEXT_REPLACED", "LOG_SHARE", "LOG_COLUMNS")


def allowed_missing(absent: Sequence[str]) -> list[Note]:
    """Return the note on inputs whose columns the examples lack."""
    if not absent:
        return []
    text = f"treated as missing values, since the examples lack them: {', '.join(absent)}"
    return [Note("MISSING_COLUMNS", text, count=len(absent), example=absent[0])]


def count_notes(files: Iterable[PredictionFile], version: int, share: float = 1.0) -> list[Note]:
    """Return the notes that follow from the files.

    Args:
        files: The files.
        version: Version that was asked for, or found in production.
        share: Share of the rows that the prediction log keeps. Defaults to 1.
    """
    files, versions = list(files), Counter[str]()
    for file in files:
        versions.update(file.versions)
    rows, notes = sum(file.rows for file in files), []
    if not rows:
        notes.append(Note("NO_ROWS", "the files have columns and no rows, since there are no rows to predict", count=0))
    if len(versions) > 1 or (versions and str(version) not in versions):
        each = ", ".join(f"version {one}: {count:,} rows" for one, count in sorted(versions.items()))
        text = f"the server answered with another version than {version}, which each row names: {each}"
        notes.append(Note("SEVERAL_VERSIONS", text, count=len(versions)))
    if unreadable := sum(file.unreadable_dates for file in files):
        text = f"{unreadable:,} of {rows:,} rows have a date that the model cannot read; treated as missing"
        notes.append(Note("UNREADABLE_DATES", text, count=unreadable))
    if replaced := sum(file.replaced_texts for file in files):
        text = f"{replaced:,} texts of the model are not UTF-8: their other bytes became U+FFFD"
        notes.append(Note("TEXT_REPLACED", text, count=replaced))
    if share < 1:
        logged = sum(file.logged for file in files)
        text = f"{logged:,} of {rows:,} rows are in the prediction log, which keeps a share of {share:g} of this model"
        notes.append(Note("LOG_SHARE", text, count=logged))
    if unsecured := sorted({name for file in files for name in file.unsecured}):
        text = f"left out of the prediction log, since they are hashed and TIFFIN_LOG_KEY is not set: {', '.join(unsecured)}"
        notes.append(Note("LOG_COLUMNS", text, count=len(unsecured)))
    return notes
