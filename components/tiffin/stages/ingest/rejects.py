"""Rejected rows: file, line number and reason of each, and the error if there are too many."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Rejected
from tiffin.errors import DataError
from tiffin.stages.ingest.filetypes import open_bytes
from tiffin.stages.ingest.reasons import row_reason

_END = 1 << 62


def rejected_rows(connection: duckdb.DuckDBPyConnection, uris: Mapping[str, str]) -> list[Rejected]:
    """Return the rows rejected by `csv_relation` on this connection, in order, one entry per row.

    Args:
        connection: The connection that read the files.
        uris: Local path to the path or URI to report.

    Raises:
        DataError: An unclosed quote makes the rows after it unreadable.
    """
    rows = connection.execute(
        "SELECT s.file_path, e.line_byte_position, any_value(coalesce(e.column_name, '') ORDER BY e.column_idx), "
        "any_value(e.error_message ORDER BY e.column_idx), any_value(e.csv_line), "
        "any_value(e.error_type ORDER BY e.column_idx) "
        "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) "
        "GROUP BY s.file_path, e.line, e.line_byte_position ORDER BY s.file_path, e.line_byte_position"
    ).fetchall()
    found = []
    for path in dict.fromkeys(row[0] for row in rows):
        here = [row for row in rows if row[0] == path]
        # DuckDB counts records. Quoted values may contain line breaks, so lines are counted here as an editor does.
        lines = _line_numbers(Path(path), [row[1] for row in here])
        for line, (_, _, column, message, text, kind) in zip(lines, here, strict=True):
            if "unterminated quote" in message and text.split("\n", 1)[0].count('"') % 2:
                _check_last_line(Path(path), uris[path], line, text)
            found.append(Rejected(uris[path], line, column, row_reason(kind, message), text[:500]))
    return found


def _check_last_line(path: Path, uri: str, line: int, text: str) -> None:
    """Raise unless the unclosed quote is on the last line: otherwise its value includes the rows after it."""
    last = _line_numbers(path, [_END])[0]
    if line < last - 1:
        raise DataError(
            f"Quotes should be closed. Received: {uri}:{line}: {text.splitlines()[0][:80]}, an unclosed quote that makes the "
            "rows after it unreadable. Close or remove the quote."
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


def too_many_rejected(rejected: Sequence[Rejected], total: int, max_bad_share: float) -> DataError:
    """Return the error for a share of rejected rows above the limit, with the first three of them."""
    first = "; ".join(f"{row.source}:{row.line}: {row.reason}" for row in rejected[:3])
    return DataError(
        f"At most {max_bad_share:.2%} of the rows should be unreadable (max_bad_share). Received: {len(rejected)} of {total}, "
        f"{len(rejected) / total:.2%}. First: {first}. Fix the data, set delimiter, or raise max_bad_share."
    )
