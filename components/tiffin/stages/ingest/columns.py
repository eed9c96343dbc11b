"""Columns of the examples artifact: derive, drop, and convert to TensorFlow's names and types."""

from collections.abc import Mapping, Sequence

import duckdb

from tiffin.artifacts import examples
from tiffin.errors import InputError, did_you_mean
from tiffin.stages.ingest.expressions import order_derived
from tiffin.stages.ingest.shards import SPLIT
from tiffin.stages.ingest.sources import (
    FRACTIONS,
    INTEGERS,
    MOMENTS,
    TEXTS,
    Column,
    base_type,
    duckdb_reason,
    plain_name,
    quoted_name,
)


def rename(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> tuple[list[Column], dict[str, str]]:
    """Rename the columns of the table `source` to names that TensorFlow accepts.

    Returns:
        The columns, and old name to new for each renamed column.

    Raises:
        InputError: Two columns would get the same name.
    """
    renamed = {column.name: name for column in columns if (name := plain_name(column.name)) != column.name}
    final = [Column(renamed.get(column.name, column.name), column.type) for column in columns]
    lower = [column.name.lower() for column in final]
    for column, name in zip(columns, lower, strict=True):
        if lower.count(name) > 1:
            same = [c.name for c, other in zip(columns, lower, strict=True) if other == name]
            raise InputError(
                f"Column names should differ in more than case and special characters, which become '_'. Received: "
                f"{', '.join(repr(other) for other in same)}. Rename '{column.name}' in the source."
            )
    for old, new in renamed.items():
        connection.execute(f"ALTER TABLE source RENAME COLUMN {quoted_name(old)} TO {quoted_name(new)}")
    return final, renamed


def finish_columns(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    derive: Mapping[str, str],
    exclude: Sequence[str],
    split: str,
) -> list[examples.Column]:
    """Create the view `examples` of the final columns and each row's split, and return the final columns.

    Raises:
        InputError: An expression, an excluded name or a column's type is invalid.
    """
    names = [column.name for column in columns]
    for name in exclude:
        if not isinstance(name, str):
            raise InputError(f"exclude should list column names as strings. Received: {name!r}.")
        if name not in [*names, *derive]:
            raise InputError(
                f"exclude should list columns of the data. Received: '{name}'.{did_you_mean(name, [*names, *derive])} "
                f"The columns are: {', '.join([*names, *derive])}."
            )
    relation = f"(SELECT *, {split} AS {SPLIT} FROM source)"
    for name in order_derived(connection, derive, names):
        relation = f"(SELECT *, (\n{derive[name]}\n) AS {quoted_name(name)} FROM {relation})"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise InputError(
            f"derive should be valid for the columns' types ({duckdb_reason(error)}). Received: derive={derive}. "
            f"The columns are: {', '.join(f'{column.name} {column.type}' for column in columns)}."
        ) from None
    kept = [(row[0], row[1]) for row in described if row[0] != SPLIT.strip('"') and row[0] not in exclude]
    if not kept:
        raise InputError(
            f"exclude should leave at least one column. Received: exclude={list(exclude)}, which lists all of them."
        )
    final = [_final_column(name, type_) for name, type_ in kept]
    selected = ", ".join(f"{sql} AS {quoted_name(column.name)}" for column, sql in final)
    connection.execute(f"CREATE TEMP VIEW examples AS SELECT {SPLIT}, {selected} FROM {relation}")
    return [column for column, _ in final]


def _final_column(name: str, type_: str) -> tuple[examples.Column, str]:
    """Return the column with its final type, and the SQL that converts its values.

    Booleans become 0 and 1, timestamps and dates the seconds since 1970.
    """
    base, sql = base_type(type_), quoted_name(name)
    if base in INTEGERS or base == "BOOLEAN":
        return examples.Column(name, "INT", "boolean" if base == "BOOLEAN" else None), f"CAST({sql} AS BIGINT)"
    if base in FRACTIONS:
        return examples.Column(
            name, "FLOAT"
        ), f"CASE WHEN isfinite(CAST({sql} AS DOUBLE)) THEN CAST({sql} AS DOUBLE) END"
    if base in MOMENTS:
        logical = "date" if base == "DATE" else "timestamp"
        return examples.Column(name, "INT", logical), f"CAST(floor(epoch(CAST({sql} AS TIMESTAMP))) AS BIGINT)"
    if base in TEXTS or base == '"NULL"':
        return examples.Column(name, "STRING"), f"CAST({sql} AS VARCHAR)"
    raise InputError(
        f"Columns should hold numbers, booleans, text, dates or timestamps. Received: column '{name}' of type {type_}. "
        "List it in exclude, or derive such columns from it."
    )
