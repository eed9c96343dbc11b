"""The section about the columns that the predictions depend on."""

from collections.abc import Mapping

import altair as alt

from tiffin.artifacts.measures import Attribution
from tiffin.artifacts.verdict import Evaluation
from tiffin.report.data import listing
from tiffin.report.drawing import SERIES, WIDTH, choose, draw, labels, rows
from tiffin.report.page import Block, Chart, Charts, Text
from tiffin.report.quality import metric

_MOST_DRAWN = 15


def describe_explanation(evaluation: Evaluation, names: Mapping[str, str], name: str) -> list[Block]:
    """Describe attributions; none for a model without them.

    Args:
        evaluation: Evaluation of a model.
        names: Name of a column in the examples to its name in the data, where they differ.
        name: Start of the names of the charts.
    """
    found = evaluation.attributions
    if not found or not found.columns:
        return []
    unit = "in units of the label" if evaluation.task == "regression" else "in log-odds"
    shown = found.columns[:_MOST_DRAWN]
    data = rows(
        column=labels([names.get(one.column, one.column) for one in shown]), value=[one.mean_absolute for one in shown]
    )
    chart = alt.Chart(data, width=WIDTH - 100, height=alt.Step(18)).mark_bar()
    bars = chart.encode(
        x=alt.X("value:Q", title="mean size of the contribution"), y=alt.Y("column:N", title=None, sort=None)
    )
    of = f" The {len(shown)} largest of {len(found.columns):,} columns." if len(found.columns) > len(shown) else ""
    first = Chart(
        "What the predictions depend on", draw(bars, f"{name}-columns"), f"Mean over rows of the absolute value.{of}"
    )
    effects = [
        Chart(title, draw(_effects(one, title), f"{name}-effect-{number}"))
        for number, one in enumerate(found.columns)
        if one.effects
        for title in [names.get(one.column, one.column)]
    ]
    cells = [(names.get(one.column, one.column), metric(one.mean_absolute)) for one in found.columns]
    blocks: list[Block] = [
        Text(
            f"Integrated gradients of {found.rows:,} rows of {evaluation.split}, {unit}: how far each column moves a "
            "prediction from that of a mean row. Values to the right raise it, or the score of the predicted class."
        ),
        Charts([first, *effects]),
        *listing(("column", "mean size"), cells, "lr", f"All {len(cells):,} columns", is_folded=True),
    ]
    return blocks


def _value(text: str, name: str) -> str:
    """Return what rows have in common without the column's name: `city = Oslo` is `Oslo`, `2 < km <= 3` is `2 to 3`."""
    low, between, high = text.partition(f" < {name} <= ")
    return f"{low} to {high}" if between else text.removeprefix(f"{name} = ").removeprefix(f"{name} ")


def _effects(one: Attribution, name: str) -> alt.Chart:
    data = rows(
        value=labels([_value(effect.value, name) for effect in one.effects]),
        mean=[effect.mean for effect in one.effects],
        rows=[effect.rows for effect in one.effects],
    )
    colour = choose("datum.mean < 0", SERIES[1], SERIES[0])
    return (
        alt.Chart(data, width=WIDTH - 100, height=alt.Step(18))
        .mark_bar()
        .encode(
            x=alt.X("mean:Q", title="mean contribution", axis=alt.Axis(tickCount=3)),
            y=alt.Y("value:N", title=None, sort=None),
            color=colour,
        )
    )
