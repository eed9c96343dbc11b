"""Forms of numbers and dates as people type them: regular expressions and the SQL that reads them.

A number is digits with at most a sign, one decimal point and an exponent. Hexadecimal digits, `_` and digits of other scripts
are text, whatever a database would make of them.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tiffin.recipe.patterns import DAYS, MARKS, NEGATIVE, TIMES, number_pattern
from tiffin.recipe.sql import escaped

# Plain forms. Ten digits after `+` are a telephone number.
INTEGER = r"\s*(?:-?(?:0|[1-9][0-9]{0,14})|\+(?:0|[1-9][0-9]{0,6}))\s*"
LONG_INTEGER = r"\s*-?[1-9][0-9]{15,}\s*"
LONG_PLUS = r"\s*\+[1-9][0-9]{7,}\s*"
FRACTION = r"\s*[+-]?(?:0|[1-9][0-9]*)?\.[0-9]+\s*"
# 1.5e-3 is a number. 12E4 may be a code; 1e-05 is how programs write a small fraction.
EXPONENT = r"\s*[+-]?[0-9]*\.[0-9]+[eE][+-]?[0-9]+\s*"
SIGNED_EXPONENT = r"\s*[+-]?(?:0|[1-9][0-9]*)[eE][+-][0-9]+\s*"
CODE_EXPONENT = r"\s*[+-]?[0-9]+[eE][0-9]+\s*"
PADDED = r"\s*[+-]?0[0-9]+(?:\.[0-9]*)?\s*"
TRAILING_POINT = r"\s*[+-]?(?:0|[1-9][0-9]*)\.\s*"
BOOLEAN = r"(?i)\s*(?:true|false)\s*"
# Start of a number or date in digits.
START = r"^[\s\x{A0}]*[0-9+\x{2212}.,($€£¥₹₩₽₺-]|^US\$"
ANY_INTEGER = r"\s*[+-]?[0-9]+\s*"

_TIME = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?|[A-Z]{2,4}|[A-Za-z_]+(?:/[A-Za-z_]+)+)"
ISO_DATE = r"\s*[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}\s*"
ISO = rf"\s*[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}(?:(?: +|T){_TIME}\s*{_ZONE}?)?\s*"
# A plain TIMESTAMP would read 12:00+02:00 as 12:00 UTC.
ZONED = r":[0-9]{2}(?:\.[0-9]+)?\s*(?:[+-][0-9]|[A-Za-z]{2}|Z)"
_CLOCK = rf"(?:(?: |, ?){_TIME}(?: ?[AaPp][Mm])?)?"
LOCAL_DATE = (
    rf"\s*(?:[0-9]{{1,2}}/[0-9]{{1,2}}/[0-9]{{4}}|[0-9]{{1,2}}\.[0-9]{{1,2}}\.[0-9]{{4}}|[0-9]{{1,2}}-[0-9]{{1,2}}-[0-9]{{4}}"
    rf"|[0-9]{{4}}/[0-9]{{1,2}}/[0-9]{{1,2}}|[0-9]{{4}}\.[0-9]{{1,2}}\.[0-9]{{1,2}}"
    rf"|[0-9]{{1,2}}[- ][A-Za-z]{{3,9}}[- ][0-9]{{4}}|[A-Za-z]{{3,9}} [0-9]{{1,2}},? [0-9]{{4}}){_CLOCK}\s*"
)
SHORT_DATE = rf"\s*[0-9]{{1,2}}/[0-9]{{1,2}}/[0-9]{{2}}{_CLOCK}\s*"
CUT_DATE = r"\s*[0-9]{4}-(?:[0-9]{1,2}-?)?\s*|\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{0,2}:?[0-9]{0,2}:?\s*"
# Values that a program or a copy broke: spreadsheet errors, number characters that are no number, control characters.
BROKEN = (
    r"(?s)\s*(?:#(?:REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!)|#{3,}|Err:5[0-9]{2}|[+-]*[0-9.,]+(?:[eE][+-]?)?|[+-]+"
    r"|[+-]?[0-9.]+[eE][+-]?)\s*|.*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{FFFD}].*"
)


@dataclass(frozen=True)
class NumberForm:
    """How the numbers of a column are written, beside plain digits.

    Attributes:
        decimal: Decimal mark.
        thousands: Mark between groups of three digits; empty for none.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """Regular expression of a whole value: sign, currency mark, digits, percent sign; `(5)` is -5."""
        return number_pattern(self.decimal, self.thousands)

    def value(self, text: str, type_: str) -> str:
        """Return the SQL for the number in a SQL text that matches the pattern."""
        digits = f"regexp_replace({text}, '[^0-9{re.escape(self.decimal)}]', '', 'g')"
        if self.decimal != ".":
            digits = f"replace({digits}, '{self.decimal}', '.')"
        return f"TRY_CAST(CASE WHEN {found(text, NEGATIVE)} THEN '-' ELSE '' END || {digits} AS {type_})"


