"""Words that stand for a missing value in CSV."""

from tiffin.stages.ingest.forms import INFINITE, full, quoted

# Missing in every column, text too: words that programs write. "None" or "-" may be a real value of a text column.
PROGRAM_WORDS = ("NA", "N/A", "#N/A", "<NA>", "NULL", "null", "NaN", "nan", r"\N")
# Missing in columns of numbers, dates and booleans, in any case.
_WORDS = (
    r"|\?+|-+|\.+|[\x{2013}\x{2014}]|\*+|none|n/?a|n\.a\.?|#n/?a|<na>|<null>|<none>|null|-?nan|nat|nil|missing|unknown|unk|undefined|void|tbd|tba"
    r"|not available|not applicable|not recorded|no data|nodata|empty|blank|\\n|#n/a n/a|-?1\.#(?:ind|qnan)"
    r"|\((?:null|none|na|n/a|missing|unknown|blank|empty)\)|\[(?:null|none|na|missing|unknown)\]"
)
WORD = rf"(?i)[\s\x{{A0}}]*(?:{_WORDS})[\s\x{{A0}}]*"
# How MySQL writes a missing date.
_ZERO_DATE = r"\s*0000-00-00(?:[ T]00:00:00)?\s*"
_CAPITAL_CODE = r"[A-Z]{2,3}"


def is_word(text: str) -> str:
    """Return the SQL for whether a SQL text is a word for a missing number, date or boolean."""
    return full(text, WORD)


def is_zero_date(text: str) -> str:
    """Return the SQL for whether a SQL text is a date of zeros."""
    return full(text, _ZERO_DATE)


def is_infinite(text: str) -> str:
    """Return the SQL for whether a SQL text is an infinite number, which the examples do not hold."""
    return full(text, INFINITE)


def is_program_word(text: str, kept: bool) -> str:
    """Return the SQL for whether a SQL text is a missing value of a text column.

    Args:
        text: SQL text.
        kept: Whether `NA` is a value of this column.
    """
    words = [word for word in PROGRAM_WORDS if not (kept and word == "NA")]
    return f"{text} IN ({', '.join(quoted(word) for word in words)})"


def is_capital_code(text: str) -> str:
    """Return the SQL for whether a SQL text is a code of two or three capitals, such as a country's."""
    return full(text, _CAPITAL_CODE)
