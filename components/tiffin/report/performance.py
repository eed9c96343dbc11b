"""The section about how well a model answers in production: with labels, and estimated without."""

from collections.abc import Mapping, Sequence

import altair as alt

from tiffin.artifacts.measures import Interval
from tiffin.artifacts.numbers import format_share
from tiffin.artifacts.performance import BoundCheck, Compared, ComparedSlice, Hour, Labelled, Performance, Period
from tiffin.report.data import listing, shortened
from tiffin.report.drawing import SERIES, WIDTH, draw, rows
from tiffin.report.drift import p_value
from tiffin.report.groups import list_slices
from tiffin.report.page import Block, Cell, Chart, Charts, Mark, Text
from tiffin.report.quality import interval, metric
from tiffin.report.timeline import HEIGHT, Span, draw_bars, draw_level, draw_line, join, make_span, time_axis

_MOST_BARS = 60
# Rows of a table that is not folded.
_MOST_SHOWN = 20
_SOURCES = {
    "evaluation": "the calibration of the evaluation",
    "labels": "labels that have arrived",
    "identity": "the probabilities as the model gives them",
}
_COMPARED = {
    "AS_AT_TRAINING": Mark("as at training", "good"),
    "WORSE_THAN_TRAINING": Mark("worse than at training", "bad"),
    "BETTER_THAN_TRAINING": Mark("better than at training", "good"),
    "TOO_FEW_ROWS": Mark("too few rows", "muted"),
    "UNDEFINED": Mark("undefined", "muted"),
    "NO_REFERENCE": Mark("no value at training", "muted"),
}
_BOUNDS = {
    "WITHIN_BOUND": Mark("within the bound", "good"),
    "BEYOND_BOUND": Mark("beyond the bound", "bad"),
    "UNCLEAR": Mark("beyond the bound, within chance", "warning"),
    "UNDEFINED": Mark("undefined", "muted"),
}
_HOW = (
    "No labels were passed. Pass them with the parameter labels: a CSV or Parquet file, folder or URI with the columns "
    "request_id or key, and label; or a query that starts with SELECT."
)


def describe_performance(found: Performance | None, name: str) -> list[Block]:
    """Describe how well a version answers.

    Args:
        found: How well it answers; None without answers.
        name: Start of the names of its charts.
    """
    if found is None:
        return [Text("The window has no answers whose quality could be measured or estimated.")]
    blocks: list[Block] = []
    if found.diagnosis:
        blocks.append(Text(f"{found.diagnosis.text}."))
    window = make_span(found.start, found.end).text
    blocks.append(Text(f"Answers of {window}. Intervals hold the value with 95 % confidence."))
    blocks += _metrics(found)
    charts = [*_over_time(found, name), *_coverage(found.labelled, name)]
    blocks += [Charts(charts)] if charts else []
    blocks += listing(
        ("outcome", "metric", "group", "value", "95 % interval", "bound", "rows"),
        [_bound(one) for one in found.bounds], "lllrlrr", "Bounds of the gate",
    )  # fmt: skip
    if found.slices:
        overall = found.measured.metrics.get(found.metric) if found.measured else None
        blocks += list_slices(found.slices, found.metric, overall, name, _at_training(found))
        blocks += _slices(found.compared_slices)
    blocks += _labels(found.labelled)
    blocks += _estimate(found)
    return blocks


def _metrics(found: Performance) -> list[Block]:
    """Return the tables of metrics, measured and estimated, beside those at training; the main one first."""
    measured, estimated = found.measured, found.estimated
    compared = {one.metric: one for one in found.compared}
    blocks: list[Block] = []
    if measured:
        header = (
            "metric",
            "with labels",
            "95 % interval",
            "at training",
            "difference",
            "95 % interval",
            "p-value",
            "outcome",
        )
        cells = [
            (name, *_value(measured.metrics, measured.intervals, name), *_comparison(compared.get(name)))
            for name in _ordered(measured.metrics, found.metric)
        ]
        title = f"Measured on {measured.rows:,} answers with a label"
        blocks += listing(header, cells, "lrlrrlrl", title)
    if estimated:
        values = measured.metrics if measured else {}
        estimates = [
            (name, *_value(estimated.metrics, estimated.intervals, name), metric(values[name]) if name in values else "",
             metric(found.at_training.get(name)) if name in found.at_training else "")
            for name in _ordered(estimated.metrics, found.metric)
        ]  # fmt: skip
        source = _SOURCES.get(estimated.source, estimated.source)
        title = f"Estimated without labels, for all {estimated.rows:,} answers, from {source}"
        blocks += listing(
            ("metric", "estimated", "95 % interval", "with labels", "at training"), estimates, "lrlrr", title
        )
    return blocks or [Text("No metric could be measured or estimated.")]


