"""Numbers, shares and times of data, as texts for people."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_number(value: float) -> str:
    """Return a number without an exponent where that is readable, so that codes and ids look as in the data."""
    if value == 0 or 1e-4 <= abs(value) < 1e15:
        text = f"{value:.6g}" if abs(value) < 1e5 else f"{value:.1f}"
        return text if "." not in text else text.rstrip("0").rstrip(".")
    return f"{value:.6g}"


def format_moment(seconds: float, logical: str) -> str:
    """Return seconds since 1970 as a `date` or a `timestamp`; as a number outside of the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(seconds=round(seconds))
    except (OverflowError, ValueError):
        return format_number(seconds)
    return f"{moment:%Y-%m-%d}" if logical == "date" else f"{moment:%Y-%m-%d %H:%M:%S}"


def format_share(share: float) -> str:
    """Return a share as a percentage of three digits, or as many as it needs to differ from 0 % and 100 %."""
    percent = 100 * share
    if 99.95 <= percent < 100:
        return "over 99.9 %"
    return "under 0.01 %" if 0 < percent < 0.01 else f"{percent:.3g} %"
