"""The sections about groups of rows: slices, and the groups of sensitive columns."""

from collections.abc import Mapping, Sequence

import altair as alt

from tiffin.artifacts.measures import Fairness, Slice
from tiffin.artifacts.verdict import Evaluation
from tiffin.report.data import listing
from tiffin.report.drawing import FAINT, WIDTH, draw, labels, rows
from tiffin.report.page import Block, Chart, Charts, Text
from tiffin.report.quality import interval, metric

_MOST_DRAWN = 20
# The metric that is drawn, by task.
_MAIN = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def describe_slices(evaluation: Evaluation, name: str) -> list[Block]:
    """Describe the slices; none without slices."""
    if not evaluation.slices:
        return []
    main = _MAIN[evaluation.task]
    return list_slices(evaluation.slices, main, evaluation.metrics.get(main), name)


def list_slices(
    slices: Sequence[Slice], main: str, overall: float | None, name: str, before: Mapping[str, float] | None = None
) -> list[Block]:
    """Return a chart of the worst slices and a table of all.

    Args:
        slices: Slices, at least one.
        main: Metric that is drawn, of which lower is better.
        overall: Its value in all rows; None if it is undefined.
        name: Start of the names of the charts.
        before: Slice to its value of the metric at training, which is drawn beside. Defaults to none.
    """
    before = before or {}
    drawn = [one for one in slices if one.metrics.get(main) is not None]
    worst = sorted(drawn, key=lambda one: -(one.metrics[main] or 0))[:_MOST_DRAWN]
    blocks: list[Block] = [Text(f"The metrics of groups of rows, those with the largest {main} first.")]
    if worst:
        text = f"Points with 95 % intervals. The line is all rows: {metric(overall)}."
        if before:
            text += " Ticks are the values at training."
        if len(drawn) > len(worst):
            text += f" The {len(worst)} largest of {len(drawn):,} slices."
        points = _points(worst, main, overall, before)
        blocks.append(Charts([Chart(f"{main} by slice", draw(points, f"{name}-slices"), text)]))
    names = list(dict.fromkeys(metric_name for one in slices for metric_name in one.metrics))
    ordered = [
        *sorted(drawn, key=lambda one: -(one.metrics[main] or 0)),
        *(o for o in slices if o not in drawn),
    ]
    cells = [(one.value, f"{one.rows:,}", *(metric(one.metrics.get(each)) for each in names)) for one in ordered]
    blocks += listing(("slice", "rows", *names), cells, "lr" + "r" * len(names), "All slices", len(cells) > _MOST_DRAWN)
    return blocks


def _points(slices: Sequence[Slice], main: str, overall: float | None, before: Mapping[str, float]) -> alt.LayerChart:
    ends = [one.intervals.get(main) for one in slices]
    values = [one.metrics[main] for one in slices]
    names = labels([one.value for one in slices])
    data = rows(
        slice=names,
        value=values,
        low=[end.low if end else value for end, value in zip(ends, values, strict=True)],
        high=[end.high if end else value for end, value in zip(ends, values, strict=True)],
        text=[f"{name}: {interval(end)}" for name, end in zip(names, ends, strict=True)],
    )
    y = alt.Y("slice:N", title=None, sort=None)
    base = alt.Chart(data, width=WIDTH - 100, height=alt.Step(18))
    x = alt.X("value:Q", title=main, scale=alt.Scale(zero=False))
    layers = [
        base.mark_rule().encode(
            x=alt.X("low:Q", title=main), x2=alt.X2("high"), y=y, description=alt.Description("text:N")
        ),
        base.mark_point().encode(x=x, y=y),
    ]
    if overall is not None:
        line = alt.Chart(rows(all=[overall])).mark_rule(
            color=FAINT, strokeDash=[4, 4], description=f"all rows: {metric(overall)}"
        )
        layers.append(line.encode(x=alt.X("all:Q")))
    known = [(shown, before[one.value]) for shown, one in zip(names, slices, strict=True) if one.value in before]
    if known:
        texts = [f"{shown} at training: {metric(value)}" for shown, value in known]
        ticks = rows(slice=[shown for shown, _ in known], value=[value for _, value in known], text=texts)
        chart = alt.Chart(ticks).mark_tick(color=FAINT, thickness=2, size=14)
        layers.append(chart.encode(x=alt.X("value:Q"), y=y, description=alt.Description("text:N")))
    return alt.layer(*layers)


def describe_fairness(evaluation: Evaluation, names: Mapping[str, str], name: str) -> list[Block]:
    """Describe sensitive columns; none without them.

    Args:
        evaluation: Evaluation of a model.
        names: Name of a column in the examples to its name in the data, where they differ.
        name: Start of the names of the charts.
    """
    if not evaluation.fairness:
        return []
    blocks: list[Block] = [
        Text("Differences between the groups of sensitive columns: 0 is no difference; of a ratio, 1 is none.")
    ]
    for number, one in enumerate(evaluation.fairness):
        blocks += _column(one, names.get(one.column, one.column), f"{name}-fairness-{number}")
    return blocks


def _column(one: Fairness, title: str, name: str) -> list[Block]:
    blocks: list[Block] = []
    means = list(dict.fromkeys(each for group in one.groups for each in group.means))
    charts = []
    for number, each in enumerate(means):
        shown = [(group.value, group.means[each]) for group in one.groups if group.means.get(each) is not None]
        if not shown:
            continue
        values, heights = zip(*shown[:_MOST_DRAWN], strict=True)
        chart = alt.Chart(rows(group=labels(list(values)), value=heights), width=WIDTH - 100, height=alt.Step(18))
        bars = chart.mark_bar().encode(x=alt.X("value:Q", title=each), y=alt.Y("group:N", title=None, sort=None))
        text = f"The first {len(values)} of {len(shown)} groups." if len(shown) > len(values) else ""
        charts.append(Chart(f"{each} by {title}", draw(bars, f"{name}-{number}"), text))
    blocks += [Charts(charts)] if charts else []
    cells = [(each, metric(value), interval(one.intervals.get(each))) for each, value in one.measures.items()]
    blocks += listing(("measure", "value", "95 % interval"), cells, "lrl", f"Differences by {title}")
    groups = [(g.value, f"{g.rows:,}", *(metric(g.means.get(each)) for each in means)) for g in one.groups]
    blocks += listing(("group", "rows", *means), groups, "lr" + "r" * len(means), f"Groups of {title}")
    return blocks
