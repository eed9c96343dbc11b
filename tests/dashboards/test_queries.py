"""Every query of the dashboards, in a real Prometheus that scraped a real run."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import scraped
from support.dashboards import Target, fill_in, find_targets, read_dashboards
from support.scraped import CANDIDATE, MODEL, NAMESPACE, Prometheus

pytestmark = [pytest.mark.runs, pytest.mark.timeout(600)]

GRAFANA = {"__rate_interval": "15s", "__range": "60s"}
# As Grafana fills in one chosen value, and All.
ONE = {"namespace": NAMESPACE, "model": MODEL, "version": "1", "metric": "auc", **GRAFANA}
ALL = {**ONE, "namespace": ".*", "version": ".*", "metric": ".*"}
# Fires at once, so that annotations have something to show.
ALERT = {
    "groups": [{"name": "test", "rules": [
        {"alert": "TiffinErrors", "expr": "vector(1)", "labels": {"model": MODEL, "severity": "critical"}}
    ]}]
}  # fmt: skip


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("d")
    rules = folder / "rules.json"
    rules.write_text(json.dumps(ALERT))
    with scraped.run(folder, [rules]) as found:
        yield found


def ask(prometheus: Prometheus, target: Target, values: dict[str, str]) -> list[dict[str, Any]]:
    """Return the series that a panel gets."""
    expression = fill_in(target.expression, values)
    status, found = prometheus.query(expression) if target.instant else prometheus.query_range(expression)
    assert status == 200, (expression, found)
    return list(found)


def numbers(series: dict[str, Any]) -> list[float]:
    """Return the values of a series, which are none for a quantile of no requests."""
    points = [series["value"]] if "value" in series else series["values"]
    return [value for _, text in points if math.isfinite(value := float(text))]


@pytest.mark.parametrize("values", [ONE, ALL], ids=["one", "all"])
@pytest.mark.parametrize("target", find_targets(), ids=str)
def test_a_query_has_an_answer(prometheus: Prometheus, target: Target, values: dict[str, str]) -> None:
    series = ask(prometheus, target, values)

    assert any(numbers(one) for one in series), fill_in(target.expression, values)
    for label in re.findall(r"\{\{(\w+)\}\}", target.legend):
        assert all(one["metric"].get(label) for one in series), (label, series)


def test_nothing_that_is_scraped_is_no_zero(tmp_path: Path) -> None:
    """Panels then have their text for the time without data."""
    with scraped.scraping(tmp_path, {}) as empty:
        for target in find_targets():
            assert ask(empty, target, ALL) == [], target


def newest(prometheus: Prometheus, dashboard: str, panel: str, place: str = "A") -> dict[tuple[str, ...], float]:
    """Return the last values of a panel's query by the values of their labels."""
    [target] = [one for one in find_targets() if (one.dashboard, one.panel, one.place) == (dashboard, panel, place)]
    return {
        tuple(value for _, value in sorted(one["metric"].items())): numbers(one)[-1]
        for one in ask(prometheus, target, ALL)
        if numbers(one)
    }


class TestFigures:
    """Queries that compute give the figures of the run."""

    def test_of_drift(self, prometheus: Prometheus) -> None:
        assert newest(prometheus, "drift", "Drifted columns over time") == {("km", "1"): 1}
        assert newest(prometheus, "drift", "Farthest column") == {("km", "jensen_shannon", "1"): pytest.approx(3)}
        assert newest(prometheus, "drift", "Distance, as a multiple of its limit") == {
            ("city", "jensen_shannon", "1"): pytest.approx(0.2),
            ("km", "jensen_shannon", "1"): pytest.approx(3),
            ("km", "missing_share", "1"): 0,
        }
        assert newest(prometheus, "drift", "All columns", "C") == {
            ("city", "jensen_shannon", "1"): 0, ("city", "new_share", "1"): 0,
            ("km", "jensen_shannon", "1"): 1, ("km", "missing_share", "1"): 1,
        }  # fmt: skip

    def test_of_quality(self, prometheus: Prometheus) -> None:
        # 2 stands for drifted.
        assert newest(prometheus, "quality", "Verdict") == {("1",): 2}
        assert newest(prometheus, "quality", "Failed") == {("1",): 0.01}
        assert newest(prometheus, "quality", "Measured, less the value at training") == {
            ("auc", "1"): pytest.approx(-0.09), ("log_loss", "1"): pytest.approx(0.1),
        }  # fmt: skip

    def test_of_the_rollout(self, prometheus: Prometheus) -> None:
        candidate = str(CANDIDATE)

        assert newest(prometheus, "rollout", "Versions") == {("candidate", candidate): 0.5, ("stable", "1"): 0.5}
        # 2 stands for running, and 0 for an outcome that is not known yet.
        assert newest(prometheus, "rollout", "State") == {(candidate,): 2}
        assert newest(prometheus, "rollout", "Outcome") == {(candidate,): 0}
        assert newest(prometheus, "rollout", "Step") == {(candidate,): 1}
        failed = newest(prometheus, "rollout", "Failed")
        assert 0 < failed["stable",] < failed["candidate",] < 1
        ratios = newest(prometheus, "rollout", "Latency of the candidate, as a multiple of that in production")
        assert 0.01 < ratios["candidate",] < 100

    def test_of_the_service(self, prometheus: Prometheus) -> None:
        assert newest(prometheus, "service", "In production") == {(MODEL, "1"): 1}
        assert 0 < newest(prometheus, "service", "Failed")[()] < 1
        assert newest(prometheus, "service", "Errors by code").keys() == {(MODEL, "INVALID_ARGUMENT")}
        routes = {route for _, _, route in newest(prometheus, "service", "Requests by route")}
        assert routes == {"stable", "candidate", "mirror"}
        assert ("model_name",) in newest(prometheus, "service", "Left out", "B")


@pytest.mark.parametrize("name", sorted(read_dashboards()))
def test_the_variables_have_values(prometheus: Prometheus, name: str) -> None:
    expected = {"namespace": [NAMESPACE], "model": [MODEL], "version": ["1"], "metric": ["auc", "log_loss"]}
    for variable in read_dashboards()[name]["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert found
            assert prometheus.values(fill_in(found[1], ALL), found[2]) == expected[variable["name"]]


@pytest.mark.parametrize("name", sorted(read_dashboards()))
def test_alerts_are_annotations(prometheus: Prometheus, name: str) -> None:
    [annotation] = read_dashboards()[name]["annotations"]["list"]
    status, found = prometheus.query_range(fill_in(annotation["expr"], ONE))

    assert status == 200
    assert [one["metric"]["alertname"] for one in found] == ["TiffinErrors"]
