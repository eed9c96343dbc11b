"""Rows that cannot be read: where each stands, why, and when there are too many of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from tiffin.artifacts.examples import Rejected
from tiffin.errors import DataError
from tiffin.stages.ingest.sources import first_line, open_csv

_END = 1 << 62


def rejected_rows(connection: duckdb.DuckDBPyConnection, uris: Mapping[str, str]) -> list[Rejected]:
    """Return the rows that `csv_relation` set aside on this connection, in order, one entry for each.

    Args:
        connection: The connection that read the files.
        uris: Local path to what the user calls the file.

    Raises:
        DataError: A quote that never closes swallowed the rows after it.
    """
    rows = connection.execute(
        "SELECT s.file_path, e.line_byte_position, any_value(coalesce(e.column_name, '') ORDER BY e.column_idx), "
        "any_value(e.error_message ORDER BY e.column_idx), any_value(e.csv_line) "
        "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) "
        "GROUP BY s.file_path, e.line, e.line_byte_position ORDER BY s.file_path, e.line_byte_position"
    ).fetchall()
    found = []
    for path in dict.fromkeys(row[0] for row in rows):
        here = [row for row in rows if row[0] == path]
        # DuckDB numbers records; a person's editor numbers lines, and quoted values may hold line ends.
        lines = _line_numbers(Path(path), [row[1] for row in here])
        for line, (_, _, column, message, text) in zip(lines, here, strict=True):
            reason = first_line(message)
            if "unterminated quote" in reason and text.split("\n", 1)[0].count('"') % 2:
                _check_last_line(Path(path), uris[path], line, text)
            found.append(Rejected(uris[path], line, column, reason, text[:500]))
    return found


def _check_last_line(path: Path, uri: str, line: int, text: str) -> None:
    """Raise unless a quote that never closes is on the last line: it makes one value of everything after it."""
    last = _line_numbers(path, [_END])[0]
    if line < last - 1:
        raise DataError(
            f"A quote that opens should close. Received: {uri}:{line}: {first_line(text)[:80]}, whose quote does not, so the "
            "rows after it cannot be told apart. Close the quote, or remove it."
        )


def _line_numbers(path: Path, positions: Sequence[int]) -> list[int]:
    """Return the line, from 1, that holds each byte position; positions rise."""
    numbers, line, at = [], 1, 0
    with open_csv(path) as file:
        for position in positions:
            while at < position and (block := file.read(min(1 << 20, position - at))):
                line += block.count(b"\n")
                at += len(block)
            numbers.append(line)
    return numbers


def too_many_rejected(rejected: Sequence[Rejected], total: int, max_bad_share: float) -> DataError:
    """Return the error for a share of bad rows past the limit, with the first few of them."""
    first = "; ".join(f"{row.source}:{row.line}: {row.reason}" for row in rejected[:3])
    return DataError(
        f"At most {max_bad_share:.2%} of the rows should be unreadable (max_bad_share). Received: {len(rejected)} of {total}, "
        f"{len(rejected) / total:.2%}. The first: {first}. Mend the data, pass its delimiter, or raise max_bad_share."
    )