def _at_training(found: Performance) -> dict[str, float]:
    """Return the slices to their value of the main metric at training."""
    return {
        part.slice: one.reference
        for part in found.compared_slices
        for one in part.compared
        if one.metric == found.metric and one.reference is not None
    }


def _slices(found: Sequence[ComparedSlice]) -> list[Block]:
    """Return the table of slices beside their values at training; the least likely losses first."""
    pairs = [(part, one) for part in found for one in part.compared]
    pairs.sort(key=lambda pair: 2.0 if pair[1].p_value is None else pair[1].p_value)
    cells = [
        (part.slice, f"{one.rows:,}", one.metric, metric(one.value), *_comparison(one))
        for part, one in pairs
    ]  # fmt: skip
    header = (
        "slice", "rows", "metric", "with labels", "at training", "difference", "95 % interval", "p-value", "outcome",
    )  # fmt: skip
    return listing(header, cells, "lrlrrrlrl", "Slices beside training", len(cells) > _MOST_SHOWN)


def _ordered(metrics: Mapping[str, float | None], main: str) -> list[str]:
    names = [name for name in metrics if not name.startswith("baseline_")]
    return sorted(names, key=lambda name: name != main)


def _value(metrics: Mapping[str, float | None], ends: Mapping[str, Interval], name: str) -> tuple[Cell, Cell]:
    return (metric(metrics[name]), interval(ends.get(name))) if name in metrics else ("", "")


def _comparison(one: Compared | None) -> tuple[Cell, ...]:
    if one is None:
        return ("",) * 5
    ends = "" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}"
    outcome = _COMPARED[one.code]
    if not one.level and one.code in ("WORSE_THAN_TRAINING", "BETTER_THAN_TRAINING"):
        outcome = Mark(f"{outcome.text}, not watched", "muted")
    return _before(one), "" if one.difference is None else f"{one.difference:+.3g}", ends, p_value(one.p_value), outcome


def _before(one: Compared | None) -> str:
    return "" if one is None or one.reference is None else metric(one.reference)


def _bound(one: BoundCheck) -> tuple[Cell, ...]:
    ends = Interval(one.low, one.high) if one.low is not None and one.high is not None else None
    return (
        _BOUNDS[one.code], one.metric, one.slice, metric(one.value), interval(ends), metric(one.bound),
        f"{one.rows:,}",
    )  # fmt: skip


def _over_time(found: Performance, name: str) -> list[Chart]:
    """Draw the main metric over time, with its interval, and its value at training."""
    values = [period.measured.metrics.get(found.metric) for period in found.periods]
    if not any(value is not None for value in values):
        return []
    spans = [make_span(period.start, period.end) for period in found.periods]
    texts = [
        f"{span.text}: {metric(value)}, {period.measured.rows:,} labels ({format_share(period.coverage)} of the answers)"
        for span, period, value in zip(spans, found.periods, values, strict=True)
    ]
    layers = [_band(spans, found.periods, found.metric), draw_line(spans, values, texts, found.metric, with_zero=False)]
    text = "The light bars are the 95 % intervals of the periods."
    reference = next((one.reference for one in found.compared if one.metric == found.metric), None)
    if reference is not None:
        layers.append(draw_level(reference, f"at training: {metric(reference)}"))
        text += f" The dashed line is the value at training, {metric(reference)}."
    bound = next((one.bound for one in found.bounds if one.metric == found.metric and not one.slice), None)
    if bound is not None:
        layers.append(draw_level(bound, f"bound of the gate: {metric(bound)}", "var(--bad)"))
        text += f" The red line is the bound of the gate, {metric(bound)}."
    return [Chart(f"{found.metric} over time", draw(alt.layer(*layers), f"{name}-periods"), text)]


