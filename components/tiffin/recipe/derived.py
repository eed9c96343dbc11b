"""Compute the derived columns of rows with DuckDB, in the same SQL and the same types as ingest."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from . import patterns
from .values import DATES, INTEGERS, Unreadable

# A type that a source column may have; its name becomes a part of the SQL.
_TYPE = re.compile(r"[A-Z][A-Z0-9_]*( [A-Z]+)*(\([0-9]+(, ?[0-9]+)?\))?")
_MEMORY = "1GB"
_ISO = r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"


class Derivation:
    """The derived columns of a recipe. It is not thread-safe.

    Args:
        source: Columns of the source that the expressions may use.
        derive: Derived columns with checked expressions, each after those it uses.
        wanted: Derived columns to return: objects with the attributes name, type and logical.

    Raises:
        ImportError: DuckDB is not installed.
        ValueError: The type of a column is unknown.
    """

    def __init__(self, source: Sequence[Any], derive: Sequence[Any], wanted: Collection[Any]) -> None:
        import duckdb

        self._error = duckdb.Error
        self._names = [column.column for column in source]
        self._whole = [column.column for column in source if column.type.split("(", 1)[0] in INTEGERS]
        self._wanted = [column.name for column in wanted]
        relation = ", ".join(f"unnest(${i}::{_passed(c)}[]) AS {_name(c.column)}" for i, c in enumerate(source, 1))
        relation = f"(SELECT {relation})"
        typed = ", ".join(f"{_typed(column)} AS {_name(column.column)}" for column in source)
        relation = f"(SELECT {typed} FROM {relation})"
        for column in derive:
            relation = f"(SELECT *, (\n{column.expression}\n) AS {_name(column.name)} FROM {relation})"
        self._query = f"SELECT {', '.join(map(_final, wanted))} FROM {relation}"
        self._connection = duckdb.connect()
        # An expression may come from a server: it gets no files, no network and a bounded memory.
        self._connection.execute(
            "SET TimeZone='UTC'; SET autoinstall_known_extensions=false; SET autoload_known_extensions=false; "
            f"SET enable_progress_bar=false; SET threads=1; SET memory_limit='{_MEMORY}'; "
            "SET enable_external_access=false; SET lock_configuration=true"
        )

    def compute(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the derived values of rows.

        Args:
            rows: Values by name of the column, as `values` reads them.

        Raises:
            Unreadable: An expression fails for one of the rows.
        """
        for row in rows:
            for name in self._whole:
                # DuckDB would round it.
                if isinstance(row[name], float):
                    raise Unreadable(f"a whole number in '{name}', from which columns are derived", row[name])
        columns = [[row.get(name) for row in rows] for name in self._names]
        try:
            found = self._connection.execute(self._query, columns).fetchall()
        except (self._error, UnicodeDecodeError) as error:
            reason = str(error).strip().split("\n", 1)[0]
            raise Unreadable("values that the derived columns can be computed from", reason) from None
        return [dict(zip(self._wanted, row, strict=True)) for row in found]


def _passed(column: Any) -> str:
    """Return the SQL type in which values are passed."""
    base = column.type.split("(", 1)[0]
    if not _TYPE.fullmatch(column.type):
        raise ValueError(f"The type of the column '{column.name}' is unknown: {column.type!r:.80}.")
    return "VARCHAR" if base in DATES else column.type


def _typed(column: Any) -> str:
    """Return the SQL for the values of a source column in their type."""
    name, base = _name(column.column), column.type.split("(", 1)[0]
    if base not in DATES:
        return name
    iso = f"TRY_CAST({name} AS {base})"
    if base == "TIMESTAMP":
        # A plain TIMESTAMP would read 12:00+02:00 as 12:00 UTC, where ingest reads a column with time zones as such.
        iso = f"CAST(TRY_CAST({name} AS TIMESTAMPTZ) AS TIMESTAMP)"
    iso = f"CASE WHEN regexp_full_match({name}, '{_ISO}') THEN {iso} END"
    formats = [text for format_ in column.formats for text in patterns.date_formats(format_)]
    if not formats:
        return iso
    listed = ", ".join(f"'{text.replace(chr(39), chr(39) * 2)}'" for text in formats)
    moment = f"CAST(try_strptime(trim({name}), [{listed}]) AS TIMESTAMP)"
    # %Y also reads two digits, as a year of the first century.
    return f"CAST(coalesce(CASE WHEN year({moment}) >= 1000 THEN {moment} END, {iso}) AS {base})"


def _final(column: Any) -> str:
    """Return the SQL for a derived column as an input of the model: a number, a text, or a moment in ISO 8601."""
    name = _name(column.name)
    if column.logical in ("date", "timestamp"):
        return f"strftime(date_trunc('second', CAST({name} AS TIMESTAMP)), '%Y-%m-%dT%H:%M:%S')"
    if column.type == "STRING":
        return f"CAST({name} AS VARCHAR)"
    if column.type == "INT":
        return f"CAST({name} AS BIGINT)"
    number = f"CAST({name} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