# Digits with at most a decimal point.
PLAIN = NumberForm()


def number_forms(decimal: str, thousands: str) -> list[NumberForm]:
    """Return the forms to try, the most usual first, given the user's marks; an empty mark is detected."""
    if thousands:
        chosen = decimal or ("," if thousands == "." else ".")
        return [NumberForm(chosen, thousands)]
    return [NumberForm(*marks) for marks in MARKS if decimal in ("", marks[0])]


@dataclass(frozen=True)
class DateForm:
    """How the dates of a column are written.

    Attributes:
        name: Format of the day, in strptime codes.
        formats: Formats of whole values, in strptime codes.
    """

    name: str
    formats: tuple[str, ...]

    @property
    def has_time(self) -> bool:
        """Whether a value may have a time of day."""
        return any(code in text for text in self.formats for code in ("%H", "%I", "%M", "%-H", "%-I", "%c", "%X", "%T"))

    def value(self, text: str) -> str:
        """Return the SQL for the moment in a SQL text; NULL for another form."""
        moment = f"CAST(try_strptime(trim({text}), [{', '.join(map(quoted, self.formats))}]) AS TIMESTAMP)"
        # %Y also reads two digits, as a year of the first century.
        return f"CASE WHEN year({moment}) >= 1000 THEN {moment} END"


def date_shape(text: str) -> str:
    """Return the SQL for the shape of a SQL text: `0` for digits, `a` for letters, and the signs between."""
    digits = f"regexp_replace(trim({text}), '[0-9]+', '0', 'g')"
    return f"regexp_replace({digits}, '[A-Za-z]+', 'a', 'g')"


def date_forms(shapes: Collection[str]) -> list[DateForm]:
    """Return the forms of dates that have one of these shapes."""
    possible = []
    for name, days in DAYS.items():
        formats = tuple(day + time for time in TIMES for day in days if _shape(day + time) in shapes)
        if formats:
            possible.append(DateForm(name, formats))
    return possible


def _shape(format_: str) -> str:
    return re.sub(r"%[A-Za-z]", lambda code: "a" if code[0] in ("%b", "%B", "%p") else "0", format_)


def quoted(text: str) -> str:
    """Return a text as a SQL string."""
    return f"'{escaped(text)}'"


def either(patterns: Iterable[str]) -> str:
    """Return the regular expression of a text that matches one of these."""
    return "|".join(f"(?:{pattern})" for pattern in patterns)


def full(text: str, pattern: str) -> str:
    """Return the SQL for whether a SQL text matches a regular expression as a whole."""
    return f"regexp_full_match({text}, {quoted(pattern)})"


def found(text: str, pattern: str) -> str:
    """Return the SQL for whether a regular expression is found in a SQL text."""
    return f"regexp_matches({text}, {quoted(pattern)})"
