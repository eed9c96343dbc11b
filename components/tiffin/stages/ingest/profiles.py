"""Count the kinds of values of a text column, over all of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tiffin.recipe import patterns
from tiffin.recipe.sql import escaped, quoted_name
from tiffin.stages.ingest import forms, missing
from tiffin.stages.ingest.forms import found, full, quoted
from tiffin.stages.ingest.sources import ROW, copied_relation

NUMBERS = (
    "integer",
    "big",
    "plus",
    "fraction",
    "exponent",
    "signed exponent",
    "code exponent",
    "padded",
    "point",
    "infinite",
    "local",
)
DATES = ("date", "moment", "zoned")

# Kinds whose columns need no second look.
_DONE = {"empty", "integer", "fraction", "text"}
# Columns that one query reads, and up to how many columns it reads each by itself.
_COLUMNS = 256
_FEW_COLUMNS = 64
# Rows that show whether a column repeats its values, and how often each is repeated at least.
_HEAD_ROWS = 10_000
_REPEATED = 5


@dataclass(frozen=True)
class Found:
    """The values of one kind: their number, and the row and text of the first."""

    count: int
    row: int
    example: str


@dataclass(frozen=True)
class Profile:
    """The kinds of a column's values, the most frequent first, and the SQL of a relation to read the column from."""

    name: str
    kinds: dict[str, Found]
    relation: str = "source"

    def count(self, *kinds: str) -> int:
        """Return the number of values of these kinds."""
        return sum(self.kinds[kind].count for kind in kinds if kind in self.kinds)

    def first(self, *kinds: str) -> Found:
        """Return the number of values of these kinds, at least one, with the first in the order of rows."""
        first = min((self.kinds[kind] for kind in kinds if kind in self.kinds), key=lambda each: each.row)
        return Found(self.count(*kinds), first.row, first.example)

    @property
    def words(self) -> int:
        """The number of values that are neither empty nor a word for a missing value."""
        return sum(each.count for kind, each in self.kinds.items() if kind not in ("empty", "missing"))


def profiles(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    numbers: str,
    find_missing: bool,
    scratch: Path,
    *,
    every: bool = False,
) -> list[Profile]:
    """Return the kinds of the values of columns of the view `source`.

    Args:
        connection: Connection with the view.
        names: Columns of type VARCHAR.
        numbers: Regular expression of numbers in local forms.
        find_missing: Whether words such as `?` are of the kind `missing`.
        scratch: Folder for copies of a few columns of wide data.
        every: Whether every column will be read again, not only those of several kinds.
    """
    found: list[Profile] = []
    wide = len(names) > _FEW_COLUMNS
    for start in range(0, len(names), _COLUMNS):
        chunk = names[start : start + _COLUMNS]
        repeating = _repeating(connection, chunk)
        values = (_long if wide else _by_column)(repeating)
        rows = connection.execute(
            f"SELECT name, kind, sum(n)::BIGINT, min(row), arg_min(x, row) FROM (SELECT name, x, n, row, "
            f"{kind('x', numbers, find_missing)} AS kind FROM ({values})) GROUP BY 1, 2 ORDER BY 3 DESC, 4, 2"
        ).fetchall()
        kinds: dict[str, dict[str, Found]] = {name: {} for name in chunk}
        for name, kind_, *rest in rows:
            kinds[name][kind_] = Found(*rest)
        relation = "source"
        again = [name for name in chunk if every or not kinds[name].keys() <= _DONE]
        if wide and again:
            # A query reads the description of all columns of its file.
            path = scratch / f"columns-{start}.parquet"
            columns = ", ".join(map(quoted_name, again))
            connection.execute(f"COPY (SELECT {ROW}, {columns} FROM source) TO '{escaped(path)}' (FORMAT parquet)")
            relation = copied_relation([path])
        found += [Profile(name, kinds[name], relation) for name in chunk]
    return found


def _repeating(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, bool]:
    """Return whether each column repeats its values: then each value is tested once."""
    # An exact count would hold a table of values for each column at once.
    counts = ", ".join(f"approx_count_distinct({quoted_name(name)})" for name in names)
    listed = ", ".join(map(quoted_name, names))
    head, *distinct = connection.execute(
        f"SELECT count(*), {counts} FROM (SELECT {listed} FROM source LIMIT {_HEAD_ROWS})"
    ).fetchall()[0]
    return {name: different * _REPEATED < head for name, different in zip(names, distinct, strict=True)}


