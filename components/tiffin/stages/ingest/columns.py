"""The columns of an examples artifact: their names and types as TensorFlow takes them, derived and dropped."""

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
    plain_name,
    quoted_name,
    said,
)


def check_range(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
    """Refuse whole numbers that only 64 bits without a sign hold: TensorFlow has no other whole numbers than int64."""
    for column in columns:
        if column.type != "UBIGINT":
            continue
        largest = connection.execute(f"SELECT max({quoted_name(column.name)}) FROM source").fetchall()[0][0]
        if largest is not None and largest >= 1 << 63:
            raise InputError(
                f"A column's whole numbers should be below 2^63. Received: column '{column.name}' with {largest}. "
                f"List it in exclude, and derive what is of use of it, such as CAST({column.name} AS VARCHAR)."
            )


def rename(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> tuple[list[Column], dict[str, str]]:
    """Give each column a name that TensorFlow takes, and return the columns and old name to new where they differ."""
    renamed = {column.name: name for column in columns if (name := plain_name(column.name)) != column.name}
    final = [Column(renamed.get(column.name, column.name), column.type) for column in columns]
    lower = [column.name.lower() for column in final]
    for column, name in zip(columns, lower, strict=True):
        if lower.count(name) > 1:
            same = [c.name for c, other in zip(columns, lower, strict=True) if other == name]
            raise InputError(
                f"Columns should differ in more than case and signs, which become '_'. Received: "
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
    """Make the view `examples` with the final columns and the split of each row, and return those columns."""
    names = [column.name for column in columns]
    for name in exclude:
        if not isinstance(name, str):
            raise InputError(f"exclude should list columns' names. Received: {name!r}. Put names in quotes.")
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
            f"The expressions should fit the columns' types ({said(error)}). Received: derive={derive}. "
            f"The columns are: {', '.join(f'{column.name} {column.type}' for column in columns)}."
        ) from None
    kept = [(row[0], row[1]) for row in described if row[0] != SPLIT.strip('"') and row[0] not in exclude]
    if not kept:
        raise InputError(
            f"At least one column should be left. Received: exclude={list(exclude)}, which names them all."
        )
    final = [_final_column(name, type_) for name, type_ in kept]
    selected = ", ".join(f"{sql} AS {quoted_name(column.name)}" for column, sql in final)
    connection.execute(f"CREATE TEMP VIEW examples AS SELECT {SPLIT}, {selected} FROM {relation}")
    return [column for column, _ in final]


def _final_column(name: str, type_: str) -> tuple[examples.Column, str]:
    """Return the column as it is kept, as TFDV and TensorFlow both take it, and the SQL that makes it.

    Truth becomes 0 and 1, a moment the seconds since 1970.
    """
    base, sql = base_type(type_), quoted_name(name)
    if base in INTEGERS or base == "BOOLEAN":
        return examples.Column(name, "INT"), f"CAST({sql} AS BIGINT)"
    if base in FRACTIONS:
        return examples.Column(
            name, "FLOAT"
        ), f"CASE WHEN isfinite(CAST({sql} AS DOUBLE)) THEN CAST({sql} AS DOUBLE) END"
    if base in MOMENTS:
        return examples.Column(name, "INT"), f"CAST(floor(epoch(CAST({sql} AS TIMESTAMP))) AS BIGINT)"
    if base in TEXTS or base == '"NULL"':
        return examples.Column(name, "STRING"), f"CAST({sql} AS VARCHAR)"
    raise InputError(
        f"A column should hold numbers, truth, text or moments. Received: column '{name}' of type {type_}. "
        "Exclude it, or derive plain columns from it."
    )
