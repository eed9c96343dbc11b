"""The section about the requests of a model: by version and route, and over time."""

from collections.abc import Sequence

import altair as alt

from tiffin.artifacts.monitoring import Monitoring, Point, Traffic
from tiffin.artifacts.numbers import format_number, format_share
from tiffin.report.data import listing
from tiffin.report.drawing import SERIES, draw
from tiffin.report.page import Block, Chart, Charts, Text
from tiffin.report.timeline import Span, draw_bars, draw_line, make_span

_MOST_CODES = 5


def describe_traffic(monitoring: Monitoring, name: str) -> list[Block]:
    """Describe the requests; none without requests.

    Args:
        monitoring: Monitoring of a version.
        name: Start of the names of its charts.
    """
    if not monitoring.traffic:
        return []
    cells = [_line(one) for one in monitoring.traffic]
    header = ("version", "route", "requests", "rows", "failed", "codes", "median", "99th percentile")
    blocks: list[Block] = listing(header, cells, "rlrrrlrr")
    if any(one.route == "mirror" for one in monitoring.traffic):
        blocks.append(Text("The route mirror has copies of requests; their answers reach no client."))
    blocks.append(Text("A latency is the upper bound of its bin, of which a factor of 10 has 8."))
    if any(one.requests for one in monitoring.points):
        blocks.append(Charts(_charts(monitoring.points, name)))
    return blocks


def milliseconds(seconds: float | None) -> str:
    """Return seconds in milliseconds; empty for none."""
    return "" if seconds is None else f"{format_number(float(f'{1000 * seconds:.3g}'))} ms"


def _line(one: Traffic) -> tuple[str, ...]:
    codes = sorted(one.errors.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{code} {count:,}" for code, count in codes[:_MOST_CODES])
    more = f" and {len(codes) - _MOST_CODES} more codes" if len(codes) > _MOST_CODES else ""
    failed = f"{one.failed:,} ({format_share(one.failed / one.requests)})" if one.failed and one.requests else "0"
    return (
        str(one.version) if one.version else "none reached", one.route, f"{one.requests:,}", f"{one.rows:,}", failed,
        shown + more, milliseconds(one.quantile(0.5)), milliseconds(one.quantile(0.99)),
    )  # fmt: skip


def _charts(points: Sequence[Point], name: str) -> list[Chart]:
    spans = [make_span(one.start, hours=one.hours) for one in points]
    period = "an hour" if points[0].hours == 1 else f"{points[0].hours} hours"
    requests = draw_bars(spans, [one.requests for one in points], "requests")
    charts = [Chart("Requests", draw(requests, f"{name}-requests"), f"Each bar is {period}, without copies.")]
    if any(one.failed for one in points):
        failed = draw_bars(spans, [one.failed for one in points], "failed requests", colour="var(--bad)")
        charts.append(Chart("Failed requests", draw(failed, f"{name}-failed")))
    if any(one.p50 is not None for one in points):
        layers = [_latency(spans, points, *one) for one in (("median", "p50"), ("99th percentile", "p99"))]
        # Colours are given by the order of the series.
        chart = alt.layer(*layers).resolve_scale(color="shared")
        charts.append(Chart("Latency", draw(chart, f"{name}-latency")))
    return charts


def _latency(spans: Sequence[Span], points: Sequence[Point], series: str, field: str) -> alt.LayerChart:
    values = [getattr(one, field) for one in points]
    texts = [f"{one.text}: {series} {milliseconds(value)}" for one, value in zip(spans, values, strict=True)]
    shown = [None if value is None else 1000 * value for value in values]
    return draw_line(spans, shown, texts, "ms", series=series, colour=SERIES[0])
