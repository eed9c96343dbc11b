"""Words that stand for a missing value in CSV."""

from tiffin.recipe.patterns import INFINITE, PROGRAM_WORDS, WORD, ZERO_DATE
from tiffin.stages.ingest.forms import full, quoted

_CAPITAL_CODE = r"[A-Z]{2,3}"


def is_word(text: str) -> str:
    """Return the SQL for whether a SQL text is a word for a missing number, date or boolean."""
    return full(text, WORD)


def is_zero_date(text: str) -> str:
    """Return the SQL for whether a SQL text is a date of zeros."""
    return full(text, ZERO_DATE)


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
