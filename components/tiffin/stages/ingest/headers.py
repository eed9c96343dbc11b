"""Read a CSV file's delimiter and column names, and whether it has a line of names at all."""

import contextlib
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts.notes import Note
from tiffin.errors import InputError
from tiffin.stages.ingest.filetypes import HEAD_BYTES, read_head
from tiffin.stages.ingest.first_lines import First, kind_of_first_line
from tiffin.stages.ingest.parameters import DELIMITERS
from tiffin.stages.ingest.reading import Reading

_HEAD_ROWS = 100


@dataclass(frozen=True)
class Header:
    """How a CSV file starts.

    Attributes:
        delimiter: One character.
        names: Column names, as written or as set; empty texts for columns without a name.
        line: Whether the first line holds names, not values.
        notes: What was decided.
    """

    delimiter: str
    names: list[str]
    line: bool
    notes: tuple[Note, ...] = ()


def csv_header(path: Path, uri: str, reading: Reading) -> Header:
    """Return the delimiter and the column names of a CSV file in UTF-8.

    A delimiter is detected by trying comma, semicolon, tab and pipe: the one that splits the header and most of the first
    100 rows into the same number of columns, at least two, is chosen.

    Args:
        path: Local path of the file.
        uri: Path or URI of the file, for messages.
        reading: The user's settings, valid.

    Raises:
        InputError: The file is empty, has no header, or its header does not match the delimiter or column_names.
    """
    start = read_head(path, uri)
    text = start.decode("utf-8-sig", errors="replace")
    first_line = text.splitlines()[0] if text else ""
    if not first_line.strip():
        raise InputError(
            f"'{uri}' should be a CSV file with a header line. Received: an empty {'first line' if start else 'file'}."
        )
    if not _is_utf8(start.splitlines()[0]):
        raise InputError(
            f"'{uri}' should be CSV in UTF-8, or Parquet. Received: a first line that is not UTF-8. Convert it."
        )
    delimiter, rows = _delimiter(text, uri, DELIMITERS.get(reading.delimiter, reading.delimiter))
    if len(start) == HEAD_BYTES and len(rows) > 1 and len(rows) < _HEAD_ROWS:
        rows = rows[:-1]  # The end of the block cuts it off.
    first, row_names = (rows[0], []) if reading.header == "no" else _with_row_names(rows, uri)
    line, notes = _has_header(first, rows[1:], uri, reading)
    notes += row_names
    if line:
        _check_quotes(text, delimiter, uri)
    names = list(reading.column_names)
    if not names:
        names = first if line else [f"column{index + 1}" for index in range(len(first))]
    if len(names) != len(first):
        raise InputError(
            f"column_names should have a name for each column. Received: {len(names)} names for the {len(first)} columns of "
            f"'{uri}'."
        )
    return Header(delimiter, names, line, tuple(notes))


def _with_row_names(rows: Sequence[list[str]], uri: str) -> tuple[list[str], list[Note]]:
    """Return the first line, with an empty name in front if every row has one value more, as R's write.table writes it."""
    first, *others = rows
    # Rows that all end with a delimiter have no such value.
    if not others or any(len(row) != len(first) + 1 for row in others) or not any(row[-1] for row in others):
        return first, []
    if kind_of_first_line(others[0], others[1:]) is First.NAMES:
        # A title above the header.
        return first, []
    text = (
        f"The header of '{uri}' has one name fewer than its rows have values: the first column has no name, as in R. If the "
        "header lacks another one, set column_names."
    )
    return ["", *first], [Note("HEADER", text, example=", ".join(first)[:80])]


