"""Count the kinds of values of a text column, over all of its rows."""

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


def profile(connection: duckdb.DuckDBPyConnection, name: str, numbers: str, find_missing: bool) -> Profile:
    """Return the kinds of a column of the table `source`.

    Args:
        connection: Connection with the table.
        name: Column of type VARCHAR.
        numbers: Regular expression of numbers in local forms.
        find_missing: Whether words such as `?` are of the kind `missing`.
    """
    column = quoted_name(name)
    rows = connection.execute(
        f"SELECT kind, count(*), min(row), arg_min(x, row) FROM (SELECT {column} AS x, rowid AS row, "
        f"{kind(column, numbers, find_missing)} AS kind FROM source) GROUP BY 1 ORDER BY 2 DESC, 3"
    ).fetchall()
    return Profile(name, {row[0]: Found(*row[1:]) for row in rows})


def kind(x: str, numbers: str, find_missing: bool) -> str:
    """Return the SQL for the kind of a value."""
    word = missing.is_word(x) if find_missing else "false"
    zero_date = missing.is_zero_date(x) if find_missing else "false"
    # Words fail the test of their first character and skip the tests of numbers and dates.
    return f"""CASE WHEN {x} IS NULL THEN 'empty'
        WHEN {full(x, forms.INTEGER)} THEN 'integer'
        WHEN {full(x, forms.FRACTION)} THEN 'fraction'
        WHEN {found(x, forms.START)} THEN CASE
            WHEN {full(x, forms.LONG_INTEGER)}
                THEN CASE WHEN abs(TRY_CAST({x} AS HUGEINT)) <= {1 << 53} THEN 'integer' ELSE 'big' END
            WHEN {full(x, forms.LONG_PLUS)} THEN 'plus'
            WHEN {full(x, forms.ISO)} THEN CASE
                WHEN {zero_date} THEN 'missing'
                WHEN TRY_CAST({x} AS TIMESTAMPTZ) IS NULL THEN 'bad date'
                WHEN {full(x, forms.ISO_DATE)} THEN 'date'
                WHEN {found(x, forms.ZONED)} THEN 'zoned'
                ELSE 'moment' END
            WHEN {full(x, forms.EXPONENT)}
                THEN CASE WHEN isfinite(TRY_CAST({x} AS DOUBLE)) THEN 'exponent' ELSE 'broken' END
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
            WHEN {full(x, forms.BROKEN)} THEN 'broken'
            ELSE 'text' END
        WHEN {word} THEN 'missing'
        WHEN {full(x, forms.BOOLEAN)} THEN 'boolean'
        WHEN {full(x, forms.INFINITE)} THEN 'infinite'
        WHEN {full(x, forms.LOCAL_DATE)} THEN 'local date'
        WHEN {full(x, forms.BROKEN)} THEN 'broken'
        ELSE 'text' END"""