def _by_column(repeating: Mapping[str, bool]) -> str:
    """Return the SQL for the name `name` of a column, a value `x`, how often it occurs, `n`, and its first row, `row`."""
    # A column is read by itself, so that a value that Parquet has once is grouped once.
    return " UNION ALL ".join(
        f"SELECT {quoted(name)} AS name, {quoted_name(name)} AS x, "
        + (f"count(*) AS n, min({ROW}) AS row FROM source GROUP BY 2" if again else f"1 AS n, {ROW} AS row FROM source")
        for name, again in repeating.items()
    )


def _long(repeating: Mapping[str, bool]) -> str:
    """Return the same as `_by_column` from one pass over all columns."""
    parts = []
    for again in (True, False):
        if names := [quoted_name(name) for name in repeating if repeating[name] is again]:
            listed = ", ".join(names)
            pairs = f"(SELECT {ROW}, {listed} FROM source) UNPIVOT INCLUDE NULLS (x FOR name IN ({listed}))"
            values = (
                f"count(*) AS n, min({ROW}) AS row FROM {pairs} GROUP BY 1, 2"
                if again
                else f"1 AS n, {ROW} AS row FROM {pairs}"
            )
            parts.append(f"SELECT name, x, {values}")
    return " UNION ALL ".join(parts)


def kind(x: str, numbers: str, find_missing: bool) -> str:
    """Return the SQL for the kind of a value."""
    word = missing.is_word(x) if find_missing else "false"
    zero_date = missing.is_zero_date(x) if find_missing else "false"
    # One expression for all forms first, as most texts have none of them.
    words = [
        forms.BOOLEAN,
        patterns.INFINITE,
        forms.LOCAL_DATE,
        forms.BROKEN,
        *([patterns.WORD] if find_missing else []),
    ]
    digits = [
        forms.LONG_INTEGER, forms.LONG_PLUS, forms.EXPONENT, forms.SIGNED_EXPONENT, forms.CODE_EXPONENT, forms.PADDED,
        forms.TRAILING_POINT, numbers, forms.SHORT_DATE, forms.CUT_DATE, *words,
    ]  # fmt: skip
    return f"""CASE WHEN {x} IS NULL THEN 'empty'
        WHEN {full(x, forms.INTEGER)} THEN 'integer'
        WHEN {full(x, forms.FRACTION)} THEN 'fraction'
        WHEN NOT {found(x, forms.START)} THEN CASE
            WHEN NOT {full(x, forms.either(words))} THEN 'text'
            WHEN {word} THEN 'missing'
            WHEN {full(x, forms.BOOLEAN)} THEN 'boolean'
            WHEN {full(x, patterns.INFINITE)} THEN 'infinite'
            WHEN {full(x, forms.LOCAL_DATE)} THEN 'local date'
            ELSE 'broken' END
        WHEN {full(x, forms.ISO)} THEN CASE
            WHEN {zero_date} THEN 'missing'
            WHEN {full(x, forms.ISO_DATE)} THEN if(TRY_CAST({x} AS DATE) IS NULL, 'bad date', 'date')
            WHEN {found(x, forms.ZONED)} THEN if(TRY_CAST({x} AS TIMESTAMPTZ) IS NULL, 'bad date', 'zoned')
            ELSE if(TRY_CAST({x} AS TIMESTAMP) IS NULL, 'bad date', 'moment') END
        WHEN NOT {full(x, forms.either(digits))} THEN 'text'
        WHEN {full(x, forms.LONG_INTEGER)}
            THEN if(abs(TRY_CAST({x} AS HUGEINT)) <= {1 << 53}, 'integer', 'big')
        WHEN {full(x, forms.LONG_PLUS)} THEN 'plus'
        WHEN {full(x, forms.EXPONENT)} THEN if(isfinite(TRY_CAST({x} AS DOUBLE)), 'exponent', 'broken')
        WHEN {full(x, forms.SIGNED_EXPONENT)} THEN 'signed exponent'
        WHEN {full(x, forms.CODE_EXPONENT)} THEN 'code exponent'
        WHEN {full(x, forms.PADDED)} THEN 'padded'
        WHEN {full(x, forms.TRAILING_POINT)} THEN 'point'
        WHEN {word} THEN 'missing'
        WHEN {full(x, patterns.INFINITE)} THEN 'infinite'
        WHEN {full(x, numbers)} THEN 'local'
        WHEN {full(x, forms.LOCAL_DATE)} THEN 'local date'
        WHEN {full(x, forms.SHORT_DATE)} THEN 'short date'
        WHEN {full(x, forms.CUT_DATE)} THEN 'cut date'
        ELSE 'broken' END"""