def _band(spans: Sequence[Span], periods: Sequence[Period], name: str) -> alt.Chart:
    ends = [period.measured.intervals.get(name) for period in periods]
    data = rows(
        time=[(one.start + one.end) // 2 for one in spans], low=[end.low if end else None for end in ends],
        high=[end.high if end else None for end in ends], text=[f"95 % interval: {interval(end)}" for end in ends],
    )  # fmt: skip
    # Rules, since an area would hide a period between two gaps.
    return (
        alt.Chart(data, width=WIDTH, height=HEIGHT)
        .mark_rule(color=SERIES[0], opacity=0.3, strokeWidth=6)
        .transform_filter("isValid(datum.low)")
        .encode(x=time_axis("time", spans), y=alt.Y("low:Q", title=name), y2=alt.Y2("high"), description="text:N")
    )


def _coverage(labelled: Labelled | None, name: str) -> list[Chart]:
    if labelled is None or not labelled.hours:
        return []
    spans, hours = _merged(labelled.hours)
    answers = draw_bars(spans, [one.answers for one in hours], "answers", title="answers", colour="var(--line)")
    covered = draw_bars(spans, [one.labelled for one in hours], "with a label", title="answers")
    text = "Answers of each period, and in colour those with a label."
    if any(one.mature is False for one in labelled.hours):
        young = sum(one.mature is False for one in labelled.hours)
        text += f" More labels are expected for {young:,} {'hour' if young == 1 else 'hours'}."
    return [Chart("Answers with a label", draw(alt.layer(answers, covered), f"{name}-coverage"), text)]


def _merged(hours: Sequence[Hour]) -> tuple[list[Span], list[Hour]]:
    """Return at most 60 periods of equal numbers of hours."""
    size = -(-len(hours) // _MOST_BARS)
    groups = [hours[place : place + size] for place in range(0, len(hours), size)]
    first, last = ([make_span(one[place].start, hours=1) for one in groups] for place in (0, -1))
    spans = [join(start, end) for start, end in zip(first, last, strict=True)]
    return spans, [Hour(one[0].start, sum(h.answers for h in one), sum(h.labelled for h in one)) for one in groups]


def _labels(labelled: Labelled | None) -> list[Block]:
    if labelled is None:
        return [Text(_HOW)]
    facts = [
        ("joined by", f"{labelled.by}, with the rule {labelled.corrections} for several labels of an answer"),
        ("labels", f"{labelled.labels:,}"),
        ("answers", f"{labelled.answers:,}"),
        ("answers with a label", f"{labelled.labelled:,} ({format_share(labelled.coverage or 0.0)})"),
        ("labels that repeat another", _count(labelled.repeated)),
        ("answers with corrected labels", _count(labelled.corrected)),
        ("answers left out for contradicting labels", _count(labelled.contradicting)),
        ("labels of unknown answers", _unknown(labelled)),
        ("labels before their answer", _count(labelled.early)),
        *((f"labels left out: {reason.replace('_', ' ')}", _count(count)) for reason, count in labelled.skipped.items()),
        *((f"answers left out: {reason.replace('_', ' ')}", _count(count)) for reason, count in labelled.left_out.items()),
        ("median delay", _duration(labelled.median_delay_seconds)),
        ("nine of ten labels come within", _duration(labelled.late_delay_seconds)),
    ]  # fmt: skip
    return listing(("what", "value"), [(name, value) for name, value in facts if value], title="Labels")


def _count(count: int) -> str:
    return f"{count:,}" if count else ""


def _unknown(labelled: Labelled) -> str:
    return f"{labelled.unknown:,}, such as {shortened(labelled.unknown_example)}" if labelled.unknown else ""


def _duration(seconds: float | None) -> str:
    """Return a time in words; empty for none."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _estimate(found: Performance) -> list[Block]:
    """Return how good earlier estimates were."""
    if found.estimated is None:
        return [Text("The metrics could not be estimated.")]
    cells = [
        (one.metric, f"{one.periods:,}", f"{one.error:.3g}", f"{one.bias:+.3g}", format_share(one.covered))
        for one in found.record
    ]
    header = ("metric", "days with labels", "mean error", "mean of value - estimate", "inside the interval")
    return listing(header, cells, "lrrrr", "How good earlier estimates were") or [
        Text("Earlier estimates cannot be compared with labels yet: no full day has enough of them.")
    ]
