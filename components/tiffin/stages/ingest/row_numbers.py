"""Find columns that hold no data: row numbers, and columns without a name. They leak the order of the rows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import duckdb

from tiffin.artifacts.notes import Note
from tiffin.recipe.sql import quoted_name
from tiffin.recipe.values import INTEGERS
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.sources import ROW, Column, base_type

# Fewer rows may be numbered for another reason, such as ranks or months.
_LEAST_ROWS = 20
# Columns that one query reads.
_COLUMNS = 256


@dataclass(frozen=True)
class Span:
    """The rows of a file: their numbers, from `start` to before `end`, and how many of them are kept."""

    start: int
    end: int
    kept: int


def order_columns(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    names: Names,
    spans: Sequence[Span],
    rejected: int,
    used: Collection[str | None],
    inputs: Iterable[str],
) -> tuple[list[str], list[Note]]:
    """Return the columns of the view `typed` to leave out of the examples, and a note on each.

    Columns without a name are left out, as are integers that count the rows from 0 or 1, of all files or of each. A column is
    kept if it is used, or if no input would be left.

    Args:
        connection: Connection with the view.
        columns: Columns of the view.
        names: Names of the columns.
        spans: Rows of each file, in order.
        rejected: Number of rows that were skipped, which leave gaps.
        used: Names in the table of the columns that a parameter names.
        inputs: Names of the columns that remain beside the label, also of derived ones.
    """
    unnamed = [names.final[name] for name in names.final if name in names.unnamed]
    integers = [column.name for column in columns if base_type(column.type) in INTEGERS and column.name not in unnamed]
    numbers = (
        _row_numbers(connection, integers, spans, rejected) if sum(span.kept for span in spans) >= _LEAST_ROWS else []
    )
    out = [column.name for column in columns if column.name in (*unnamed, *numbers) and column.name not in used]
    kept = not set(inputs) - set(out)
    return [] if kept else out, [_note(names, name, numbers, kept=kept) for name in out]


def _note(names: Names, name: str, numbers: Sequence[str], *, kept: bool) -> Note:
    original = names.original(name)
    kind = "counts the rows" if name in numbers else "has no name in the header"
    what = (
        "is kept, since no other column is left. List it in exclude to drop it."
        if kept
        else "is left out of the examples. List it in types to keep it."
    )
    return Note("ROW_NUMBERS", f"'{original}' {kind} and {what}", original)


def _row_numbers(
    connection: duckdb.DuckDBPyConnection, integers: Sequence[str], spans: Sequence[Span], rejected: int
) -> list[str]:
    """Return the columns that count the rows of all files, or of each file, in order, apart from rejected rows."""
    if not integers:
        return []
    row: list[int] = []
    for start in range(0, len(integers), _COLUMNS):
        names = map(quoted_name, integers[start : start + _COLUMNS])
        ends = ", ".join(f"count({name}), min({name}), max({name})" for name in names)
        row += connection.execute(f"SELECT {ends} FROM typed").fetchall()[0]
    rows, longest = sum(span.kept for span in spans), max(span.kept for span in spans)
    # One pass leaves few candidates.
    candidates = [
        name
        for name, (present, least, most) in zip(integers, zip(*[iter(row)] * 3, strict=True), strict=True)
        if present == rows and 0 <= least <= 1 + rejected and longest <= most - least + 1 <= rows + rejected
    ]
    whole = Span(spans[0].start, spans[-1].end, rows)
    return [
        name
        for name in candidates
        if _ascends(connection, name, whole, rejected)
        or (longest >= _LEAST_ROWS and all(_ascends(connection, name, span, rejected) for span in spans))
    ]


def _ascends(connection: duckdb.DuckDBPyConnection, name: str, span: Span, rejected: int) -> bool:
    """Return whether the values of a file ascend from 0 or 1 by 1; a rejected row leaves a gap."""
    # Without ORDER BY, the rows are compared as they are read, in order, and need not be held.
    steps = f"SELECT {quoted_name(name)} AS value, value - lag(value) OVER () AS step FROM typed "
    steps += f"WHERE {ROW} >= {span.start} AND {ROW} < {span.end}"
    least, most, step = connection.execute(f"SELECT min(value), max(value), min(step) FROM ({steps})").fetchall()[0]
    if least is None:  # no rows
        return True
    return bool(0 <= least <= 1 + rejected and most - least < span.kept + rejected and (step is None or step > 0))
