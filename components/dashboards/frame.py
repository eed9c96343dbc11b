"""A whole dashboard: its variables, rows of panels, links to the others, and alerts as annotations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.panels import SOURCE, Panel

# The dashboards find one another by it.
TAG = "tiffin"
_ALL = models.VariableOption(selected=True, text="All", value="$__all")
# An alert about the gateway's recorder has no model.
_ALERTS = 'ALERTS{alertname=~"Tiffin.*",alertstate="firing",namespace=~"$namespace|",model=~"$model|"}'


@dataclass(frozen=True)
class Section:
    """A row of a dashboard: its title and panels."""

    title: str
    panels: tuple[Panel, ...]


def namespace() -> dashboard.QueryVariable:
    """Return the variable with the namespaces; where metrics have none, as on a laptop, it is All."""
    return _several("namespace", "Namespace", "label_values(tiffin_serving_version_info, namespace)")


def model() -> dashboard.QueryVariable:
    """Return the variable with one model of the serving root."""
    query = 'label_values(tiffin_serving_version_info{namespace=~"$namespace"}, model)'
    return _query("model", "Model", query)


def models_of_the_root() -> dashboard.QueryVariable:
    """Return the variable with any number of models."""
    query = 'label_values(tiffin_serving_version_info{namespace=~"$namespace"}, model)'
    return _several("model", "Model", query)


def version() -> dashboard.QueryVariable:
    """Return the variable with the versions that were monitored, the newest first."""
    query = 'label_values(tiffin_monitoring_verdict{namespace=~"$namespace",model="$model"}, version)'
    return _several("version", "Version", query).sort(models.VariableSort.NUMERICAL_DESC)


def metric() -> dashboard.QueryVariable:
    """Return the variable with the metrics of quality."""
    query = 'label_values(tiffin_monitoring_quality{namespace=~"$namespace",model="$model"}, metric)'
    return _several("metric", "Metric", query)


def make(
    uid: str, title: str, description: str, sections: Sequence[Section], variables: Sequence[dashboard.QueryVariable],
    since: str, refresh: str,
) -> dict[str, Any]:  # fmt: skip
    """Return a dashboard as a JSON object.

    Args:
        uid: Its ID in every Grafana.
        title: Title, without the name of the suite.
        description: What it answers.
        sections: Rows of panels.
        variables: Variables after that of the data source.
        since: Start of the time range, such as `now-6h`.
        refresh: Time between two refreshes, such as `1m`.
    """
    built = dashboard.Dashboard(f"Tiffin / {title}").uid(uid).description(description).tags([TAG]).editable()
    built.time(since, "now").refresh(refresh).timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    built.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for variable in variables:
        built.with_variable(variable)
    built.link(
        dashboard.DashboardLink("Tiffin").type(models.DashboardLinkType.DASHBOARDS).tags([TAG]).icon("external link")
        .tooltip("The other dashboards, of the same model and time").as_dropdown(False).target_blank(False)
        .include_vars(True).keep_time(True)
    )  # fmt: skip
    built.annotation(
        dashboard.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red").expr(_ALERTS)
    )
    for section in sections:
        built.with_row(dashboard.Row(section.title))
        for panel in section.panels:
            built.with_panel(panel)
    return _complete(built.build())


def _complete(built: models.Dashboard) -> dict[str, Any]:
    """Return a dashboard as JSON, with what the SDK has no fields for."""
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
    found: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    for annotation in found["annotations"]["list"]:
        # Without them, Grafana shows an alert as a mark without a name.
        annotation |= {"titleFormat": "{{alertname}} {{severity}}", "textFormat": "{{model}} {{version}} {{column}}"}
    return found


def _query(name: str, label: str, query: str) -> dashboard.QueryVariable:
    made = dashboard.QueryVariable(name).label(label).query(query).datasource(SOURCE)
    return made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)


def _several(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return _query(name, label, query).multi(True).include_all(True).all_value(".*").current(_ALL)
