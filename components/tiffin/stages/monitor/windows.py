"""The time window that is monitored: full hours of UTC up to now, or the hours since the last run."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tiffin.errors import InputError
from tiffin.serving.prediction_log import start_of_hour

SINCE_LAST = "last"
_LENGTH = re.compile(r"(\d{1,5})\s*([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_MOST = 24 * 366
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Window:
    """A time window of full hours.

    Attributes:
        start: Start, in UTC.
        end: End, not included.
    """

    start: datetime
    end: datetime

    @property
    def hours(self) -> int:
        """Number of hours."""
        return (self.end - self.start) // HOUR

    @property
    def before(self) -> "Window":
        """The window of the same length before this one."""
        return Window(self.start - (self.end - self.start), self.start)

    def each_hour(self) -> list[datetime]:
        """Return the start of each hour."""
        return [self.start + HOUR * number for number in range(self.hours)]


def check_window(window: object) -> None:
    """Raise an InputError unless the window is `last`, or a number of hours, days or weeks, such as `24h`."""
    if window != SINCE_LAST:
        _length(window)


def check_performance_window(window: object) -> None:
    """Raise an InputError unless the window is empty, or a number of hours, days or weeks, such as `7d`."""
    if window:
        _length(window)


def find_window(window: str, now: datetime, last: datetime | None) -> Window:
    """Return the hours of a window that ends now; the hour that has begun is in it.

    Args:
        window: `24h`, `7d` or `2w`; `last` for the hours from the one in which the last run ended.
        now: Time of the end.
        last: End of the last run; None without one, for which `last` is a day.

    Raises:
        InputError: The window is neither.
    """
    end = start_of_hour(now) + HOUR
    if window == SINCE_LAST:
        start = start_of_hour(last) if last else end - 24 * HOUR
        return Window(min(start, end - HOUR), end)
    return Window(end - _length(window) * HOUR, end)


def _length(window: object) -> int:
    found = _LENGTH.fullmatch(window.strip()) if isinstance(window, str) else None
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 1 <= hours <= _MOST:
        raise InputError(
            f"window should be a number of hours, days or weeks up to a year, such as 24h, 7d or 2w, or '{SINCE_LAST}' for the "
            f"time since the last run. Received: window={window!r}."
        )
    return hours


def in_utc(moment: datetime) -> str:
    """Return a time in ISO 8601, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
