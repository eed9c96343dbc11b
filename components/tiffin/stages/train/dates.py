"""Read dates and times from text inside the graph, so that no client of the model converts them.

A text is read as one of the formats of its column, or in ISO 8601: a date, or a date and a time, with or without seconds, a
fraction, and `Z` or an offset from UTC. The result is the seconds since 1970, rounded down, as in the examples.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from tiffin.recipe.patterns import DAYS

# Fields of a moment, in the order in which they are put.
_FIELDS = ("year", "month", "day", "hour", "minute", "second", "half", "zone_hour", "zone_minute")
_EPOCH = "1970,1,1,0,0,0,0,0,0"
_ISO = (
    r"([+-]?[0-9]{4,6})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?: +|[Tt])([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?\s*(?:[Zz]|UTC|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
# A 0 before an absent group; the sign of the zone stands before both of its numbers.
_ISO_ORDER = r"\1,0\2,0\3,0\4,0\5,0\6,0,\70\8,\70\9"
# Follows the numbers that replace the names of months, AM and PM.
_MARK = "\x01"
_CLOCK = rf"(?:(?: |, ?)([0-9]{{1,2}}):([0-9]{{1,2}})(?::([0-9]{{1,2}})(?:\.[0-9]+)?)?(?: ?([12]){_MARK})?)?"
# Codes of strptime: the field and its regular expression.
_CODES = {
    "Y": ("year", "([1-9][0-9]{3})"),
    "y": ("short year", "([0-9]{2})"),
    "m": ("month", "([0-9]{1,2})"),
    "d": ("day", "([0-9]{1,2})"),
    "b": ("month", f"([0-9]{{1,2}}){_MARK}"),
    "B": ("month", f"([0-9]{{1,2}}){_MARK}"),
    "H": ("hour", "([0-9]{1,2})"),
    "I": ("hour", "([0-9]{1,2})"),
    "M": ("minute", "([0-9]{1,2})"),
    "S": ("second", "([0-9]{1,2})"),
    "p": ("half", f"([12]){_MARK}"),
    "f": ("", "[0-9]{1,9}"),
    "a": ("", "[A-Za-z]{3}"),
    "A": ("", "[A-Za-z]+"),
    "%": ("", "%"),
}
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_DAYS_OF_MONTH = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class _Form:
    """A format as a regular expression, and the rewrite that puts its groups in the order of `_FIELDS`."""

    pattern: str
    order: str
    names_months: bool = False
    has_halves: bool = False
    century: bool = False


def is_known(format_: str) -> bool:
    """Return whether the graph can read a format in the codes of strptime."""
    return _form(format_) is not None


class Dates:
    """The inputs of a model that are dates.

    Attributes:
        formats: Column to its formats, beside ISO 8601.
    """

    def __init__(self, formats: Mapping[str, Sequence[str]], unreadable: str = "missing") -> None:
        """Start with the columns.

        Args:
            formats: Column to its formats; those that `is_known` does not know are skipped.
            unreadable: `missing` for a missing value in place of an unreadable date, or `refuse` to fail with INVALID_ARGUMENT.
                An empty text is a missing date with both.
        """
        self.formats, self._unreadable = formats, unreadable

    def read(self, inputs: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """Return the inputs with dates as numbers, and the number of unreadable dates of each row; None without dates.

        Args:
            inputs: Inputs of the model by column, `[batch]` each.
        """
        found = dict(inputs)
        groups: dict[tuple[str, ...], list[str]] = {}
        for name, formats in self.formats.items():
            groups.setdefault(tuple(formats), []).append(name)
        counts = []
        for formats, names in groups.items():
            # One parse for all columns of a format: the time of serving depends on the number of operations.
            texts = tf.strings.strip(tf.stack([inputs[name] for name in names], axis=1))
            seconds = tf.reshape(_parse(tf.reshape(texts, [-1]), formats), tf.shape(texts))
            bad = tf.math.is_nan(seconds) & tf.not_equal(texts, "")
            if self._unreadable == "refuse":
                rule = f"{', '.join(names)} should be a date in ISO 8601{''.join(f' or {each}' for each in formats)}, or empty."
                check = tf.debugging.Assert(~tf.reduce_any(bad), [rule, "Received:", tf.boolean_mask(texts, bad)])
                with tf.control_dependencies([check]):
                    seconds = tf.identity(seconds)
            counts.append(tf.reduce_sum(tf.cast(bad, tf.int64), axis=1))
            found |= dict(zip(names, tf.unstack(seconds, len(names), axis=1), strict=True))
        return found, tf.add_n(counts) if counts else None


def _parse(texts: tf.Tensor, formats: Sequence[str]) -> tf.Tensor:
    """Return the seconds since 1970 of texts, `[rows]`; NaN where a text is no date."""
    forms = [form for form in map(_form, formats) if form]
    seconds = tf.fill(tf.shape(texts), tf.constant(float("nan"), tf.float64))
    # The first format that fits is the last that is tried.
    for form in (_Form(_ISO, _ISO_ORDER), *reversed(forms)):
        read, fits = _in_form(texts, form)
        seconds = tf.where(fits, read, seconds)
    return seconds


def _in_form(texts: tf.Tensor, form: _Form) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the seconds of texts in a form, and whether each text is in it."""
    if form.names_months:
        for number, name in enumerate(_MONTHS, start=1):
            texts = tf.strings.regex_replace(texts, rf"(?i)\b(?:{name}|{name[:3]})\b", f"{number}{_MARK}")
    if form.has_halves:
        for number, half in ((1, "am"), (2, "pm")):
            texts = tf.strings.regex_replace(texts, rf"(?i)([0-9] ?){half}\b", rf"\1{number}{_MARK}")
    fits = tf.strings.regex_full_match(texts, form.pattern)
    ordered = tf.strings.regex_replace(texts, f"^{form.pattern}$", form.order)
    parts = tf.strings.split(tf.where(fits, ordered, _EPOCH), ",").flat_values
    fields = tf.cast(tf.strings.to_number(tf.reshape(parts, [-1, len(_FIELDS)]), tf.float64), tf.int64)
    year, month, day, hour, minute, second, half, zone_hour, zone_minute = tf.unstack(fields, len(_FIELDS), axis=1)
    if form.century:
        year += tf.where(year < 69, tf.constant(2000, tf.int64), tf.constant(1900, tf.int64))
    midnight = (hour == 24) & (minute == 0) & (second == 0)
    valid = (month >= 1) & (month <= 12) & (day >= 1) & (minute <= 59) & (second <= 59) & ((hour <= 23) | midnight)
    if form.has_halves:
        valid &= (half == 0) | ((hour >= 1) & (hour <= 12))
        hour = tf.where(half > 0, hour % 12 + 12 * (half - 1), hour)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    longest = tf.gather(tf.constant(_DAYS_OF_MONTH, tf.int64), tf.clip_by_value(month - 1, 0, 11))
    valid &= day <= longest + tf.cast(leap & (month == 2), tf.int64)
    seconds = _days(year, month, day) * 86_400 + (hour - zone_hour) * 3600 + (minute - zone_minute) * 60 + second
    return tf.cast(seconds, tf.float64), fits & valid


