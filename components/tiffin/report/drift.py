"""The sections about drift: how far inputs and outputs have moved, over time, and before and after."""

from collections.abc import Mapping, Sequence

import altair as alt

from tiffin.artifacts.drift import Bin, ColumnDrift, Distance, Drift, Measure
from tiffin.artifacts.monitoring import Monitoring, Point
from tiffin.artifacts.numbers import format_number, format_share
from tiffin.report.data import listing
from tiffin.report.drawing import SERIES, WIDTH, draw, labels, rows
from tiffin.report.page import Block, Cell, Chart, Charts, Mark, Text
from tiffin.report.timeline import Span, draw_level, draw_line, make_span

# Columns that are drawn. All columns are in the tables.
MOST_DRAWN = 24
# Outputs that are drawn, such as the probabilities of classes.
_MOST_OUTPUTS = 12
# Columns that are drawn of those that differ from the window before.
_MOST_BEFORE = 6
_MOST_BINS = 12
_MOST_LISTED = 12
_HEIGHT = 60
# The distance that is measured for each period, by the kind of the column.
_OVER_TIME: dict[str, Measure] = {"numbers": "wasserstein", "texts": "infinity_norm"}


def describe_inputs(monitoring: Monitoring, name: str) -> list[Block]:
    """Describe the inputs: anomalies, and how far they are from the training data and from the window before.

    Args:
        monitoring: Monitoring of a version.
        name: Start of the names of its charts.
    """
    blocks = _anomalies(monitoring)
    skew, drift = monitoring.skew, monitoring.drift
    if skew is not None:
        blocks += describe_drift(skew, monitoring.points, name, "the training data", names=monitoring.names)
    if drift is not None:
        blocks += describe_drift(drift, (), f"{name}-before", "the window before", names=monitoring.names)
    elif monitoring.rows:
        blocks.append(Text("The window before has no rows to compare with."))
    if skew is None and monitoring.rows:
        blocks.insert(
            0, Text("The inputs are not compared with the training data: the reference has no statistics of it.")
        )
    renamed = [(old, new) for new, old in sorted(monitoring.names.items(), key=lambda pair: pair[1])]
    return [
        *blocks,
        *listing(
            ("in the data", "in the log"), renamed, title="Renamed columns", is_folded=len(renamed) > _MOST_LISTED
        ),
    ]


def describe_outputs(monitoring: Monitoring, name: str) -> list[Block]:
    """Describe the predictions: how far they are from those of the evaluation."""
    found = monitoring.predictions
    if found is None:
        return [Text("The predictions are not compared: the reference has no evaluation.")] if monitoring.rows else []
    return describe_drift(found, monitoring.points, name, "the evaluation", _MOST_OUTPUTS)


def describe_comparison(drift: Drift, name: str, names: Mapping[str, str] | None = None) -> list[Block]:
    """Describe the drift of examples from a baseline; nothing if none was looked for.

    Args:
        drift: The comparison.
        name: Start of the names of the charts.
        names: Name of a column in the examples to its name in the data, where they differ.
    """
    if not drift.columns:
        return [Text(drift.reason)] if drift.notes else []
    return describe_drift(drift, (), name, drift.baseline, names=names)


def describe_drift(
    drift: Drift,
    points: Sequence[Point],
    name: str,
    baseline: str,
    most: int = MOST_DRAWN,
    names: Mapping[str, str] | None = None,
) -> list[Block]:
    """Describe a comparison: its result, the columns that are drawn, and tables of all columns and of all distances.

    Args:
        drift: The comparison.
        points: Periods with distances from the same baseline; empty to draw only columns that drifted, without them.
        name: Start of the names of the charts.
        baseline: What the rows are compared with, in words.
        most: Largest number of columns that are drawn over time. Defaults to 24.
        names: Column to its name in the data, of those that were renamed. Defaults to none.
    """
    names = names or {}
    blocks: list[Block] = [
        Text(f"Compared with {baseline} ({drift.rows_before:,} rows; now {drift.rows:,}): {drift.reason}")
    ]
    shown = list(drift.columns[:most]) if points else [one for one in drift.columns if one.drifted][:_MOST_BEFORE]
    charts = [
        chart
        for number, one in enumerate(shown)
        for chart in _charts(one, points, f"{name}-{number}", baseline, names.get(one.column, one.column))
    ]
    if charts:
        blocks += [Text(_explain(baseline, len(drift.columns), len(shown), with_time=bool(points))), Charts(charts)]
    count = len(drift.columns)
    folded = count > _MOST_LISTED
    header = ("column", "outcome", "kind", "share of the attributions", "values before", "now", "missing before", "missing now",
              "reason")  # fmt: skip
    cells = [_line(one, names.get(one.column, one.column)) for one in drift.columns]
    title = f"Columns compared with {baseline}" if not folded else f"All {count:,} columns compared with {baseline}"
    blocks += listing(header, cells, "lllrrrrrl", title, folded)
    found = [
        _distance(names.get(column.column, column.column), one) for column in drift.columns for one in column.distances
    ]
    header = (
        "column",
        "distance",
        "value",
        "95 % interval",
        "by chance",
        "threshold",
        "from",
        "corrected p-value",
        "outcome",
    )
    return [
        *blocks,
        *listing(header, found, "llrlrrlrl", f"All {len(found):,} distances from {baseline}", is_folded=True),
    ]


