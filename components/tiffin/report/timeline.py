"""Charts over a time window: values of its periods, with times in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import altair as alt

from tiffin.report.drawing import FAINT, SERIES, WIDTH, rows

HEIGHT = 110
_MILLISECONDS = 1000
# Longest windows, in days, whose axes have times, and each day.
_MOST_BY_TIME, _MOST_BY_DAY = 1.5, 5


@dataclass(frozen=True)
class Span:
    """A period: start and end in milliseconds since 1970, and both as a text."""

    start: int
    end: int
    text: str


def make_span(start: str, end: str = "", *, hours: float = 0) -> Span:
    """Return a period.

    Args:
        start: Start, in ISO 8601 with a time zone.
        end: End; empty for that of `hours`.
        hours: Length in hours, if `end` is empty.
    """
    first = datetime.fromisoformat(start).astimezone(UTC)
    last = datetime.fromisoformat(end).astimezone(UTC) if end else first + timedelta(hours=hours)
    return _span(first, last)


def join(first: Span, last: Span) -> Span:
    """Return the period from the start of one to the end of another."""
    start, end = (datetime.fromtimestamp(time / _MILLISECONDS, UTC) for time in (first.start, last.end))
    return _span(start, end)


def format_time(time: datetime) -> str:
    """Return a time as date, hours and minutes of UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def time_axis(field: str, spans: Sequence[Span]) -> alt.X:
    """Return the axis of a field of times, as wide as the periods."""
    start, end = spans[0].start, spans[-1].end
    days = (end - start) / (24 * 3600 * _MILLISECONDS)
    return alt.X(
        f"{field}:T",
        title=None,
        scale=alt.Scale(type="utc", domain=[start, end], nice=False),
        axis=alt.Axis(
            format="%H:%M" if days <= _MOST_BY_TIME else "%b %d",
            tickCount="day" if _MOST_BY_TIME < days <= _MOST_BY_DAY else 4,
            grid=False,
        ),
    )


def draw_bars(
    spans: Sequence[Span], values: Sequence[float], what: str, *, title: str = "", colour: str = SERIES[0]
) -> alt.Chart:
    """Return a bar for each period.

    Args:
        spans: Periods.
        values: Value of each.
        what: What the values are, for the text of a bar.
        title: Title of the axis. Defaults to `what`.
        colour: Colour of the bars.
    """
    data = rows(
        start=[one.start for one in spans],
        end=[one.end for one in spans],
        value=values,
        text=[f"{one.text}: {value:,} {what}" for one, value in zip(spans, values, strict=True)],
    )
    return (
        alt.Chart(data, width=WIDTH, height=HEIGHT)
        .mark_bar(color=colour, binSpacing=1)
        .encode(
            x=time_axis("start", spans),
            x2=alt.X2("end"),
            y=alt.Y("value:Q", title=title or what, axis=_axis()),
            y2=alt.Y2Datum(0),
            description=alt.Description("text:N"),
        )
    )


def draw_line(
    spans: Sequence[Span],
    values: Sequence[float | None],
    texts: Sequence[str],
    title: str,
    *,
    colour: str = SERIES[0],
    series: str = "",
    height: int = HEIGHT,
    with_zero: bool = True,
) -> alt.LayerChart:
    """Return a line with a point in the middle of each period that has a value.

    Args:
        spans: Periods.
        values: Value of each; None for a gap.
        texts: Text of each point.
        title: Title of the axis.
        colour: Colour.
        series: Name in the legend, whose colour is in the order of the series; empty for no legend.
        height: Height in pixels.
        with_zero: Whether the axis starts at 0.
    """
    data = rows(
        time=[(one.start + one.end) // 2 for one in spans], value=values, text=texts, series=[series] * len(spans)
    )
    # A missing value breaks the line, and has no point.
    base = alt.Chart(data, width=WIDTH, height=height).encode(
        x=time_axis("time", spans),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=with_zero), axis=_axis()),
        description=alt.Description("text:N"),
    )
    if series:
        base = base.encode(color=alt.Color("series:N", sort=None))
        marks = {}
    else:
        marks = {"color": colour}
    return alt.layer(
        base.mark_line(invalid="break-paths-filter-domains", strokeWidth=1.5, **marks),
        base.mark_point(size=16, opacity=1, **marks).transform_filter("isValid(datum.value)"),
    )


def draw_level(value: float, what: str, colour: str = FAINT) -> alt.Chart:
    """Return a dashed line at a value."""
    line = alt.Chart(rows(level=[value])).mark_rule(color=colour, strokeDash=[4, 4], description=what)
    return line.encode(y=alt.Y("level:Q"))


def _axis() -> alt.Axis:
    return alt.Axis(tickCount=3)


def _span(first: datetime, last: datetime) -> Span:
    return Span(_milliseconds(first), _milliseconds(last), f"{format_time(first)} to {_end(first, last)}")


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * _MILLISECONDS)


def _end(first: datetime, last: datetime) -> str:
    return f"{last:%H:%M}" if first.date() == last.date() else format_time(last)