def _days(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Return the days since 1970-01-01 in the Gregorian calendar: Hinnant, "chrono-Compatible Low-Level Date Algorithms"."""
    year -= tf.cast(month <= 2, tf.int64)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _form(format_: str) -> _Form | None:
    """Return a format of strptime as a form; None if it has a code that the graph cannot read."""
    days = DAYS.get(format_, (format_,))
    groups: list[str] = []
    pattern = ""
    # All days of a known format have the same fields in the same order.
    for part in re.findall(r"%-?.|[^%]+|%", days[0]):
        if not part.startswith("%"):
            # In a known format, the comma after the day may be absent.
            pattern += re.escape(part).replace(",", ",?" if format_ in DAYS else ",")
        elif (code := part[-1]) in _CODES and part != "%":
            field, expression = _CODES[code]
            groups += [field] if field else []
            pattern += expression
        else:
            return None
    if format_ in DAYS:
        pattern += _CLOCK
        groups += ["hour", "minute", "second", "half"]
    if len(set(groups)) < len(groups) or not ({"year", "short year"} & set(groups)):
        return None
    century = "short year" in groups
    named = {"year": "short year"} if century else {}
    order = ",".join(_place(groups, named.get(field, field), field) for field in _FIELDS)
    return _Form(pattern, order, "%b" in format_.lower(), "half" in groups, century)


def _place(groups: Sequence[str], name: str, field: str) -> str:
    """Return the rewrite of a field: its group, or its default."""
    if name not in groups:
        return "1" if field in ("month", "day") else "0"
    return rf"0\{groups.index(name) + 1}"
