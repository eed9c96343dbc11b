"""Columns of the examples artifact: derive, drop, and convert to TensorFlow's names and types."""

from collections.abc import Mapping, Sequence

import duckdb

from tiffin.artifacts import columns as final_columns
from tiffin.errors import InputError, did_you_mean
from tiffin.recipe.reasons import expression_reason, type_name
from tiffin.recipe.sql import quoted_name
from tiffin.recipe.values import DATES, FRACTIONS, INTEGERS
from tiffin.stages.ingest.names import Names
from tiffin.stages.ingest.shards import SPLIT
from tiffin.stages.ingest.sources import ROW, TEXTS, Column, base_type

_ZONED = "TIME WITH TIME ZONE"
# Columns that one query reads.
_COLUMNS = 256


def find_excluded(exclude: Sequence[str], names: Names, derive: Mapping[str, str]) -> list[str]:
    """Return the names in the examples of the columns to drop.

    Raises:
        InputError: A name is not a text, or not that of a column.
    """
    known = [*names.final, *derive]
    found = []
    for name in exclude:
        if not isinstance(name, str):
            raise InputError(f"exclude should list column names as strings. Received: {name!r}.")
        final = name if name in derive else names.find(name)
        if final is None:
            raise InputError(
                f"exclude should list columns of the data. Received: '{name}'.{did_you_mean(name, known)} "
                f"The columns are: {', '.join(known)}."
            )
        found.append(final)
    return found


def finish_columns(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    names: Names,
    derived: Mapping[str, str],
    exclude: Sequence[str],
    split: str,
) -> tuple[list[final_columns.Column], str]:
    """Create the view `examples` of the final columns with each row's number.

    Args:
        connection: Connection with the view `typed`.
        columns: Columns of the view.
        names: Names of the columns in the source and in the table.
        derived: Name to checked expression with names of the table, each after the columns it uses.
        exclude: Names in the table of the columns to drop.
        split: Expression for a row's split.

    Returns:
        The final columns, and the SQL of the view's rows with each row's split, which reads all columns.

    Raises:
        InputError: An expression or a column's type is invalid, or no column is left.
    """
    # As texts, which they become in the end: the conversion of such a time to another zone depends on today's date.
    zoned = ", ".join(
        f"CAST({quoted_name(c.name)} AS VARCHAR) AS {quoted_name(c.name)}" for c in columns if c.type == _ZONED
    )
    relation = f"(SELECT * REPLACE ({zoned}) FROM typed)" if zoned else "typed"
    for name, expression in derived.items():
        relation = f"(SELECT *, (\n{expression}\n) AS {quoted_name(name)} FROM {relation})"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"derive should be valid for the columns' types ({expression_reason(error)}). Received: derive={dict(derived)}. "
            f"The columns are: {', '.join(f'{names.original(column.name)} {type_name(column.type)}' for column in columns)}."
        ) from None
    left_out = set(exclude)
    kept = [(row[0], row[1]) for row in described if quoted_name(row[0]) != ROW and row[0] not in left_out]
    if not kept:
        raise InputError(
            f"exclude should leave at least one column. Received: exclude={list(map(names.original, exclude))}, "
            "which lists all of them."
        )
    finite = _finite(connection, [column.name for column in columns if base_type(column.type) in FRACTIONS])
    final = [_final_column(name, type_, names.original(name), name in finite) for name, type_ in kept]
    selected = ", ".join(f"{sql} AS {quoted_name(column.name)}" for column, sql in final)
    connection.execute(f"CREATE TEMP VIEW examples AS SELECT {ROW}, {selected} FROM {relation}")
    return [column for column, _ in final], f"(SELECT {split} AS {SPLIT}, {ROW}, {selected} FROM {relation})"


def _finite(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> set[str]:
    """Return the columns of the view `typed` without infinite values and NaN."""
    found = set()
    for start in range(0, len(names), _COLUMNS):
        chunk = names[start : start + _COLUMNS]
        # NaN is the largest number.
        ends = ", ".join(
            f"isfinite(coalesce(min({name}), 0)::DOUBLE) AND isfinite(coalesce(max({name}), 0)::DOUBLE)"
            for name in map(quoted_name, chunk)
        )
        finite = connection.execute(f"SELECT {ends} FROM typed").fetchall()[0]
        found |= {name for name, is_finite in zip(chunk, finite, strict=True) if is_finite}
    return found


def _final_column(name: str, type_: str, original: str, finite: bool) -> tuple[final_columns.Column, str]:
    """Return the column with its final type, and the SQL that converts its values.

    Booleans become 0 and 1, timestamps and dates the seconds since 1970, infinite values and NaN become missing values.
    """
    base, sql = base_type(type_), quoted_name(name)
    if base in INTEGERS or base == "BOOLEAN":
        return final_columns.Column(name, "INT", "boolean" if base == "BOOLEAN" else None), f"CAST({sql} AS BIGINT)"
    if base in FRACTIONS:
        number = f"CAST({sql} AS DOUBLE)"
        # Without the condition, DuckDB makes the text of a repeated value once.
        return final_columns.Column(
            name, "FLOAT"
        ), number if finite else f"CASE WHEN isfinite({number}) THEN {number} END"
    if base in DATES:
        if base == "DATE":
            # A date may be beyond the range of timestamps, which ends in the year 294247.
            return final_columns.Column(name, "INT", "date"), f"CAST(epoch({sql}) AS BIGINT)"
        return final_columns.Column(name, "INT", "timestamp"), f"CAST(floor(epoch(CAST({sql} AS TIMESTAMP))) AS BIGINT)"
    if base in TEXTS or base == '"NULL"':
        return final_columns.Column(name, "STRING"), f"CAST({sql} AS VARCHAR)"
    raise InputError(
        f"Columns should hold numbers, booleans, text, dates or timestamps. Received: column '{original}' of type {type_}. "
        "List it in exclude, or derive such columns from it."
    )
