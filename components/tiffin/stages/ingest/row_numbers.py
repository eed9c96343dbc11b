"""Find columns that hold no data: row numbers, and columns without a name. They leak the order of the rows."""

from collections.abc import Collection, Iterable, Sequence

import duckdb

from tiffin.artifacts.notes import Note
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.sources import INTEGERS, Column, base_type, quoted_name

# Fewer rows may be numbered for another reason, such as ranks or months.
_LEAST_ROWS = 20


def order_columns(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    names: Names,
    counts: Sequence[int],
    rejected: int,
    used: Collection[str | None],
    inputs: Iterable[str],
) -> tuple[list[str], list[Note]]:
    """Return the columns of the table `source` to leave out of the examples, and a note on each.

    Columns without a name are left out, as are integers that count the rows from 0 or 1, of all files or of each. A column is
    kept if it is used, or if no input would be left.

    Args:
        connection: Connection with the table.
        columns: Columns of the table.
        names: Names of the columns.
        counts: Number of rows of each file, in order.
        rejected: Number of rows that were skipped, which leave gaps.
        used: Names in the table of the columns that a parameter names.
        inputs: Names of the columns that remain beside the label, also of derived ones.
    """
    unnamed = [names.final[name] for name in names.final if name in names.unnamed]
    integers = [column.name for column in columns if base_type(column.type) in INTEGERS and column.name not in unnamed]
    numbers = _row_numbers(connection, integers, counts, rejected) if sum(counts) >= _LEAST_ROWS else []
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
    connection: duckdb.DuckDBPyConnection, integers: Sequence[str], counts: Sequence[int], rejected: int
) -> list[str]:
    """Return the columns that count the rows of all files, or of each file, in order, apart from rejected rows."""
    if not integers:
        return []
    ends = ", ".join(f"count({name}), min({name}), max({name})" for name in map(quoted_name, integers))
    row = connection.execute(f"SELECT {ends} FROM source").fetchall()[0]
    rows, longest = sum(counts), max(counts)
    # One pass leaves few candidates.
    candidates = [
        name
        for name, (present, least, most) in zip(integers, zip(*[iter(row)] * 3, strict=True), strict=True)
        if present == rows and 0 <= least <= 1 + rejected and longest <= most - least + 1 <= rows + rejected
    ]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    return [
        name
        for name in candidates
        if _ascends(connection, name, 0, rows, rejected)
        or (
            longest >= _LEAST_ROWS
            and all(
                _ascends(connection, name, start, count, rejected) for start, count in zip(starts, counts, strict=True)
            )
        )
    ]


def _ascends(connection: duckdb.DuckDBPyConnection, name: str, start: int, count: int, rejected: int) -> bool:
    """Return whether `count` values from row `start` on ascend from 0 or 1 by 1; a rejected row leaves a gap."""
    steps = f"SELECT {quoted_name(name)} AS value, value - lag(value) OVER (ORDER BY rowid) AS step FROM source "
    steps += f"WHERE rowid >= {start} AND rowid < {start + count}"
    least, most, step = connection.execute(f"SELECT min(value), max(value), min(step) FROM ({steps})").fetchall()[0]
    if least is None:  # no rows
        return True
    return bool(0 <= least <= 1 + rejected and most - least < count + rejected and (step is None or step > 0))
