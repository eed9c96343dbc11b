"""What every dashboard has; tests/dashboards/test_queries.py runs their queries."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models

from dashboards import queries
from dashboards.__main__ import DASHBOARDS, FOLDER, format_dashboard
from support.dashboards import Target, fill_in, find_targets, read_dashboards
from tiffin.model_server.metrics import METRICS as SERVED
from tiffin.observability.metrics import METRICS as PAGE
from tiffin.recorder.metrics import Metrics

TARGETS = find_targets()
# Grafana's own.
BUILT_IN = {"__rate_interval", "__range", "datasource"}
# Of Envoy's page, see docs/how-to/gateway.md.
ENVOY = {
    "envoy_cluster_grpc_failure", "envoy_cluster_upstream_rq_xx", "envoy_cluster_upstream_rq_cancelled",
    "envoy_cluster_upstream_rq_tx_reset", "envoy_cluster_upstream_rq_time_bucket",
    "envoy_cluster_copies_upstream_rq_active_overflow", "envoy_access_logs_grpc_access_log_logs_dropped",
}  # fmt: skip
# Counted for all models together.
SHARED = re.compile(
    r"envoy_(cluster_copies|access_logs)_.*|tiffin_recorder_(?!requests_total|rows_total|files_total|bytes_total).*"
)


def served_names() -> set[str]:
    """Return the names of the model servers' metrics."""
    names = {re.sub("[^a-zA-Z0-9_]", ":", metric.name): metric for metric in SERVED.values()}
    return {
        full
        for name, metric in names.items()
        for full in ([f"{name}_{part}" for part in ("bucket", "sum", "count")] if metric.limits else [name])
    }


def recorder_names() -> set[str]:
    """Return the names of the recorder's metrics."""
    metrics = Metrics()
    for name in ("queue_entries", "sent_share", "waiting_files"):
        metrics.gauge(name, "", lambda: 0.0)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.registry.collect()
    }


@pytest.fixture(params=sorted(DASHBOARDS))
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read_dashboards()[request.param]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels without the titles of the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_file_is_what_the_code_writes(name: str) -> None:
    content = format_dashboard(DASHBOARDS[name]())

    assert (FOLDER / f"{name}.json").read_bytes() == content, "run `make golden` and review the diff"
    assert format_dashboard(DASHBOARDS[name]()) == content


def test_there_is_no_other_file() -> None:
    assert set(read_dashboards()) == set(DASHBOARDS)


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_the_models_of_grafana_read_a_dashboard_back(name: str) -> None:
    """Of the SDK: there is no Grafana to load it into."""
    register_default_plugins()
    found = read_dashboards()[name]
    for annotation in found["annotations"]["list"]:
        annotation.pop("titleFormat", None)
        annotation.pop("textFormat", None)

    assert json.loads(json.dumps(models.Dashboard.from_json(found), cls=JSONEncoder)) == found


def test_the_dashboards_find_one_another(dashboard: dict[str, Any]) -> None:
    assert re.fullmatch(r"tiffin-[a-z]{5,30}", dashboard["uid"])
    assert dashboard["uid"].removeprefix("tiffin-") in DASHBOARDS
    assert dashboard["title"].startswith("Tiffin / ")
    assert dashboard["description"].endswith("?")
    assert [(link["type"], link["tags"]) for link in dashboard["links"]] == [("dashboards", dashboard["tags"])]
    assert (dashboard["links"][0]["keepTime"], dashboard["links"][0]["includeVars"]) == (True, True)
    # A number that one Grafana has given it.
    assert "id" not in dashboard


def test_every_panel_tells_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"], panel["id"]
        assert re.search(r"\w.*\.$", panel["description"]), panel["title"]
        assert panel["description"] != panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_panels_have_ids_and_places_of_their_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    cells = [set(covered(panel["gridPos"])) for panel in dashboard["panels"]]

    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert dashboard["panels"][0]["type"] == "row"
    assert all(0 <= x < 24 for cell in cells for x, _ in cell)
    assert not any(one & other for one, other in combinations(cells, 2))


def covered(place: dict[str, int]) -> list[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    return [(place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])]


def test_rows_are_as_wide_as_the_page(dashboard: dict[str, Any]) -> None:
    widths: dict[int, int] = {}
    for panel in dashboard["panels"]:
        widths[panel["gridPos"]["y"]] = widths.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]

    assert set(widths.values()) == {24}


def test_variables_are_declared_and_used(dashboard: dict[str, Any]) -> None:
    declared = [variable["name"] for variable in dashboard["templating"]["list"]]
    expressions = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    used = set(re.findall(r"\$(\w+)", " ".join(expressions)))

    assert declared[:3] == ["datasource", "namespace", "model"]
    assert used - BUILT_IN == set(declared) - BUILT_IN
    assert all(variable["label"] for variable in dashboard["templating"]["list"])


def test_the_variables_ask_for_labels_that_a_metric_has(dashboard: dict[str, Any]) -> None:
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"])
            assert found, variable["query"]
            assert found[2] in (*PAGE[found[1]][0], "namespace")


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_query_has_known_metrics_only(target: Target) -> None:
    names = {metric for metric, _ in target.selectors}

    assert names
    assert names <= {*PAGE, *served_names(), *recorder_names(), *ENVOY}


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_metric_of_a_query_is_filtered(target: Target) -> None:
    known = {value for name, value in vars(queries).items() if name.isupper()}
    for metric, filters in target.selectors:
        given = filters.split(",")
        assert given[0] == 'namespace=~"$namespace"'
        if SHARED.fullmatch(metric):
            assert len(given) == 1, metric
            continue
        assert "$model" in filters, metric
        assert given[1] in known
        if metric in PAGE:
            labels = {re.match(r"\w+", one)[0] for one in given[1:]}  # type: ignore[index]
            assert labels <= set(PAGE[metric][0]), metric
            assert ("$version" in filters) is (metric.startswith("tiffin_monitoring_"))


def test_the_shared_metrics_have_no_model() -> None:
    for family in Metrics().registry.collect():
        for sample in family.samples:
            assert "model" not in sample.labels


def test_a_legend_has_labels_that_its_query_keeps() -> None:
    for target in TARGETS:
        for label in re.findall(r"\{\{(\w+)\}\}", target.legend):
            assert re.search(rf"\b{label}\b", target.expression), target


def test_variables_are_replaced() -> None:
    assert fill_in('a{model=~"$model"}[$__range]', {"model": "b", "__range": "5s"}) == 'a{model=~"b"}[5s]'
    with pytest.raises(KeyError, match="model"):
        fill_in("$model", {})
