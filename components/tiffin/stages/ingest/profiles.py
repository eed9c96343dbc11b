"""Count the kinds of values of a text column, over all of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from tiffin.stages.ingest import forms, missing
from tiffin.stages.ingest.forms import found, full
from tiffin.stages.ingest.sources import quoted_name

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
    """The kinds of a column's values, the most frequent first."""

    name: str
    kinds: dict[str, Found]

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
    decimal_points: bool = True,
) -> list[Profile]:
    """Return the kinds of the values of columns of the table `source`.

    Args:
        connection: Connection with the table.
        names: Columns of type VARCHAR.
        numbers: Regular expression of numbers in local forms.
        find_missing: Whether words such as `?` are of the kind `missing`.
        decimal_points: Whether a number may have a decimal point.
    """
    if not names:
        return []
    plain = _plain(connection, names, decimal_points)
    repeating = _repeating(connection, [name for name in names if name not in plain])
    found = []
    for name in names:
        if name not in plain:
            rows = connection.execute(_query(quoted_name(name), repeating[name], numbers, find_missing)).fetchall()
        found.append(plain[name] if name in plain else Profile(name, {row[0]: Found(*row[1:]) for row in rows}))
    return found


def _plain(connection: duckdb.DuckDBPyConnection, names: Sequence[str], points: bool) -> dict[str, Profile]:
    """Return the profiles of columns of plain numbers only, without places and examples.

    Args:
        connection: Connection with the table.
        names: Columns of type VARCHAR.
        points: Whether a number may have a decimal point.
    """
    counts = [
        # Not count(*) FILTER, each of which holds a copy of all columns.
        f"count({quoted_name(name)}), count(CASE WHEN {full(quoted_name(name), forms.INTEGER)} THEN 1 END), "
        f"count(CASE WHEN {full(quoted_name(name), forms.FRACTION)} THEN 1 END)"
        for name in names
    ]
    row = connection.execute(f"SELECT {', '.join(counts)} FROM source").fetchall()[0]
    found = {}
    for index, name in enumerate(names):
        present, integers, fractions = row[3 * index : 3 * index + 3]
        if integers + fractions == present and (points or not fractions):
            kinds = {"integer": Found(integers, 0, ""), "fraction": Found(fractions, 0, "")}
            found[name] = Profile(name, {kind: each for kind, each in kinds.items() if each.count})
    return found


def _repeating(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> dict[str, bool]:
    """Return whether each column repeats its values: then each value is tested once."""
    if not names:
        return {}
    # An exact count would hold a table of values for each column at once.
    counts = ", ".join(f"approx_count_distinct({quoted_name(name)})" for name in names)
    head, *distinct = connection.execute(
        f"SELECT count(*), {counts} FROM (SELECT * FROM source LIMIT {_HEAD_ROWS})"
    ).fetchall()[0]
    return {name: different * _REPEATED < head for name, different in zip(names, distinct, strict=True)}


def _query(column: str, few: bool, numbers: str, find_missing: bool) -> str:
    grouped = f"(SELECT {column} AS x, count(*) AS n, min(rowid) AS row FROM source GROUP BY 1)"
    values = grouped if few else f"(SELECT {column} AS x, 1 AS n, rowid AS row FROM source)"
    return (
        f"SELECT kind, sum(n)::BIGINT, min(row), arg_min(x, row) FROM (SELECT x, n, row, {kind('x', numbers, find_missing)} "
        f"AS kind FROM {values}) GROUP BY 1 ORDER BY 2 DESC, 3"
    )


def kind(x: str, numbers: str, find_missing: bool) -> str:
    """Return the SQL for the kind of a value."""
    word = missing.is_word(x) if find_missing else "false"
    zero_date = missing.is_zero_date(x) if find_missing else "false"
    # One expression for all forms first, as most texts have none of them.
    words = [forms.BOOLEAN, forms.INFINITE, forms.LOCAL_DATE, forms.BROKEN, *([missing.WORD] if find_missing else [])]
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
            WHEN {full(x, forms.INFINITE)} THEN 'infinite'
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
        WHEN {full(x, forms.INFINITE)} THEN 'infinite'
        WHEN {full(x, numbers)} THEN 'local'
        WHEN {full(x, forms.LOCAL_DATE)} THEN 'local date'
        WHEN {full(x, forms.SHORT_DATE)} THEN 'short date'
        WHEN {full(x, forms.CUT_DATE)} THEN 'cut date'
        ELSE 'broken' END"""
