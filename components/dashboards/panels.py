"""Panels that look the same on all dashboards. Each has a description, a unit, and a text for the time without data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

# The variable with the data source.
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, GREY, BLUE = "green", "yellow", "red", "text", "blue"

Panel = Builder[models.Panel]
# Value to its text and color.
States = Mapping[int, tuple[str, str]]


@dataclass(frozen=True)
class Query:
    """A query.

    Attributes:
        expression: PromQL.
        legend: Name of its series, with labels as `{{label}}`; in a table, the title of its column.
    """

    expression: str
    legend: str


@dataclass(frozen=True)
class Shown:
    """What a panel shows.

    Attributes:
        title: Title.
        description: What it shows and what to make of it.
        unit: ID of a unit of Grafana.
        empty: Text without data.
        width: Width, of 24.
        height: Height in units of the grid.
        decimals: Digits after the point; None for as many as Grafana chooses.
    """

    title: str
    description: str
    unit: str
    empty: str
    width: int = 12
    height: int = 8
    decimals: int | None = None


def number(
    shown: Shown,
    query: Query,
    states: States | None = None,
    limits: Sequence[tuple[float, str]] = (),
    *,
    named: bool = False,
) -> Panel:
    """Return a panel with the newest value in large digits.

    Args:
        shown: What it shows.
        query: The query.
        states: Texts of the values; None to show numbers.
        limits: Values from which on the panel has another color.
        named: Whether to show the legend in place of the value.
    """
    panel = stat.Panel().with_target(_target(query, instant=True)).thresholds(_thresholds(limits))
    panel.color_mode(looks.BigValueColorMode.BACKGROUND if states else looks.BigValueColorMode.VALUE)
    panel.graph_mode(looks.BigValueGraphMode.NONE)
    panel.text_mode(looks.BigValueTextMode.NAME if named else looks.BigValueTextMode.AUTO)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    if states:
        panel.mappings([_mapping(states)])
    return _dress(panel, shown)


def lines(
    shown: Shown, queries: Sequence[Query], *, low: float | None = 0, high: float | None = None,
    limit: float | None = None, stacked: bool = False, repeat: str = "",
) -> Panel:  # fmt: skip
    """Return a panel with lines over time.

    Args:
        shown: What it shows.
        queries: The queries.
        low: Lower end of the axis. Defaults to 0; None for that of the values.
        high: Upper end of the axis; None for that of the values.
        limit: Value at which a dashed line is drawn, red above; None for none.
        stacked: Whether to add the lines up.
        repeat: Variable, for whose values the panel is repeated; empty for none.
    """
    panel = timeseries.Panel().line_width(1).fill_opacity(40 if stacked else 8)
    panel.show_points(looks.VisibilityMode.AUTO).span_nulls(False)
    panel.legend(
        common.VizLegendOptions().display_mode(looks.LegendDisplayMode.TABLE).placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True).calcs(["lastNotNull", "max"])
    )  # fmt: skip
    panel.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    for place, query in enumerate(queries):
        panel.with_target(_target(query, place))
    if low is not None:
        panel.min(low)
    if high is not None:
        panel.max(high)
    if limit is not None:
        panel.thresholds(_thresholds([(limit, RED)]))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(looks.GraphTresholdsStyleMode.DASHED))
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if repeat:
        panel.repeat(repeat).repeat_direction("h")
    return _dress(panel, shown)


def timeline(shown: Shown, query: Query, states: States) -> Panel:
    """Return a panel with states over time, one row for each series."""
    panel = statetimeline.Panel().with_target(_target(query)).mappings([_mapping(states)])
    panel.show_value(looks.VisibilityMode.AUTO).merge_values(True).row_height(0.8).fill_opacity(70)
    panel.legend(
        common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST).placement(looks.LegendPlacement.BOTTOM)
        .show_legend(False)
    )  # fmt: skip
    return _dress(panel, shown)


def bars(shown: Shown, query: Query, limits: Sequence[tuple[float, str]] = ()) -> Panel:
    """Return a panel with a bar for each series, of its newest value."""
    panel = bargauge.Panel().with_target(_target(query, instant=True)).thresholds(_thresholds(limits)).min(0)
    panel.display_mode(looks.BarGaugeDisplayMode.BASIC).orientation(looks.VizOrientation.HORIZONTAL)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)).show_unfilled(True)
    return _dress(panel, shown)


def rows(
    shown: Shown, labels: Sequence[str], queries: Sequence[Query], units: Mapping[str, str] | None = None,
    states: Mapping[str, States] | None = None, sort_by: str = "",
) -> Panel:  # fmt: skip
    """Return a table with a row for each combination of labels, and a column for each query.

    Args:
        shown: What it shows.
        labels: Labels that become columns, in this order.
        queries: The queries, whose results have these labels only.
        units: Title of a column to its unit, where it differs from that of the panel.
        states: Title of a column to the texts of its values.
        sort_by: Title of the column that the rows are sorted by, the largest first; empty for none.
    """
    panel = table.Panel().show_header(True).cell_height(looks.TableCellHeight.SM)
    for place, query in enumerate(queries):
        panel.with_target(_target(query, place, instant=True).format(PromQueryFormat.TABLE))
    # One query has the column `Value`; of several, each has its own.
    values = ["Value"] if len(queries) == 1 else [f"Value #{_letter(place)}" for place in range(len(queries))]
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options={
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate((*labels, *values))},
        "renameByName": {value: query.legend for value, query in zip(values, queries, strict=True)},
    }))  # fmt: skip
    for title, unit in (units or {}).items():
        panel.override_by_name(title, [models.DynamicConfigValue(id_val="unit", value=unit)])
    for title, texts in (states or {}).items():
        cell = {"type": "color-text"}
        panel.override_by_name(title, [
            models.DynamicConfigValue(id_val="mappings", value=[_mapping(texts)]),
            models.DynamicConfigValue(id_val="custom.cellOptions", value=cell),
        ])  # fmt: skip
    if sort_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])
    return _dress(panel, shown)


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _target(query: Query, place: int = 0, *, instant: bool = False) -> prometheus.Dataquery:
    made = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(_letter(place))
    return made.instant() if instant else made.range()


def _mapping(states: States) -> models.ValueMap:
    return models.ValueMap({
        str(value): models.ValueMappingResult(text=text, color=color, index=place)
        for place, (value, (text, color)) in enumerate(states.items())
    })  # fmt: skip


def _thresholds(limits: Sequence[tuple[float, str]]) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(None, GREEN if limits else BLUE)]
    steps += [models.Threshold(value, color) for value, color in limits]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _dress(panel: Any, shown: Shown) -> Panel:
    """Set what all kinds of panels have; their builders share these methods, but no class."""
    panel.title(shown.title).description(shown.description).unit(shown.unit).no_value(shown.empty)
    panel.span(shown.width).height(shown.height).datasource(SOURCE)
    if shown.decimals is not None:
        panel.decimals(shown.decimals)
    dressed: Panel = panel
    return dressed
