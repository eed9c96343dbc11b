"""Read a CSV file's delimiter and column names."""

import contextlib
import csv
import gzip
import io
import zlib
from pathlib import Path

from tiffin.errors import InputError
from tiffin.stages.ingest.sources import open_csv

_HEAD_BYTES = 1 << 20
_HEAD_ROWS = 100
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}


def csv_header(path: Path, uri: str, delimiter: str) -> tuple[str, list[str]]:
    """Return the delimiter of a CSV file and the column names of its header.

    A delimiter is detected by trying comma, semicolon, tab and pipe: the one that splits the header and most of the first
    100 rows into the same number of columns, at least two, is chosen.

    Args:
        path: Local path of the file.
        uri: Path or URI of the file, for messages.
        delimiter: One character or its name (`comma`, `semicolon`, `tab`, `pipe`); detected if empty.

    Raises:
        InputError: The delimiter is invalid, the file is empty or not UTF-8 text, or its header does not match the delimiter.
    """
    delimiter = _DELIMITERS.get(delimiter, delimiter)
    if len(delimiter) > 1 or delimiter.isalnum() or delimiter in ('"', "\n", "\r"):
        raise InputError(
            "delimiter should be one character, not a letter or a digit, or one of "
            f"{', '.join(name for name in _DELIMITERS if name.isalpha())}. "
            f"Received: delimiter={delimiter!r}."
        )
    try:
        with open_csv(path) as file:
            start = file.read(_HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"'{uri}' is not a complete gzip file ({error}). Write or copy it again.") from None
    first_line = start.splitlines()[0] if start else b""
    if not first_line.strip():
        raise InputError(
            f"'{uri}' should be a CSV file with a header line. Received: an empty {'first line' if start else 'file'}."
        )
    try:
        first_line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"'{uri}' should be CSV in UTF-8, or Parquet. Received: a first line that is not UTF-8. Convert the file."
        ) from None
    text = start.decode("utf-8-sig", errors="replace")
    candidates = [delimiter] if delimiter else [",", ";", "\t", "|"]
    names: list[str] = []
    most = (0, 0)
    rows: list[list[str]] = []
    for candidate in candidates:
        rows = _first_rows(text, candidate)
        width = len(rows[0])
        score = (sum(len(row) == width for row in rows), width) if width > 1 else (0, 1)
        if score > most:
            delimiter, names, most = candidate, rows[0], score
    if len(names) == 1 and candidates == [delimiter]:
        near = [other for other in (",", ";", "\t", "|") if other in names[0]]
        if near:
            raise InputError(
                f"'{uri}' should have columns separated by {delimiter!r}. Received: a single column '{names[0][:60]}'. "
                f"Pass delimiter='{near[0]}', or leave it empty to detect it."
            )
    elif len(names) == 1 and (other := _unknown_delimiter(rows)):
        raise InputError(
            f"'{uri}' should have columns separated by comma, semicolon, tab or pipe if delimiter is empty. "
            f"Received: a single column '{names[0][:60]}', with '{other}' equally often in every row. "
            f"Pass delimiter='{other}', or rename the column."
        )
    names = [name.strip() or f"column{index}" for index, name in enumerate(names)]
    lower = [name.lower() for name in names]
    same = sorted(name for name in names if lower.count(name.lower()) > 1)
    if same:
        raise InputError(
            f"Column names should differ in more than case. Received: {', '.join(repr(name) for name in same)} in '{uri}'. "
            "Fix the header."
        )
    return delimiter, names


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
