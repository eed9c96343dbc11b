from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support import kubernetes_api
from support.kubernetes_api import NAMESPACE, ROUTE, Cluster, running_cluster
from support.manifest_rendering import read_goldens
from tiffin.errors import InputError
from tiffin.gateway.applied import find_state
from tiffin.gateway.stats import read_stats
from tiffin.rollout.cluster import routes as cluster_routes
from tiffin.rollout.cluster.places import find_places
from tiffin.rollout.places import Places

LOCAL = {
    "TIFFIN_SERVING_ADDRESS": "127.0.0.1:8501",
    "TIFFIN_CANDIDATE_ADDRESS": "127.0.0.1:8502",
    "TIFFIN_GATEWAY_ADDRESS": "127.0.0.1:8600",
    "TIFFIN_GATEWAY_METRICS": "http://127.0.0.1:9901",
}


def settings(option: str) -> dict[str, str]:
    """Return the ConfigMap of the manifests with an option."""
    return dict(yaml.safe_load(read_goldens()["kubeflow", (option,)]["ConfigMap/tiffin"])["data"])


@pytest.fixture(params=["envoy", "gateway", "istio"])
def option(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cluster(tmp_path: Path, option: str) -> Iterator[Cluster]:
    with running_cluster(tmp_path, option) as running:
        yield running


@pytest.mark.parametrize("missing", LOCAL)
def test_a_variable_that_is_missing(missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        find_places({name: value for name, value in LOCAL.items() if name != missing})


def test_a_gateway_on_this_machine() -> None:
    places = find_places(LOCAL)

    assert places == Places(*LOCAL.values(), scale=places.scale)
    assert (places.read, places.divide) == (read_stats, find_state)
    places.scale(True)
    assert find_places({**LOCAL, "TIFFIN_LOG_ROOT": "/log"}).log == "/log"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIFFIN_ROUTES", "istoi"),
        ("TIFFIN_GATEWAY_ADDRESS", "gateway"),
        ("TIFFIN_CANDIDATE_ADDRESS", "candidate:0"),
        ("TIFFIN_GATEWAY_METRICS", "gateway:9901"),
        ("TIFFIN_PROMETHEUS", "prometheus:9090"),
        ("TIFFIN_PROMETHEUS", "http://prometheus:x"),
    ],
)
def test_a_variable_that_is_invalid(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"'{value}'"):
        find_places({**LOCAL, name: value})


@pytest.mark.parametrize("name", ["TIFFIN_CANDIDATE_DEPLOYMENT", "TIFFIN_ROUTES"])
def test_objects_outside_of_a_pod(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="KUBERNETES_SERVICE_HOST"):
        find_places({**LOCAL, name: "istio"}, tmp_path)


def test_prometheus_in_place_of_the_gateways(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        environment = settings("envoy") | cluster.environment | {"TIFFIN_PROMETHEUS": "http://prometheus:9090"}
        del environment["TIFFIN_GATEWAY_METRICS"]
        places = find_places(environment, cluster.api.account)

    assert places.metrics == "http://prometheus:9090"
    # Other namespaces may have models of the same names.
    assert places.read.keywords == {"namespace": NAMESPACE}  # type: ignore[attr-defined]


def test_the_settings_of_the_manifests(cluster: Cluster, option: str) -> None:
    places = find_places(settings(option) | cluster.environment, cluster.api.account)

    assert (places.stable, places.candidate) == ("tiffin-stable:8500", "tiffin-candidate-pods:8500")
    # Only Tiffin's gateway records requests.
    assert places.log == ("/predictions" if option == "envoy" else "")
    assert (places.divide == find_state) == (option == "envoy")
    assert cluster.changes() == []
    places.scale(True)
    assert cluster.replicas == 1


@pytest.mark.parametrize("option", ["gateway"])
def test_a_route_is_changed(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_routes, "SETTLE_SECONDS", 0.0)
    cluster.controller = kubernetes_api.accept
    places = find_places(settings("gateway") | cluster.environment, cluster.api.account)

    assert places.divide(places.gateway, str(tmp_path)) == "applied"
    assert cluster.changes() == [ROUTE]


def test_a_role_that_is_missing(cluster: Cluster, option: str) -> None:
    cluster.rules = []
    with pytest.raises(InputError, match="Role"):
        find_places(settings(option) | cluster.environment, cluster.api.account)


@pytest.mark.parametrize("option", ["istio"])
def test_prometheus_with_istio(cluster: Cluster) -> None:
    environment = settings("istio") | cluster.environment | {"TIFFIN_PROMETHEUS": "http://prometheus:9090"}
    with pytest.raises(InputError, match="TIFFIN_PROMETHEUS"):
        find_places(environment, cluster.api.account)
