"""Source files as DuckDB relations, with column names and types."""

import errno
import glob
import gzip
import keyword
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tiffin.errors import InputError

# DuckDB types, grouped by the column type they become.
INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT", "UBIGINT")
FRACTIONS = ("DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UHUGEINT")
MOMENTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
TEXTS = ("VARCHAR", "ENUM", "UUID", "BLOB", "TIME", "TIME WITH TIME ZONE")
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
        return file.read(4) == b"PAR1"


def parquet_columns(connection: duckdb.DuckDBPyConnection, path: Path, uri: str) -> list[Column]:
    """Return the columns of a Parquet file.

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
    return f"read_parquet('{_one_file(path)}')"


def damaged(uri: str, error: duckdb.Error) -> InputError:
    """Return the error for a Parquet file that cannot be read."""
    return InputError(f"'{uri}' is not a complete Parquet file ({duckdb_reason(error)}). Write or copy it again.")


def unreadable(uri: str, error: duckdb.Error) -> InputError:
    """Return the error for a CSV file that cannot be read."""
    return InputError(
        f"Could not read '{uri}' as CSV ({duckdb_reason(error)}). Close all quotes and use the same line ending throughout."
    )


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
    if bases <= set(MOMENTS):
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


def csv_relation(path: Path, delimiter: str, names: Sequence[str]) -> str:
    """Return the SQL that reads the values of a CSV file as text; DuckDB records rejected rows for `rejected_rows`.

    Args:
        path: Local path of the file.
        delimiter: One character.
        names: Column names, in the order of the file.
    """
    types = ", ".join(f"'{escaped(name)}': 'VARCHAR'" for name in names)
    return (
        f"read_csv('{_one_file(path)}', auto_detect=false, header=true, delim='{escaped(delimiter)}', quote='\"', "
        f"escape='\"', columns={{{types}}}, nullstr=[''], store_rejects=true, rejects_limit=0)"
    )


def plain_name(name: str) -> str:
    """Return `name` changed to a valid input name of a TensorFlow signature, which is a Python parameter name."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name.strip())
    if not plain[:1].isalpha():
        plain = f"c_{plain.lstrip('_')}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain


def quoted_name(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def escaped(text: object) -> str:
    """Return a text escaped for a quoted SQL string."""
    return str(text).replace("'", "''")


def first_line(message: object) -> str:
    """Return the first line of a DuckDB message, which has the cause; the other lines are hints on DuckDB's options."""
    return str(message).strip().split("\n", 1)[0]


def duckdb_reason(error: duckdb.Error) -> str:
    """Return the first line of DuckDB's message.

    Raises:
        OSError: The disk is full.
    """
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        if os.strerror(number) in str(error):
            raise OSError(number, os.strerror(number)) from None
    return first_line(error)


def _one_file(path: Path) -> str:
    """Return a path for a SQL string, with `[`, `*` and `?` escaped so that DuckDB does not expand them as a glob."""
    return escaped(glob.escape(str(path)))


def open_csv(path: Path) -> Any:
    """Open a CSV file for reading bytes; decompress it if its name ends in `.gz`."""
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")
