"""Cron expressions: converts the five fields of crontab to the six of a KFP backend, and finds the next time."""

import datetime
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
_EXPANDED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
# 29 February is at most eight years away: 2096 to 2104.
_DAYS_AHEAD = 8 * 366
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
        if text not in _EXPANDED:
            raise InputError(f"A cron expression with @ should be one of: {', '.join(_EXPANDED)}. Received: '{line}'.")
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


def next_time(cron: str, after: datetime.datetime) -> datetime.datetime | None:
    """Return the first time after `after` that matches an expression, by the rules of the backend; None if none does.

    If both days are restricted, one of them has to match, as in crontab.

    Args:
        cron: Expression in the backend's format, in the time zone of `after`.
        after: Time with a time zone.

    Raises:
        InputError: The expression has a format that `read_cron` does not accept.
    """
    parts = _EXPANDED.get(read_cron(cron), read_cron(cron)).split()
    seconds, minutes, hours, days, months, weekdays = (
        _values(part, *field[1:]) for part, field in zip(parts, _FIELDS, strict=True)
    )
    either = not any(item[0] in "*?" for part in (parts[3], parts[5]) for item in part.split(","))
    start = after.replace(microsecond=0) + datetime.timedelta(seconds=1)
    for ahead in range(_DAYS_AHEAD):
        day = start.date() + datetime.timedelta(days=ahead)
        matches = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month not in months or not (any(matches) if either else all(matches)):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                for second in sorted(seconds):
                    found = datetime.datetime.combine(day, datetime.time(hour, minute, second), after.tzinfo)
                    if found >= start:
                        return found
    return None


def _values(part: str, least: int, most: int, words: list[str]) -> set[int]:
    """Return the values that a valid field of an expression selects."""
    values: set[int] = set()
    for item in part.lower().split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if first in ("*", "?"):
            low, high = least, most
        else:
            low = _number(first, least, words) or 0
            # `5/15` means from 5 on, every 15.
            high = (_number(last, least, words) or 0) if last else most if step else low
        values.update(range(low, high + 1, int(step or 1)))
    return values


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
