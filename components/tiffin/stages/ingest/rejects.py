"""Rows set aside: file, line number and reason of each, and the error if there are too many."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Rejected
from tiffin.artifacts.notes import Note
from tiffin.errors import DataError
from tiffin.recipe.reasons import first_line, shortened
from tiffin.recipe.sql import quoted_name
from tiffin.stages.ingest.conversions import Conversion, Remark, counted
from tiffin.stages.ingest.filetypes import open_bytes
from tiffin.stages.ingest.sources import ROW

_END = 1 << 62
# Reasons by DuckDB's kind of error.
_REASONS = {
    "MISSING COLUMNS": "too few values",
    "TOO MANY COLUMNS": "too many values",
    "UNQUOTED VALUE": "an unclosed quote, or text after a closing quote",
    "LINE SIZE OVER MAXIMUM": "longer than 2 MB",
    "INVALID ENCODING": "not UTF-8",
    "INVALID STATE": "text after a closing quote",
}


@dataclass(frozen=True)
class Part:
    """The rows of one file in the view `source`.

    Attributes:
        path: Local path.
        uri: Path or URI to report.
        delimiter: CSV delimiter; empty for Parquet.
        names: Column names, in the order of the file.
        start: First row of the file in the table.
        end: Row after the last one.
        header: Whether a CSV file starts with a line of names.
    """

    path: Path
    uri: str
    delimiter: str
    names: tuple[str, ...]
    start: int
    end: int
    header: bool = True


def rejected_rows(connection: duckdb.DuckDBPyConnection, uris: Mapping[str, str]) -> list[Rejected]:
    """Return the rows rejected by `csv_relation` on this connection, in order, one entry per row.

    Args:
        connection: The connection that read the files.
        uris: Local path to the path or URI to report.

    Raises:
        DataError: An unclosed quote makes the rows after it unreadable.
    """
    rows = connection.execute(
        "SELECT s.file_path, e.line_byte_position, any_value(e.error_type::VARCHAR ORDER BY e.column_idx), "
        "any_value(coalesce(e.column_name, '') ORDER BY e.column_idx), "
        "any_value(e.error_message ORDER BY e.column_idx), any_value(e.csv_line) "
        "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) "
        "GROUP BY s.file_path, e.line, e.line_byte_position ORDER BY s.file_path, e.line_byte_position"
    ).fetchall()
    found = []
    for path in dict.fromkeys(row[0] for row in rows):
        here = [row for row in rows if row[0] == path]
        # DuckDB counts records. Quoted values may contain line breaks, so lines are counted here as an editor does.
        lines = _line_numbers(Path(path), [row[1] for row in here])
        for line, (_, _, kind, column, message, text) in zip(lines, here, strict=True):
            if "unterminated quote" in message and text.split("\n", 1)[0].count('"') % 2:
                _check_last_line(Path(path), uris[path], line, text)
            where = column if kind == "INVALID ENCODING" else ""
            found.append(Rejected(uris[path], line, where, _REASONS.get(kind, "not valid CSV"), text[:500]))
    return found


def misfit_rows(
    connection: duckdb.DuckDBPyConnection, conversions: Sequence[Conversion], limit: int | None = None
) -> tuple[int, list[tuple[int, Conversion, str]]]:
    """Return the number of rows of the view `source` with a value that does not fit its column, and the rows.

    Args:
        connection: Connection with the view.
        conversions: Conversions of its columns.
        limit: Maximum number of rows to return; None for all.

    Returns:
        The number of rows; and of each row its number, and the conversion and text of its first misfit.
    """
    strict = [conversion for conversion in conversions if conversion.expected]
    if not strict:
        return 0, []
    which = " ".join(f"WHEN {each.misfit} THEN {index}" for index, each in enumerate(strict))
    texts = " ".join(f"WHEN {index} THEN {quoted_name(each.name)}" for index, each in enumerate(strict))
    numbered = f'(SELECT *, CASE {which} END AS "tiffin misfit" FROM source)'
    chosen = f'FROM {numbered} WHERE "tiffin misfit" IS NOT NULL'
    count = connection.execute(f"SELECT count(*) {chosen}").fetchall()[0][0]
    rows = connection.execute(
        f'SELECT {ROW}, "tiffin misfit", CASE "tiffin misfit" {texts} END {chosen} ORDER BY 1'
        + (f" LIMIT {limit}" if limit is not None else "")
    ).fetchall()
    return count, [(row, strict[index], text) for row, index, text in rows]


def locate(parts: Sequence[Part], values: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str], tuple[str, int]]:
    """Return the file and the line of values, counted as an editor does; in Parquet, the number of the row.

    Args:
        parts: Rows of each file.
        values: Row in the view `source`, column and text of each value. No row before it has the text in that column,
            unless it is listed too.
    """
    found: dict[tuple[int, str], tuple[str, int]] = {}
    wanted = sorted(set(values))
    for part in parts:
        here = [value for value in wanted if part.start <= value[0] < part.end]
        if part.delimiter:
            found |= _csv_lines(part, here)
        else:
            found |= {(row, name): (part.uri, row - part.start + 1) for row, name, _ in here}
    return found


def _csv_lines(part: Part, values: Sequence[tuple[int, str, str]]) -> dict[tuple[int, str], tuple[str, int]]:
    """Return the lines of values that are sorted by row."""
    found: dict[tuple[int, str], tuple[str, int]] = {}
    positions = {name: index for index, name in enumerate(part.names)}
    left = list(reversed(values))
    if not left:
        return found
    for line, record in _records(part):
        while left and record[positions[left[-1][1]]] == left[-1][2]:
            row, name, _ = left.pop()
            found[row, name] = (part.uri, line)
            if left and left[-1][0] != row:
                break
        if not left:
            break
    return found


def _records(part: Part) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the values of each record of a CSV file that has a value for each column."""
    csv.field_size_limit(sys.maxsize)
    with open_bytes(part.path) as file, io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=part.delimiter)
        line = 1
        for record in reader:
            if len(record) == len(part.names) and not (part.header and line == 1):
                yield line, record
            line = reader.line_num + 1


