"""Source files as DuckDB relations, with column names and types.

A CSV column has the type of all but `max_bad_share` of its values: a few invalid values reject their rows and do not turn a
numeric column into text.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tiffin.errors import InputError
from tiffin.recipe.sql import escaped
from tiffin.recipe.values import DATES, FRACTIONS, INTEGERS
from tiffin.stages.ingest.reasons import damaged

# DuckDB types that become text; `recipe.values` has those of numbers and dates.
TEXTS = ("VARCHAR", "ENUM", "UUID", "BLOB", "TIME", "TIME WITH TIME ZONE")
# Number of a row in the view `source`, from 0; the space keeps it apart from the data's columns.
ROW = '"tiffin row"'
# Rows of a row group of up to this many columns; wider ones have fewer rows, in multiples of what DuckDB handles at once.
_ROW_GROUP = 122_880
_COLUMNS = 64
_VECTOR = 2048
# Bytes of CSV that a thread reads at once, where the usual ones have too few rows for a row group.
_BUFFER = ", buffer_size=67108864"
# Type of a column without values in a file; compatible with every type.
NO_TYPE = "NULL"


@dataclass(frozen=True)
class Column:
    """Name and DuckDB type of a source column."""

    name: str
    type: str


def is_parquet(path: Path) -> bool:
    """Return whether the name or the first bytes of `path` are those of a Parquet file."""
    if path.name.lower().endswith((".parquet", ".pq")):
        return True
    with path.open("rb") as file:
        # A CSV header may start with these letters.
        return re.match(rb"PAR1[^,;\t|\r\n\"]*[\0-\x08]", file.read(100)) is not None


def parquet_columns(connection: duckdb.DuckDBPyConnection, path: Path, uri: str) -> list[Column]:
    """Return the columns of a Parquet file, with DuckDB's names, which differ in more than case.

    Raises:
        InputError: The file is not Parquet, or is damaged.
    """
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {parquet_relation(path)}").fetchall()
    except duckdb.Error as error:
        raise damaged(uri, error) from None
    return [Column(row[0], NO_TYPE if row[1] == '"NULL"' else row[1]) for row in rows]


def parquet_relation(path: Path) -> str:
    """Return the SQL that reads a Parquet file."""
    return f"read_parquet('{_one_file(path)}', hive_partitioning=false)"


def copied_relation(paths: Sequence[Path]) -> str:
    """Return the SQL that reads Parquet files of the same columns, with the columns `file_index` and `file_row_number`."""
    listed = ", ".join(f"'{_one_file(path)}'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning=false, file_row_number=true)"


def row_group_rows(columns: int) -> int:
    """Return the rows of a row group of Parquet, which is in memory as a whole while it is written."""
    return max(_VECTOR, _ROW_GROUP * _COLUMNS // max(columns, _COLUMNS) // _VECTOR * _VECTOR)


def parquet_names(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """Return the column names of a Parquet file as they are written in it, in order."""
    nodes = connection.execute(f"SELECT name, num_children FROM parquet_schema('{_one_file(path)}')").fetchall()
    names, inside = [], 0
    # The nodes come depth first, the root before all.
    for name, children in nodes[1:]:
        if not inside:
            names.append(name)
        inside = max(inside - 1, 0) + (children or 0)
    return names


def common_type(name: str, types: Mapping[str, str]) -> str:
    """Return a type that holds a column's values of all files.

    Args:
        name: Column name.
        types: Path or URI of each file to the column's type in it.

    Raises:
        InputError: The types have no common type.
    """
    distinct = dict.fromkeys(type_ for type_ in types.values() if type_ != NO_TYPE)
    bases = {base_type(type_) for type_ in distinct}
    if len(distinct) < 2:
        return next(iter(distinct), "VARCHAR")
    if bases <= {*INTEGERS, *FRACTIONS}:
        return "BIGINT" if bases <= set(INTEGERS) else "DOUBLE"
    if bases <= set(DATES):
        return "TIMESTAMP"
    if bases <= set(TEXTS):
        return "VARCHAR"
    (one, first), (other, second) = ((next(u for u in types if types[u] == t), t) for t in list(distinct)[:2])
    raise InputError(
        f"A column should have the same type in all files. Received: '{name}', {first} in '{one}' and {second} in "
        f"'{other}'. Ingest the files separately, or rewrite them with one type."
    )


def base_type(type_: str) -> str:
    """Return a DuckDB type without its parameters: `DECIMAL(5,2)` is a `DECIMAL`, `DECIMAL(5,2)[]` is a list."""
    return type_ if type_.endswith("]") else type_.split("(", 1)[0]


def csv_relation(path: Path, delimiter: str, names: Sequence[str], *, header: bool = True) -> str:
    """Return the SQL that reads the values of a CSV file as text; DuckDB records rejected rows for `rejected_rows`.

    Args:
        path: Local path of the file.
        delimiter: One character.
        names: Column names, in the order of the file.
        header: Whether the first line holds names, and is skipped.
    """
    types = ", ".join(f"'{escaped(name)}': 'VARCHAR'" for name in names)
    return (
        f"read_csv('{_one_file(path)}', auto_detect=false, hive_partitioning=false, header={str(header).lower()}, "
        f"delim='{escaped(delimiter)}', quote='\"', escape='\"', columns={{{types}}}, nullstr=[''], store_rejects=true, "
        f"rejects_limit=0{_BUFFER if len(names) > _COLUMNS else ''})"
    )


def _one_file(path: Path) -> str:
    """Return a path for a SQL string, with `[`, `*` and `?` escaped so that DuckDB does not expand them as a glob."""
    return escaped(glob.escape(str(path)))
