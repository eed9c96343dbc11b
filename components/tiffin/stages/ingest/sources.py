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
from tiffin.stages.ingest.reasons import damaged

# Texts read as missing values in CSV: pandas' list without words that may be real values, such as "None".
MISSING = ("", "NA", "N/A", "NULL", "null", "NaN", "nan")
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


def csv_types(
    connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str], max_bad_share: float
) -> list[Column]:
    """Return each column with the type of all but `max_bad_share`, and at least half, of its present values.

    Args:
        connection: Any DuckDB connection.
        relation: SQL that selects the values of all files as text.
        names: Column names.
        max_bad_share: Maximum share of invalid values, from 0 to 1.
    """
    least = max(1 - max_bad_share, 0.5)
    rows = _counts(
        connection,
        relation,
        names,
        "count(x)",
        "count(TRY_CAST(x AS DOUBLE))",
        "count(TRY_CAST(x AS DOUBLE)) FILTER (contains(x, '.') OR contains(x, 'e') OR contains(x, 'E') OR contains(x, 'n'))",
        # 01234 is a postal code or an identifier; a number would drop the zero.
        "count(*) FILTER (starts_with(x, '0') AND length(x) > 1 AND NOT contains(x, '.') AND NOT contains(lower(x), 'e'))",
    )
    types = {}
    for name, (present, number, fraction, padded) in rows.items():
        if present == 0:
            types[name] = NO_TYPE
        elif number >= present * least and not padded:
            types[name] = "DOUBLE" if fraction else "BIGINT"
    # The slower queries run only on columns whose type is still open.
    whole = [name for name, type_ in types.items() if type_ == "BIGINT"]
    for name, (fitting,) in _counts(connection, relation, whole, "count(TRY_CAST(x AS BIGINT))").items():
        if fitting < rows[name][1]:  # Some values exceed 64 bits.
            types[name] = "DOUBLE"
    texts = [name for name in names if name not in types]
    queries = ("count(*) FILTER (lower(x) IN ('true', 'false'))", "count(TRY_CAST(x AS TIMESTAMP))")
    for name, (truth, moment) in _counts(connection, relation, texts, *queries).items():
        needed = rows[name][0] * least
        types[name] = "BOOLEAN" if truth >= needed else "TIMESTAMP" if moment >= needed else "VARCHAR"
    moments = [name for name in texts if types[name] == "TIMESTAMP"]
    # A plain TIMESTAMP would read 12:00+02:00 as 12:00 UTC.
    zoned = r"count(*) FILTER (regexp_matches(x, ':\d\d(\.\d+)?\s*([+-]\d|[A-Za-z]{2})'))"
    for name, (offsets,) in _counts(connection, relation, moments, zoned).items():
        if offsets:
            types[name] = "TIMESTAMP WITH TIME ZONE"
    return [Column(name, types[name]) for name in names]


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


def _counts(
    connection: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str], *queries: str
) -> dict[str, tuple[int, ...]]:
    """Return the results of each query (SQL with `x` for a value) for each column, in one pass over the data."""
    if not names:
        return {}
    selected = [re.sub(r"\bx\b", quoted_name(name).replace("\\", r"\\"), query) for name in names for query in queries]
    row = connection.execute(f"SELECT {', '.join(selected)} FROM ({relation})").fetchall()[0]
    width = len(queries)
    return {name: row[index * width : (index + 1) * width] for index, name in enumerate(names)}


def csv_relation(path: Path, delimiter: str, columns: Sequence[Column], *, rejects: bool, header: bool = True) -> str:
    """Return the SQL that reads a CSV file with these columns.

    Args:
        path: Local path of the file.
        delimiter: One character.
        columns: Names and types, in the order of the file.
        header: Whether the first line holds names, and is skipped.
        rejects: Whether DuckDB records rejected rows for `rejected_rows`, or skips them.
    """
    types = ", ".join(f"'{escaped(column.name)}': '{column.type}'" for column in columns)
    missing = ", ".join(f"'{word}'" for word in MISSING)
    keep = "store_rejects=true, rejects_limit=0" if rejects else "ignore_errors=true"
    return (
        f"read_csv('{_one_file(path)}', auto_detect=false, hive_partitioning=false, header={str(header).lower()}, "
        f"delim='{escaped(delimiter)}', quote='\"', escape='\"', columns={{{types}}}, nullstr=[{missing}], {keep})"
    )


def quoted_name(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def escaped(text: object) -> str:
    """Return a text escaped for a quoted SQL string."""
    return str(text).replace("'", "''")


def _one_file(path: Path) -> str:
    """Return a path for a SQL string, with `[`, `*` and `?` escaped so that DuckDB does not expand them as a glob."""
    return escaped(glob.escape(str(path)))
