"""Regular expressions of values in text, for Python's `re` with `re.ASCII` and for DuckDB's RE2.

This module, `values`, `derived` and `rows` import nothing else of Tiffin: a model in MLflow has a copy of them.
"""

import re

# White space is written out: `\\s` has the vertical tab in Python, and not in RE2.
_SPACE = "[ \\t\\n\\f\\r\u00a0]*"
_BLANK = "[ \u00a0\u202f]"
_MINUS = "[+\u2212-]"
_MARKS = {" ": _BLANK, "'": "['\u2019]"}
# Decimal and thousands marks, the most usual first.
MARKS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
CURRENCY = "(?:US\\$|[$€£¥₹₩₽₺])"
NEGATIVE = "[(\u2212-]"

INFINITE = r"(?i)[ \t\n\f\r]*[+-]?inf(?:inity)?[ \t\n\f\r]*"
# What a user's `types` accepts beside the forms that are found without it.
ANY_NUMBER = r"[ \t\n\f\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\f\r]*"
TRUE = r"(?i)[ \t\n\f\r]*(?:true|yes|t|y|1)[ \t\n\f\r]*"
ANY_BOOLEAN = r"(?i)[ \t\n\f\r]*(?:true|false|yes|no|t|f|y|n|1|0)[ \t\n\f\r]*"

# Missing in every column, text too: words that programs write. "None" or "-" may be a real value of a text column.
PROGRAM_WORDS = ("NA", "N/A", "#N/A", "<NA>", "NULL", "null", "NaN", "nan", r"\N")
# Missing in columns of numbers, dates and booleans, in any case.
_WORDS = (
    r"|\?+|-+|\.+|" + "[\u2013\u2014]" + r"|\*+|none|n/?a|n\.a\.?|#n/?a|<na>|<null>|<none>"
    r"|null|-?nan|nat|nil|missing|unknown|unk|undefined|void|tbd|tba"
    r"|not available|not applicable|not recorded|no data|nodata|empty|blank|\\n|#n/a n/a|-?1\.#(?:ind|qnan)"
    r"|\((?:null|none|na|n/a|missing|unknown|blank|empty)\)|\[(?:null|none|na|missing|unknown)\]"
)
WORD = f"(?i){_SPACE}(?:{_WORDS}){_SPACE}"
# How MySQL writes a missing date.
ZERO_DATE = r"[ \t\n\f\r]*0000-00-00(?:[ T]00:00:00)?[ \t\n\f\r]*"

# Formats of a day, in codes of strptime, by the form they are told apart with, and the times of day that may follow.
DAYS = {
    "%d.%m.%Y": ("%d.%m.%Y",),
    "%d/%m/%Y": ("%d/%m/%Y",),
    "%m/%d/%Y": ("%m/%d/%Y",),
    "%d-%m-%Y": ("%d-%m-%Y",),
    "%m-%d-%Y": ("%m-%d-%Y",),
    "%Y/%m/%d": ("%Y/%m/%d",),
    "%Y.%m.%d": ("%Y.%m.%d",),
    "%d-%b-%Y": ("%d-%b-%Y", "%d-%B-%Y"),
    "%d %b %Y": ("%d %b %Y", "%d %B %Y"),
    "%b %d, %Y": ("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
}
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p")
TIMES = ("", *(gap + clock for gap in (" ", ", ", ",") for clock in _CLOCKS))


def number_pattern(decimal: str, thousands: str) -> str:
    """Return the regular expression of a number: sign, currency mark, digits, percent sign; `(5)` is -5.

    Args:
        decimal: Decimal mark.
        thousands: Mark between groups of three digits; empty for none.
    """
    whole = "(?:0|[1-9][0-9]*"
    if thousands:
        mark = _MARKS.get(thousands, re.escape(thousands))
        whole += f"|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+"
    point = re.escape(decimal)
    core = f"(?:{whole})(?:{point}[0-9]+)?|{point}[0-9]+)"
    sign = f"(?:{_MINUS}{_BLANK}?(?:{CURRENCY}{_BLANK}?)?|{CURRENCY}{_BLANK}?{_MINUS}?)?"
    after = f"(?:{_BLANK}?(?:{CURRENCY}|%))?"
    return f"{_SPACE}(?:{sign}{core}{after}|{CURRENCY}?\\({CURRENCY}?{core}{after}\\)){_SPACE}"


def date_formats(format_: str) -> tuple[str, ...]:
    """Return the formats of whole values for a format of `SourceColumn.formats`: a known day may have a time of day."""
    return tuple(day + time for time in TIMES for day in DAYS[format_]) if format_ in DAYS else (format_,)
