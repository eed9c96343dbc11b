"""The option monitoring: the program that it runs, what is scraped, the rules and the dashboards."""

from typing import Any

import pytest
import yaml

from support import manifest_rendering
from support.dashboards import read_dashboards
from support.manifest_rendering import KUBECTL, OVERLAYS, ROOT, read_goldens
from tiffin.observability.program import _parse
from tiffin.observability.rules import format_operator_rules, make_rules

FOLDER = ROOT / "manifests" / "options" / "monitoring"
NAME = "tiffin-observability"


@pytest.fixture(params=OVERLAYS)
def documents(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The resources with the options envoy and monitoring."""
    found = read_goldens()[request.param, ("mlflow", "envoy", "monitoring", "gpu")]
    return {key: yaml.safe_load(text) for key, text in found.items()}


def test_the_program_takes_its_arguments(documents: dict[str, dict[str, Any]]) -> None:
    spec = documents[f"Deployment/{NAME}"]["spec"]["template"]["spec"]
    [page] = spec["containers"]
    settings = documents["ConfigMap/tiffin"]["data"]
    arguments = [one.replace("$(", "{").replace(")", "}").format(**settings) for one in page["args"]]

    options = _parse(arguments)

    assert page["command"] == ["python", "-m", "tiffin.observability"]
    assert [port["containerPort"] for port in page["ports"]] == [options.port]
    assert options.host == "0.0.0.0"
    assert (options.places.statuses, options.places.serving_root) == (
        settings["TIFFIN_LOG_ROOT"], settings["TIFFIN_SERVING_ROOT"],
    )  # fmt: skip
    # The image of the recorder, which has the same package.
    images = {one["image"] for one in documents["Deployment/tiffin-gateway"]["spec"]["template"]["spec"]["containers"]}
    assert {page["image"]} == images


def test_the_program_only_reads(documents: dict[str, dict[str, Any]]) -> None:
    spec = documents[f"Deployment/{NAME}"]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in spec["containers"][0]["volumeMounts"]}
    is_bucket = documents["ConfigMap/tiffin"]["data"]["TIFFIN_SERVING_ROOT"].startswith("gs://")

    assert mounts == {"/tmp": False, **({} if is_bucket else {"/serving": True, "/predictions": True})}
    assert documents[f"ServiceAccount/{NAME}"]["automountServiceAccountToken"] is False
    assert not [key for key, one in documents.items() if one["kind"] == "RoleBinding" and NAME in str(one["subjects"])]


def test_what_is_scraped_exists_and_lets_prometheus_in(documents: dict[str, dict[str, Any]]) -> None:
    pods = [one["spec"]["template"] for one in documents.values() if one["kind"] == "Deployment"]
    policies = [one["spec"] for one in documents.values() if one["kind"] == "NetworkPolicy"]
    scraped = set()
    for monitor in (one for one in documents.values() if one["kind"] in ("PodMonitor", "ServiceMonitor")):
        labels = monitor["spec"]["selector"]["matchLabels"]
        endpoints = monitor["spec"].get("podMetricsEndpoints") or monitor["spec"]["endpoints"]
        found = [pod for pod in pods if labels.items() <= pod["metadata"]["labels"].items()]
        assert found, monitor["metadata"]["name"]
        for pod, endpoint in ((pod, endpoint) for pod in found for endpoint in endpoints):
            ports = {port["name"]: port for one in pod["spec"]["containers"] for port in one.get("ports", [])}
            assert endpoint["port"] in ports
            assert endpoint["port"] in open_to_prometheus(policies, pod["metadata"]["labels"])
            scraped.add((pod["metadata"]["labels"]["app.kubernetes.io/name"], endpoint["port"], endpoint["path"]))

    assert scraped == {
        ("tensorflow-serving", "http", "/monitoring/prometheus/metrics"),
        ("tiffin-gateway", "metrics", "/metrics"),
        ("tiffin-gateway", "recorder", "/metrics"),
        (NAME, "metrics", "/metrics"),
    }


def open_to_prometheus(policies: list[dict[str, Any]], labels: dict[str, str]) -> set[str]:
    """Return the ports of a pod that the namespace of Prometheus reaches."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    return {
        port["port"]
        for policy in policies
        if policy["podSelector"].get("matchLabels", {}).items() <= labels.items()
        for rule in policy.get("ingress", [])
        if peer in rule.get("from", [])
        for port in rule["ports"]
    }


def test_a_service_monitor_finds_its_service(documents: dict[str, dict[str, Any]]) -> None:
    monitor, service = documents[f"ServiceMonitor/{NAME}"], documents[f"Service/{NAME}"]

    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["spec"]["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]


def test_the_rules_are_those_of_the_command(documents: dict[str, dict[str, Any]]) -> None:
    expected = format_operator_rules(make_rules(()))

    assert (FOLDER / "rules.yaml").read_text() == expected, "run `make golden` and review the diff"
    assert documents["PrometheusRule/tiffin"]["spec"] == yaml.safe_load(expected)["spec"]


def test_grafana_finds_the_dashboards(documents: dict[str, dict[str, Any]]) -> None:
    config = documents["ConfigMap/tiffin-dashboards"]

    # The label of the sidecar in Grafana's chart.
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["data"] == {
        f"tiffin-{name}.json": f"content of manifests/options/monitoring/{name}.json" for name in read_dashboards()
    }


def test_the_config_map_has_the_content_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_rendering, "_without_dashboards", lambda text: text)
    found = manifest_rendering.render.__wrapped__("local", ("monitoring",))["ConfigMap/tiffin-dashboards"]

    assert KUBECTL.exists()
    assert yaml.safe_load(found)["data"] == {
        f"tiffin-{name}.json": (FOLDER / f"{name}.json").read_text() for name in read_dashboards()
    }
    # The largest ConfigMap that Kubernetes takes.
    assert len(found.encode()) < 1 << 20
