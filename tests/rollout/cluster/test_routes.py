from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import kubernetes_api
from support.kubernetes_api import ROUTE, SERVICE, Cluster, running_cluster
from tiffin.errors import InputError, ServingError
from tiffin.gateway.applied import State
from tiffin.gateway.grpc_route import make_rules
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.virtual_service import make_routes
from tiffin.rollout.cluster import routes as cluster_routes
from tiffin.rollout.cluster.routes import ROUTERS
from tiffin.serving.root import GATEWAY

CANARY, EMPTY = Table({"taxi": Served(1, Traffic(2, weight=5.0))}), Table({})


class Router:
    """A router of a cluster, and a serving root."""

    def __init__(self, cluster: Cluster, kind: str, root: Path) -> None:
        self.cluster, self.kind, self.root = cluster, kind, root
        root.mkdir()

    @property
    def object(self) -> Any:
        return self.cluster.objects[ROUTE if self.kind == "gateway-api" else SERVICE]

    def write(self, table: Table) -> None:
        (self.root / GATEWAY).write_bytes(table.content)

    def divide(self) -> State:
        return cluster_routes.divide(self.cluster.api, ROUTERS[self.kind], str(self.root), 0.0)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Router]:
    with running_cluster(tmp_path, "gateway") as cluster:
        cluster.controller = kubernetes_api.accept
        yield Router(cluster, "gateway-api", tmp_path / "root")


@pytest.fixture
def istio(tmp_path: Path) -> Iterator[Router]:
    with running_cluster(tmp_path, "istio") as cluster:
        yield Router(cluster, "istio", tmp_path / "root")


def test_a_serving_root_without_models(gateway: Router) -> None:
    assert gateway.divide() == "applied"
    assert gateway.object["spec"] == {"rules": make_rules(EMPTY)}


def test_rules_of_a_grpc_route(gateway: Router) -> None:
    gateway.write(CANARY)
    assert gateway.divide() == "applied"
    assert gateway.object["spec"] == {"rules": make_rules(CANARY)}
    gateway.write(EMPTY)
    assert gateway.divide() == "applied"
    assert gateway.object["spec"] == {"rules": make_rules(EMPTY)}


def test_routes_of_a_virtual_service(istio: Router) -> None:
    istio.write(CANARY)
    assert istio.divide() == "applied"
    assert istio.object["spec"] == {"http": make_routes(CANARY)}


def test_nothing_is_changed_twice(gateway: Router) -> None:
    gateway.write(CANARY)
    gateway.divide()
    # Defaults that the API server adds.
    for rule in gateway.object["spec"]["rules"]:
        for backend in rule["backendRefs"]:
            backend |= {"group": "", "kind": "Service"}
    assert gateway.divide() == "applied"
    assert len(gateway.cluster.changes()) == 1


def test_copies_that_end(gateway: Router) -> None:
    gateway.write(Table({"taxi": Served(1, Traffic(2, mirror=100.0))}))
    gateway.divide()
    gateway.write(Table({"taxi": Served(1, Traffic(2))}))
    gateway.divide()

    assert "RequestMirror" not in str(gateway.object["spec"])


def test_rules_that_somebody_reset(gateway: Router) -> None:
    gateway.write(CANARY)
    gateway.divide()
    gateway.cluster.change(gateway.object, {"spec": {"rules": make_rules(EMPTY)}})

    assert gateway.divide() == "applied"
    assert gateway.object["spec"] == {"rules": make_rules(CANARY)}


def test_a_table_that_changes_meanwhile(gateway: Router) -> None:
    """Another process has written a later table, and changed the object, after this one read both."""
    gateway.write(CANARY)

    def change() -> None:
        gateway.cluster.before_patch = lambda: None
        gateway.write(EMPTY)
        gateway.cluster.change(gateway.object, {"spec": {"rules": []}})

    gateway.cluster.before_patch = change
    gateway.divide()

    assert gateway.object["spec"] == {"rules": make_rules(EMPTY)}


def test_a_gateway_that_has_not_seen_the_route_yet(gateway: Router) -> None:
    gateway.cluster.controller = lambda _: None
    assert gateway.divide() == "pending"
    assert gateway.divide() == "pending"
    kubernetes_api.accept(gateway.object)
    assert gateway.divide() == "applied"


def test_a_gateway_that_has_accepted_an_earlier_route(gateway: Router) -> None:
    gateway.divide()
    gateway.cluster.controller = lambda _: None
    gateway.write(CANARY)

    assert gateway.divide() == "pending"


@pytest.mark.parametrize("kind", ["Accepted", "ResolvedRefs"])
def test_a_gateway_that_refuses_the_route(gateway: Router, kind: str) -> None:
    def refuse(document: dict[str, Any]) -> None:
        kubernetes_api.accept(document)
        for condition in document["status"]["parents"][0]["conditions"]:
            if condition["type"] == kind:
                condition |= {"status": "False", "reason": "Unsupported", "message": "mirrors"}

    gateway.cluster.controller = refuse
    with pytest.raises(ServingError, match="Unsupported: mirrors"):
        gateway.divide()


def test_traffic_that_cannot_be_expressed(istio: Router) -> None:
    istio.write(Table({"taxi": Served(1, Traffic(2, weight=0.5))}))
    with pytest.raises(InputError, match="taxi"):
        istio.divide()
    assert istio.cluster.changes() == []
