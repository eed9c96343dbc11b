"""Read one value of a source column, as text or typed, as ingest reads the column."""

import datetime
import decimal
import math
import re
from collections.abc import Callable, Collection
from typing import Any, Protocol

from . import patterns

# What a column gives to a model: a number, a text, or None for a missing value.
Value = float | int | str | None
Read = Callable[[Any], Value]

INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER", "USMALLINT", "UTINYINT", "UBIGINT")
FRACTIONS = ("DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UHUGEINT")
DATES = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE")

# Numbers beyond have no float of their own.
_EXACT = 1 << 53


class Column(Protocol):
    """A source column; see `tiffin.artifacts.recipe.SourceColumn`."""

    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def decimal(self) -> str: ...  # noqa: D102
    @property
    def thousands(self) -> str: ...  # noqa: D102
    @property
    def formats(self) -> Collection[str]: ...  # noqa: D102
    @property
    def missing(self) -> Collection[str]: ...  # noqa: D102


class Unreadable(ValueError):
    """A value does not fit its column.

    Attributes:
        rule: What the value should be.
        value: The value.
    """

    def __init__(self, rule: str, value: object) -> None:
        super().__init__(f"should be {rule}. Received: {value!r:.80}")
        self.rule, self.value = rule, value


def reader(column: Column, missing_values: Collection[str] = ()) -> Read:
    """Return the function that reads a value of a column.

    Values of pandas, numpy, JSON, Parquet and CSV are taken: numbers, booleans, texts, bytes, dates and times. None, NaN, NaT
    and NA are missing.

    Args:
        column: The column.
        missing_values: Texts that are missing values in every column, in place of the usual words; empty for these.
    """
    base = column.type.split("(", 1)[0]
    words = frozenset(missing_values)
    if base in (*INTEGERS, *FRACTIONS):
        return _numbers(column, words, base in INTEGERS)
    if base == "BOOLEAN":
        return _booleans(words)
    return _dates(column, words) if base in DATES else _texts(words | {"", *column.missing})


def is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN, or the NaT or NA of pandas or numpy."""
    # The comparison of NA with itself is NA, which is neither true nor false.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value  # noqa: PLR0124 - NaN


def compiled(pattern: str) -> Callable[[str], object]:
    """Return the function that matches a whole text with a pattern of `patterns`."""
    return re.compile(pattern, re.ASCII).fullmatch


_IS_WORD, _IS_ZERO_DATE, _IS_INFINITE = map(compiled, (patterns.WORD, patterns.ZERO_DATE, patterns.INFINITE))
_IS_NUMBER, _IS_BOOLEAN, _IS_TRUE = map(compiled, (patterns.ANY_NUMBER, patterns.ANY_BOOLEAN, patterns.TRUE))


def _is_word(text: str, words: Collection[str]) -> bool:
    """Return whether a text of a column of numbers, dates or booleans is a missing value."""
    return not text or (text in words if words else bool(_IS_WORD(text) or _IS_ZERO_DATE(text)))


def _numbers(column: Column, words: Collection[str], whole: bool) -> Read:
    point, thousands = column.decimal, column.thousands
    in_form = compiled(patterns.number_pattern(point, thousands))
    others = re.compile(f"[^0-9{re.escape(point)}]")
    negative = re.compile(patterns.NEGATIVE)
    rule = f"a number{'' if point == '.' and not thousands else f', with decimal mark {point!r}'}"

    def parse(text: str) -> float | int | None:
        if _is_word(text, words) or _IS_INFINITE(text):
            return None
        if in_form(text):
            digits = others.sub("", text).replace(point, ".")
            digits = f"-{digits}" if negative.search(text) else digits
        elif point == "." and _IS_NUMBER(text):
            digits = text
        else:
            raise Unreadable(rule, text)
        try:
            return int(digits)
        except ValueError:
            return float(digits)

    def read(value: Any) -> float | int | None:
        if isinstance(value, bytes):
            value = _decoded(value, rule)
        if is_missing(value):
            return None
        if isinstance(value, str):
            found = parse(value)
        elif isinstance(value, decimal.Decimal):
            found = float(value)
        elif hasattr(value, "__float__") and not isinstance(value, str):
            found = value.item() if hasattr(value, "item") else value
        else:
            raise Unreadable(rule, value)
        if isinstance(found, float):
            # Beyond the range of float64 a text is no number; an infinite number is missing, as in the examples.
            if not math.isfinite(found):
                if isinstance(value, str):
                    raise Unreadable("in the range of float64", value)
                return None
            if whole and found.is_integer() and abs(found) <= _EXACT:
                return int(found)
        return int(found) if isinstance(found, bool) else found

    return read


def _booleans(words: Collection[str]) -> Read:
    rule = "true or false"

    def read(value: Any) -> int | None:
        if isinstance(value, bytes):
            value = _decoded(value, rule)
        if is_missing(value) or (isinstance(value, str) and _is_word(value, words)):
            return None
        if isinstance(value, str) and _IS_BOOLEAN(value):
            return int(bool(_IS_TRUE(value)))
        if not isinstance(value, str) and value in (0, 1):
            return int(value)
        raise Unreadable(rule, value)

    return read


def _dates(column: Column, words: Collection[str]) -> Read:
    # The model reads the text, so a date in another format is one that it cannot read.
    rule = f"a date or time as text, in ISO 8601{''.join(f' or {name}' for name in column.formats)}"

    def read(value: Any) -> str | None:
        if isinstance(value, bytes):
            value = _decoded(value, rule)
        if is_missing(value):
            return None
        if isinstance(value, str):
            text = value.strip()
            return None if _is_word(value, words) else text
        if isinstance(value, datetime.datetime):
            zoned = value.tzinfo is not None
            return (value.astimezone(datetime.UTC).replace(tzinfo=None) if zoned else value).isoformat()
        if isinstance(value, datetime.date):
            return value.isoformat()
        if type(value).__name__ == "datetime64":
            return str(value.astype("datetime64[us]").item().isoformat())
        raise Unreadable(rule, value)

    return read


def _texts(missing: Collection[str]) -> Read:
    def read(value: Any) -> str | None:
        if isinstance(value, bytes):
            value = _decoded(value, "text in UTF-8")
        if isinstance(value, str):
            return None if value in missing else value
        if is_missing(value):
            return None
        if isinstance(value, dict | list | tuple):
            raise Unreadable("text", value)
        if type(value).__name__ in ("bool", "bool_"):  # of Python, NumPy 2 and NumPy 1
            return "true" if value else "false"
        return str(value)

    return read


def _decoded(value: bytes, rule: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unreadable(rule, value) from None
