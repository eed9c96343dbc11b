"""Rules of the monitor stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from collections.abc import Mapping
from typing import Any

from tiffin.errors import InputError, did_you_mean

LABEL_COLUMNS = ("request_id", "key", "row", "time", "label")
CORRECTIONS = ("last", "first", "refuse")
_MOST_HOURS, _DAY = 87_600, 86_400


def check_error_share(share: Any) -> None:
    """Raise an InputError unless the share of failed requests is from 0 to 1."""
    if not _is_number(share) or not 0 <= share <= 1:
        raise InputError(f"max_error_share should be from 0 to 1. Received: max_error_share={share!r}.")


def check_p99_seconds(seconds: Any) -> None:
    """Raise an InputError unless the latency is from 0."""
    if not _is_number(seconds) or not 0 <= seconds < float("inf"):
        raise InputError(f"max_p99_seconds should be seconds from 0, for any. Received: max_p99_seconds={seconds!r}.")


def check_label_columns(columns: Any) -> None:
    """Raise an InputError unless the names of the columns of labels are a mapping of known columns to names."""
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) and name for name in columns.values()):
        raise InputError(f"label_columns should be names, such as {{'label': 'late'}}. Received: {columns!r}.")
    for name in columns:
        if name not in LABEL_COLUMNS:
            raise InputError(
                f"label_columns should name {', '.join(LABEL_COLUMNS)}. Received: '{name}'.{did_you_mean(name, LABEL_COLUMNS)}"
            )


def check_corrections(corrections: Any) -> None:
    """Raise an InputError unless the rule for several labels of an answer is known."""
    if corrections not in CORRECTIONS:
        raise InputError(
            f"corrections should be {', '.join(CORRECTIONS)}. Received: '{corrections}'."
            f"{did_you_mean(str(corrections), CORRECTIONS)}"
        )


def check_tolerance_hours(hours: Any) -> None:
    """Raise an InputError unless the longest time to a label is from 0 to ten years."""
    if not _is_number(hours) or not 0 <= hours <= _MOST_HOURS:
        raise InputError(f"tolerance_hours should be from 0 to {_MOST_HOURS}. Received: tolerance_hours={hours!r}.")


def check_clock_skew(seconds: Any) -> None:
    """Raise an InputError unless the difference of clocks is from 0 to a day."""
    if not _is_number(seconds) or not 0 <= seconds <= _DAY:
        raise InputError(f"clock_skew_seconds should be from 0 to {_DAY}. Received: clock_skew_seconds={seconds!r}.")


def check_slices(slices: Any) -> None:
    """Raise an InputError unless slices are columns or pairs of columns."""
    good = isinstance(slices, list | tuple) and all(
        (isinstance(one, str) and one)
        or (
            isinstance(one, list | tuple) and len(one) in (1, 2) and all(isinstance(name, str) and name for name in one)
        )
        for one in slices
    )
    if not good:
        raise InputError(
            f"slices should be columns or pairs of columns, such as ['city', ['city', 'day']]. Received: {slices!r}."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
