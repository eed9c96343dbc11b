"""The dashboard of drift: how far the inputs in production are from the training data, by column."""

from typing import Any

from grafana_foundation_sdk.models import units

from dashboards import frame, panels
from dashboards.frame import Section
from dashboards.panels import Query, Shown
from dashboards.queries import MODEL, VERSION, largest, of

_DRIFTED = {0: ("no", panels.GREEN), 1: ("drifted", panels.RED)}
# Columns in a diagram: the farthest.
_MOST = 15


def make() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.make(
        "tiffin-drift",
        "Drift",
        "Which inputs have moved from the training data, how far, and since when?",
        (_overview(), _distances(), _columns()),
        (frame.namespace(), frame.model(), frame.version()),
        "now-7d",
        "5m",
    )


def _of(metric: str, by: str, *filters: str) -> str:
    return largest(by, of(f"tiffin_monitoring_{metric}", MODEL, VERSION, *filters))


def _relative() -> str:
    """Return the query of each distance as a multiple of its limit."""
    by = "version, column, measure"
    return f"{_of('column_distance', by)} / {_of('column_limit', by)}"


def _overview() -> Section:
    by = "version {{version}}"
    return Section("Overview", (
        panels.number(
            Shown("Drifted columns",
                  "Inputs that have moved and that count for the predictions: these decide the verdict.",
                  units.Short, "Never monitored", width=6, height=5, decimals=0),
            Query(f"sum by (version) ({_of('column_drifted', 'version, column')})", by),
            limits=((1, panels.RED),),
        ),
        panels.number(
            Shown("Farthest column", "Largest distance, as a multiple of its limit.", units.Short, "No distances",
                  width=6, height=5, decimals=2),
            Query(f"topk by (version) (1, {_relative()})", "{{column}} ({{measure}})"),
            limits=((1, panels.RED),),
        ),
        panels.number(
            Shown("Rows", "Rows that are compared: with few, only a large drift is more than chance.", units.Short,
                  "Never monitored", width=6, height=5),
            Query(_of("window_rows", "version"), by),
        ),
        panels.number(
            Shown("Columns left out", "Columns of the monitoring that the metrics leave out, since they have at most "
                  "50: the report of the monitoring has all.", units.Short, "Never monitored", width=6, height=5,
                  decimals=0),
            Query(_of("columns_left_out", "version"), by),
            limits=((1, panels.YELLOW),),
        ),
    ))  # fmt: skip


def _distances() -> Section:
    legend = "{{column}} {{measure}}, version {{version}}"
    return Section("Distances from the training data", (
        panels.lines(
            Shown("Distance, as a multiple of its limit", f"The {_MOST} largest. Above the line, a column has drifted "
                  "if the distance is also more than chance.", units.Short, "No distances in this time", width=14,
                  height=10, decimals=2),
            (Query(f"topk({_MOST}, {_relative()})", legend),),
            limit=1,
        ),
        panels.bars(
            Shown("Newest distances", "The same at the last run.", units.Short, "No distances", width=10, height=10,
                  decimals=2),
            Query(f"topk({_MOST}, {_relative()})", legend),
            limits=((1, panels.RED),),
        ),
    ))  # fmt: skip


def _columns() -> Section:
    by = "version, column, measure"
    drifted = f"{_of('column_drifted', 'version, column')} == 1"
    only = f"and on (version, column) ({drifted})"
    distance, limit = _of("column_distance", by), _of("column_limit", by)
    return Section("Columns", (
        panels.rows(
            Shown("Drifted columns", "Distances of the columns that have drifted and that count.", units.Short,
                  "No column has drifted", width=24, height=7, decimals=4),
            ("version", "column", "measure"),
            (
                Query(f"{distance} {only}", "distance"),
                Query(f"{limit} {only}", "limit"),
                Query(f"({_relative()}) {only}", "multiple of the limit"),
            ),
            sort_by="multiple of the limit",
        ),
        panels.timeline(
            Shown("Drifted columns over time", "Since when a column has drifted, and whether it came back. Only "
                  "columns that have drifted in this time.", units.NoUnit, "No column has drifted in this time",
                  width=24, height=8),
            Query(f"{_of('column_drifted', 'version, column')} and on (version, column) "
                  f"(max_over_time({of('tiffin_monitoring_column_drifted', MODEL, VERSION)}[$__range] @ end()) == 1)",
                  "{{column}}, version {{version}}"),
            _DRIFTED,
        ),
        panels.rows(
            Shown("All columns",
                  "Newest distance of each column and its limit. A column without a limit is not judged.",
                  units.Short, "Never monitored", width=24, height=10, decimals=4),
            ("version", "column", "measure"),
            (
                Query(distance, "distance"),
                Query(limit, "limit"),
                Query(f"0 * {distance} + on (version, column) group_left () {_of('column_drifted', 'version, column')}",
                      "drifted"),
            ),
            states={"drifted": _DRIFTED},
            sort_by="distance",
        ),
        panels.lines(
            Shown("Rows in the window", "Rows that are compared.", units.Short, "Never monitored", decimals=0),
            (Query(_of("window_rows", "version"), "version {{version}}"),),
        ),
        panels.lines(
            Shown("Columns left out of the metrics", "See above.", units.Short, "Never monitored", decimals=0),
            (Query(_of("columns_left_out", "version"), "version {{version}}"),),
        ),
    ))  # fmt: skip