def _has_header(
    first: Sequence[str], rows: Sequence[Sequence[str]], uri: str, reading: Reading
) -> tuple[bool, list[Note]]:
    """Return whether the first line holds names.

    Raises:
        InputError: It seems to hold values, or names were set and this cannot be told.
    """
    shown = ", ".join(first)[:80]
    set_names = reading.column_names
    if reading.header == "no" and not set_names:
        named = f"column1 to column{len(first)}" if len(first) > 1 else "column1"
        return False, [
            Note("HEADER", f"The columns of '{uri}' are {named} (header=no). Set column_names to name them.")
        ]
    if reading.header != "auto" or (set_names and tuple(name.strip() for name in first) == set_names):
        return reading.header != "no", []
    kind = kind_of_first_line(first, rows)
    if set_names and kind in (First.UNKNOWN, First.ORDERED):
        raise InputError(
            f"header should be yes or no, since '{uri}' does not show whether its first line, '{shown}', holds names that "
            "column_names replaces. Received: header='auto'. Set header=yes to skip that line, header=no to read it."
        )
    if kind is First.VALUES and not set_names:
        raise InputError(
            f"'{uri}' should start with a line of column names. Received: '{shown}', which looks like values. Set header=no, and "
            f"column_names to a list of {len(first)} names; or header=yes if these are the names."
        )
    notes = []
    if set_names:
        what = "names, which column_names replaces" if kind is First.NAMES else "values"
        notes = [Note("HEADER", f"The first line of '{uri}' holds {what}. Set header to decide it.", example=shown)]
    elif kind is First.ORDERED:
        text = (
            f"The first line of '{uri}' holds numbers and was read as column names. Set header=no to read it as values."
        )
        notes = [Note("HEADER", text, example=shown)]
    return kind is not First.VALUES, notes


def _check_quotes(text: str, delimiter: str, uri: str) -> None:
    """Raise if a quoted name does not end at a delimiter: the header would include the lines after it."""
    try:
        next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        raise InputError(
            f"A quoted column name should end at the delimiter {delimiter!r}. Received: {text.splitlines()[0][:80]!r} in "
            f"'{uri}'. Set delimiter, fix the header, or write quotes inside a name twice."
        ) from None


def _delimiter(text: str, uri: str, delimiter: str) -> tuple[str, list[list[str]]]:
    """Return the delimiter, detected if empty, and the first rows."""
    candidates = [delimiter] if delimiter else [",", ";", "\t", "|"]
    most = (0, 0)
    found: list[list[str]] = [[""]]
    rows: list[list[str]] = []
    for candidate in candidates:
        rows = _first_rows(text, candidate)
        width = len(rows[0])
        score = (sum(len(row) == width for row in rows), width) if width > 1 else (0, 1)
        if score > most:
            delimiter, found, most = candidate, rows, score
    [name, *others] = found[0]
    if not others and candidates == [delimiter]:
        near = [other for other in (",", ";", "\t", "|") if other in name]
        if near:
            raise InputError(
                f"'{uri}' should have columns separated by {delimiter!r}. Received: a single column '{name[:60]}'. "
                f"Pass delimiter='{near[0]}', or leave it empty to detect it."
            )
    elif not others and (other := _unknown_delimiter(rows)):
        raise InputError(
            f"'{uri}' should have columns separated by comma, semicolon, tab or pipe if delimiter is empty. "
            f"Received: a single column '{name[:60]}', with '{other}' equally often in every row. "
            f"Pass delimiter='{other}', or rename the column."
        )
    return delimiter, found


def _unknown_delimiter(rows: list[list[str]]) -> str:
    """Return the first special character of the header that occurs equally often in every row; empty if there is none."""
    texts = ["".join(row) for row in rows]
    marks = dict.fromkeys(mark for mark in texts[0] if not mark.isalnum() and mark not in " _-.\"'")
    return next((mark for mark in marks if len({text.count(mark) for text in texts}) == 1 and len(texts) > 1), "")


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    rows = []
    # A value above the csv module's size limit only ends the detection: DuckDB reads the file.
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows += [row] if row else []
            if len(rows) == _HEAD_ROWS:
                break
    return rows or [[""]]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return True
