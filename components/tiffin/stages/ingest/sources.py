"""Source files as DuckDB relations: what columns they have, of what types, and which rows cannot be read.

A CSV column's type is what all but `max_bad_share` of its values are, so that a few bad values are set aside as bad rows
instead of turning a column of numbers into text.
"""

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

# What stands for a missing value in CSV. (pandas' list less the words that may be values, such as "None".)
MISSING = ("", "NA", "N/A", "NULL", "null", "NaN", "nan")
# DuckDB's types of whole and of other numbers.
INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT", "UBIGINT")
FRACTIONS = ("DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UHUGEINT")
MOMENTS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")
TEXTS = ("VARCHAR", "ENUM", "UUID", "BLOB", "TIME", "TIME WITH TIME ZONE")
# Of a column without a value in a file: any type will do.
NO_TYPE = "NULL"


@dataclass(frozen=True)
class Column:
    """A column of a source: its name and DuckDB type."""

    name: str
    type: str


def is_parquet(path: Path) -> bool:
    """Return whether `path` is named as, or begins as, a Parquet file."""
    if path.name.lower().endswith((".parquet", ".pq")):
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def parquet_columns(connection: duckdb.DuckDBPyConnection, path: Path, uri: str) -> list[Column]:
    """Return the columns of a Parquet file.

    Raises:
        InputError: The file is not Parquet or is damaged.
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
    return InputError(f"'{uri}' should be a whole Parquet file ({said(error)}). Write or copy it again.")


def unreadable(uri: str, error: duckdb.Error) -> InputError:
    """Return the error for a CSV file that cannot be read at all."""
    return InputError(
        f"'{uri}' should be CSV with quotes that close and line ends of one kind ({said(error)}). Mend the file."
    )


def csv_types(
    connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str], max_bad_share: float
) -> list[Column]:
    """Return each column with the type that all but `max_bad_share` of its present values have, half of them at least.

    Args:
        connection: Any DuckDB connection.
        relation: SQL of the values as text, of all files together: a column is of one type.
        names: The columns.
        max_bad_share: From 0 to 1.
    """
    least = max(1 - max_bad_share, 0.5)
    rows = _counts(
        connection,
        relation,
        names,
        "count(x)",
        "count(TRY_CAST(x AS DOUBLE))",
        "count(TRY_CAST(x AS DOUBLE)) FILTER (contains(x, '.') OR contains(x, 'e') OR contains(x, 'E') OR contains(x, 'n'))",
        # 01234 is a postal code or an identifier: as a number it would lose its zero.
        "count(*) FILTER (starts_with(x, '0') AND length(x) > 1 AND NOT contains(x, '.') AND NOT contains(lower(x), 'e'))",
    )
    types = {}
    for name, (present, number, fraction, padded) in rows.items():
        if present == 0:
            types[name] = NO_TYPE
        elif number >= present * least and not padded:
            types[name] = "DOUBLE" if fraction else "BIGINT"
    # The slower questions are asked only of the columns they are still open for.
    whole = [name for name, type_ in types.items() if type_ == "BIGINT"]
    for name, (fitting,) in _counts(connection, relation, whole, "count(TRY_CAST(x AS BIGINT))").items():
        if fitting < rows[name][1]:  # More digits than 64 bits hold.
            types[name] = "DOUBLE"
    texts = [name for name in names if name not in types]
    questions = ("count(*) FILTER (lower(x) IN ('true', 'false'))", "count(TRY_CAST(x AS TIMESTAMP))")
    for name, (truth, moment) in _counts(connection, relation, texts, *questions).items():
        needed = rows[name][0] * least
        types[name] = "BOOLEAN" if truth >= needed else "TIMESTAMP" if moment >= needed else "VARCHAR"
    moments = [name for name in texts if types[name] == "TIMESTAMP"]
    # As a plain TIMESTAMP, 12:00+02:00 would be noon in UTC.
    zoned = r"count(*) FILTER (regexp_matches(x, ':\d\d(\.\d+)?\s*([+-]\d|[A-Za-z]{2})'))"
    for name, (offsets,) in _counts(connection, relation, moments, zoned).items():
        if offsets:
            types[name] = "TIMESTAMP WITH TIME ZONE"
    return [Column(name, types[name]) for name in names]


def common_type(name: str, types: Mapping[str, str]) -> str:
    """Return the type that holds a column's values of all files.

    Args:
        name: The column.
        types: What the user calls each file, to the column's type there.

    Raises:
        InputError: There is none.
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
        f"A column should be of one type in all files. Received: '{name}', {first} in '{one}' and {second} in "
        f"'{other}'. Ingest them apart, or write them again with one type."
    )


def base_type(type_: str) -> str:
    """Return a DuckDB type without its parameters: `DECIMAL(5,2)` is a `DECIMAL`, `DECIMAL(5,2)[]` is a list."""
    return type_ if type_.endswith("]") else type_.split("(", 1)[0]


def _counts(
    connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str], *questions: str
) -> dict[str, tuple[int, ...]]:
    """Return the answers to each question (SQL with `x` for a value) about each column, in one pass over the file."""
    if not names:
        return {}
    selected = [
        re.sub(r"\bx\b", quoted_name(name).replace("\\", r"\\"), question) for name in names for question in questions
    ]
    row = connection.execute(f"SELECT {', '.join(selected)} FROM ({relation})").fetchall()[0]
    width = len(questions)
    return {name: row[index * width : (index + 1) * width] for index, name in enumerate(names)}


def csv_relation(path: Path, delimiter: str, columns: Sequence[Column], *, rejects: bool) -> str:
    """Return the SQL that reads a CSV file with these columns, keeping rejected rows for `rejected_rows`."""
    types = ", ".join(f"'{escaped(column.name)}': '{column.type}'" for column in columns)
    missing = ", ".join(f"'{word}'" for word in MISSING)
    keep = "store_rejects=true, rejects_limit=0" if rejects else "ignore_errors=true"
    return (
        f"read_csv('{_one_file(path)}', auto_detect=false, header=true, delim='{escaped(delimiter)}', quote='\"', "
        f"escape='\"', columns={{{types}}}, nullstr=[{missing}], {keep})"
    )


def plain_name(name: str) -> str:
    """Return `name` as TensorFlow takes it for an input of a signature, which is a parameter of a Python function."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name.strip())
    if not plain[:1].isalpha():
        plain = f"c_{plain.lstrip('_')}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain


def quoted_name(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def escaped(text: object) -> str:
    """Return a text as it stands between the quotes of a SQL string."""
    return str(text).replace("'", "''")


def first_line(message: object) -> str:
    """Return the first line of a message, which says what is wrong; the rest shows DuckDB's own options."""
    return str(message).strip().split("\n", 1)[0]


def said(error: duckdb.Error) -> str:
    """Return the first line of DuckDB's message; a full disk is raised as the OSError that it is."""
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        if os.strerror(number) in str(error):
            raise OSError(number, os.strerror(number)) from None
    return first_line(error)


def _one_file(path: Path) -> str:
    """Return a path for a SQL string in which DuckDB sees no glob: `[`, `*` and `?` may be part of a name."""
    return escaped(glob.escape(str(path)))


def open_csv(path: Path) -> Any:
    """Open a CSV file, which gzip may have packed, for reading its bytes."""
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")