def _anomalies(monitoring: Monitoring) -> list[Block]:
    names = monitoring.names
    cells = [
        (names.get(one.column, one.column), f"{one.summary}. {one.description}", one.code)
        for one in monitoring.anomalies
    ]
    title = f"{len(cells):,} violations of the schema" if len(cells) > _MOST_LISTED else "Violations of the schema"
    found = listing(("column", "found", "code"), cells, title=title, is_folded=len(cells) > _MOST_LISTED)
    return found or ([Text("No violations of the schema.")] if monitoring.rows else [])


def _explain(baseline: str, count: int, shown: int, *, with_time: bool) -> str:
    text = f"Shares of the rows by value: bars for {baseline}, lines for now."
    if with_time:
        text += (
            " Above them the distance of each period, and its threshold as a dashed line: of numbers the Wasserstein distance in "
            "standard deviations, of texts the largest difference of a share. Only the whole window is judged: in the fewer rows "
            "of a period, distances are larger by chance."
        )
    return text + (
        f" {shown} of {count:,} columns are drawn, drifted and important ones first." if shown < count else ""
    )


def _mark(one: ColumnDrift) -> Mark:
    if one.drifted:
        return Mark("drifted", "warning") if one.counts else Mark("drifted, and matters little", "muted")
    return Mark("not judged", "muted") if one.reason else Mark("as before", "good")


def _charts(one: ColumnDrift, points: Sequence[Point], name: str, baseline: str, title: str) -> list[Chart]:
    """Draw a column: its distance over time above its values before and now; nothing if there is neither."""
    judged = {distance.measure: distance for distance in one.distances}
    spans = [make_span(point.start, hours=point.hours) for point in points]
    drawn = []
    if any(one.column in point.distances for point in points):
        values = [point.distances.get(one.column) for point in points]
        judge = judged.get(_OVER_TIME[one.kind]) if one.kind in _OVER_TIME else None
        drawn.append(draw(_over_time(spans, values, "distance", judge), f"{name}-time"))
    missing = judged.get("missing_share")
    if missing and missing.drifted and any(one.column in point.missing for point in points):
        values = [point.missing.get(one.column) for point in points]
        drawn.append(draw(_over_time(spans, values, "missing"), f"{name}-missing"))
    if one.bins:
        drawn.append(draw(_before_after(one.bins, baseline), f"{name}-bins"))
    left = len(one.bins) - _MOST_BINS
    texts = [one.reason, f"{left} more values are not drawn" if left > 0 else ""]
    return [Chart(title, "".join(drawn), "; ".join(filter(None, texts)), _mark(one))] if drawn else []


def _over_time(
    spans: Sequence[Span], values: Sequence[float | None], title: str, judged: Distance | None = None
) -> alt.LayerChart:
    texts = [
        f"{span.text}: {title} {'' if value is None else format_number(value)}"
        for span, value in zip(spans, values, strict=True)
    ]
    line = draw_line(spans, values, texts, title, height=_HEIGHT)
    if judged is None or judged.threshold is None:
        return line
    return alt.layer(line, draw_level(judged.threshold, f"threshold {format_number(judged.threshold)}"))


def _before_after(bins: Sequence[Bin], baseline: str) -> alt.LayerChart:
    """Draw the shares of values: bars for the baseline, and lines for now."""
    shown = _most_different(bins)
    names = labels([one.name for one in shown])
    y = alt.Y("value:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=110))
    x = alt.X("share:Q", title=None, scale=alt.Scale(domainMin=0), axis=alt.Axis(format="%", tickCount=3))
    sides = ((baseline, [one.before for one in shown]), ("now", [one.now for one in shown]))
    layers = []
    for number, (side, shares) in enumerate(sides):
        texts = [f"{label}: {format_share(share)} in {side}" for label, share in zip(names, shares, strict=True)]
        data = rows(value=names, share=shares, text=[text.replace("in now", "now") for text in texts])
        chart = alt.Chart(data, width=WIDTH - 90, height=alt.Step(14))
        mark = chart.mark_bar(opacity=0.55) if number == 0 else chart.mark_tick(color=SERIES[1], thickness=3, opacity=1)
        layers.append(mark.encode(x=x, y=y, description=alt.Description("text:N")))
    return alt.layer(*layers)


def _most_different(bins: Sequence[Bin]) -> list[Bin]:
    """Return the bins that are drawn, in their order: those whose shares differ most."""
    kept = sorted(range(len(bins)), key=lambda place: (-abs(bins[place].now - bins[place].before), place))[:_MOST_BINS]
    return [bins[place] for place in sorted(kept)]


def _line(one: ColumnDrift, name: str) -> tuple[Cell, ...]:
    return (
        name, _mark(one), one.kind, "" if one.importance is None else format_share(one.importance),
        f"{one.rows_before:,}", f"{one.rows:,}", format_share(one.missing_before), format_share(one.missing), one.reason,
    )  # fmt: skip


def _distance(column: str, one: Distance) -> tuple[Cell, ...]:
    ends = "" if one.low is None or one.high is None else f"{_short(one.low)} to {_short(one.high)}"
    judged = Mark("drifted", "warning") if one.drifted else "as before"
    if one.value is None or one.threshold is None:
        judged = Mark("undefined" if one.value is None else "not judged", "muted")
    return (
        column, one.measure.replace("_", " "), _short(one.value), ends, _short(one.by_chance), _short(one.threshold),
        one.source, p_value(one.adjusted), judged,
    )  # fmt: skip


def p_value(value: float | None) -> str:
    """Return a p-value in two digits; empty for none."""
    if value is None:
        return ""
    return "under 0.0001" if value < 0.0001 else f"{value:.2g}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
