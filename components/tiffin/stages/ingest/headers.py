"""The head of a CSV file: its delimiter, and the names of its columns."""

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

    Where nobody says, the delimiter is the one of comma, semicolon, tab and pipe that splits the header and most of the
    first 100 rows into the same number of columns, more than one.

    Args:
        path: Local path of the file.
        uri: What the user calls the file.
        delimiter: One character or its name (`comma`, `semicolon`, `tab`, `pipe`); empty to find out.

    Raises:
        InputError: The file is empty, is not UTF-8 text, or its header is not one of a CSV with this delimiter.
    """
    delimiter = _DELIMITERS.get(delimiter, delimiter)
    if len(delimiter) > 1 or delimiter.isalnum() or delimiter in ('"', "\n", "\r"):
        raise InputError(
            f"delimiter should be one character that is no letter or digit, or one of {', '.join(sorted(_DELIMITERS))}. "
            f"Received: delimiter={delimiter!r}."
        )
    try:
        with open_csv(path) as file:
            start = file.read(_HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"'{uri}' should be a whole gzip file ({error}). Write or copy it again.") from None
    first_line = start.splitlines()[0] if start else b""
    if not first_line.strip():
        raise InputError(
            f"'{uri}' should be a CSV file with a header line. Received: an empty {'first line' if start else 'file'}. "
            "Pass a file with data."
        )
    try:
        first_line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"'{uri}' should be CSV in UTF-8, or Parquet. Received: other bytes in its first line. Convert it first."
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
                f"'{uri}' should have columns separated by {delimiter!r}. Received: the one column '{names[0][:60]}'. "
                f"Pass delimiter='{near[0]}', or leave it empty to find out."
            )
    elif len(names) == 1 and (sign := _unknown_delimiter(rows)):
        raise InputError(
            f"'{uri}' should have columns separated by comma, semicolon, tab or pipe where nobody says. Received: the one "
            f"column '{names[0][:60]}', whose '{sign}' each row has as often. Pass delimiter='{sign}', or rename the column."
        )
    names = [name.strip() or f"column{index}" for index, name in enumerate(names)]
    lower = [name.lower() for name in names]
    twice = sorted({name for name in names if lower.count(name.lower()) > 1})
    if twice:
        raise InputError(
            f"Columns should have names that differ in more than case. Received: '{uri}' with "
            f"{', '.join(repr(name) for name in twice)} {lower.count(twice[0].lower())} times. Mend the header."
        )
    return delimiter, names


def _unknown_delimiter(rows: list[list[str]]) -> str:
    """Return a sign of the header that every row has as often; empty where there is none."""
    texts = ["".join(row) for row in rows]
    signs = dict.fromkeys(sign for sign in texts[0] if not sign.isalnum() and sign not in " _-.\"'")
    return next((sign for sign in signs if len({text.count(sign) for text in texts}) == 1 and len(texts) > 1), "")


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    rows = []
    # A value longer than the csv module takes ends the look at the file, not the reading of it.
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows += [row] if row else []
            if len(rows) == _HEAD_ROWS:
                break
    return rows or [[""]]