def misfits_rejected(parts: Sequence[Part], misfits: Sequence[tuple[int, Conversion, str]]) -> list[Rejected]:
    """Return the entries of rows with a value that does not fit its column."""
    places = locate(parts, [(row, conversion.name, text) for row, conversion, text in misfits])
    found = []
    for row, conversion, text in misfits:
        uri, line = places.get((row, conversion.name), (_uri(parts, row), 0))
        found.append(Rejected(uri, line, conversion.name, f"not {conversion.expected}", text[:500]))
    return found


def _uri(parts: Sequence[Part], row: int) -> str:
    return next(part.uri for part in parts if part.start <= row < part.end)


def placed(parts: Sequence[Part], remarks: Sequence[Remark]) -> list[Note]:
    """Return the notes of remarks, with the file and line of the values whose place is shown."""
    places = locate(
        parts, [(each.row, each.note.column, each.note.example) for each in remarks if each.row is not None]
    )
    return [_note(each, places) for each in remarks]


def _note(remark: Remark, places: Mapping[tuple[int, str], tuple[str, int]]) -> Note:
    note = remark.note
    place = places.get((remark.row, note.column)) if remark.row is not None else None
    text, at = shortened(note.example, 80), f" at {place[0]}:{place[1]}" if place else ""
    shown, example = f"'{text}'{at}", f"{text}{at}"
    return Note(note.code, note.text.replace("{first}", shown), note.column, note.count, example)


def set_aside_notes(rejected: Sequence[Rejected]) -> list[Note]:
    """Return a note for each column and reason of rows set aside, with their number and the first of them."""
    groups: dict[tuple[str, str], list[Rejected]] = {}
    for row in rejected:
        groups.setdefault((row.column, row.reason), []).append(row)
    notes = []
    for (column, reason), rows in groups.items():
        first = rows[0]
        value, place = shortened(first.text, 80 if column else 40), f"{first.source}:{first.line}"
        example = f"{value} at {place}"
        text = f"{column}: " if column else ""
        text += f"{counted(len(rows), 'row')} set aside: {reason}, first '{value}' at {place}. Fix or remove them."
        notes.append(Note("ROWS_SET_ASIDE", text, column, len(rows), example))
    return notes


def _check_last_line(path: Path, uri: str, line: int, text: str) -> None:
    """Raise unless the unclosed quote is on the last line: otherwise its value includes the rows after it."""
    last = _line_numbers(path, [_END])[0]
    if line < last - 1:
        raise DataError(
            f"Quotes should be closed. Received: {uri}:{line}: {first_line(text)[:80]}, an unclosed quote that makes the rows "
            "after it unreadable. Close or remove the quote."
        )


def _line_numbers(path: Path, positions: Sequence[int]) -> list[int]:
    """Return the line number, from 1, of each byte position; positions must be ascending."""
    numbers, line, at = [], 1, 0
    with open_bytes(path) as file:
        for position in positions:
            while at < position and (block := file.read(min(1 << 20, position - at))):
                line += block.count(b"\n")
                at += len(block)
            numbers.append(line)
    return numbers


def too_many_rejected(rejected: Sequence[Rejected], count: int, total: int, max_bad_share: float) -> DataError:
    """Return the error for a share of rejected rows above the limit, with the first three of them."""
    first = "; ".join(
        f"{row.source}:{row.line}: {row.column + ' is ' if row.column else ''}{row.reason}, '{first_line(row.text)[:80]}'"
        for row in rejected[:3]
    )
    return DataError(
        f"At most {max_bad_share:.2%} of the rows should be unreadable (max_bad_share). Received: {count} of {total}, "
        f"{count / total:.2%}. First: {first}. Fix the data, set delimiter, missing_values or types, or raise max_bad_share."
    )
