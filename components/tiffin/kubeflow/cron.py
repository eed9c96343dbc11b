"""Cron expressions: converts the five fields of crontab to the six of a KFP backend."""

import re

from tiffin.errors import InputError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# name, minimum, maximum, names of the values from the minimum on
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("second", 0, 59, []),
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EXAMPLE = "such as '0 3 * * mon-fri' (03:00 on weekdays) or @daily"


def read_cron(line: str) -> str:
    """Return a cron expression in the backend's format, which starts with a field for seconds.

    The backend also accepts five fields, but reads the first one as seconds: `0 3 * * *` would run every hour.

    Args:
        line: Five fields as in crontab, six fields that start with seconds, or a name such as `@daily`.

    Raises:
        InputError: The expression has another format, or a field is out of range.
    """
    text = " ".join(line.split())
    if text.startswith("@"):
        if text not in _NAMED:
            raise InputError(f"A cron expression with @ should be one of: {', '.join(_NAMED)}. Received: '{line}'.")
        return text
    parts = text.split(" ") if text else []
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != 6:
        raise InputError(
            f"A cron expression should have five fields, {_EXAMPLE}. Received: '{line}' ({len(parts)} fields)."
        )
    for part, (name, least, most, words) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            if not _holds(item.lower(), least, most, words):
                raise InputError(
                    f"The {name} of a cron expression should be * or {least} to {most}; - makes a range, / a step, and , "
                    f"a list, {_EXAMPLE}. Received: '{part}' in '{line}'."
                )
    return " ".join(parts)


def _holds(item: str, least: int, most: int, words: list[str]) -> bool:
    match = re.fullmatch(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\d+))?", item)
    if not match:
        return False
    first, last, step = match.groups()
    if step is not None and int(step) == 0:
        return False
    if first in "*?":
        return last is None
    ends = [_number(word, least, words) for word in (first, last) if word is not None]
    return all(end is not None and least <= end <= most for end in ends) and ends == sorted(
        ends, key=lambda end: end or 0
    )


def _number(word: str, least: int, words: list[str]) -> int | None:
    if word in words:
        return words.index(word) + least
    return int(word) if word.isdecimal() else None
