"""Rules for Gateway API and for Istio, which the schemas of the manifests check as well."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tiffin.errors import InputError
from tiffin.gateway import grpc_route, virtual_service
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic

RUNS_IN = ("dev",)
SCHEMAS = Path(__file__).parents[1] / "manifests" / "schemas"
STABLE, CANDIDATE = "tiffin-stable", "tiffin-candidate"


def table(**models: Traffic) -> Table:
    return Table({name: Served(1, traffic) for name, traffic in models.items()})


def grpc_rules(found: Table) -> list[dict[str, Any]]:
    rules = grpc_route.make_rules(found)
    document = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute", "metadata": {"name": "a"}}
    check("grpcroute", {**document, "spec": {"rules": rules}})
    return rules


def istio_routes(found: Table) -> list[dict[str, Any]]:
    routes = virtual_service.make_routes(found)
    document = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a"}}
    check("virtualservice", {**document, "spec": {"hosts": ["a"], "http": routes}})
    return routes


def check(schema: str, document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{schema}.json").read_text())).validate(document)


@pytest.mark.parametrize("found", [table(), table(taxi=Traffic())])
def test_without_a_candidate_all_requests_go_to_stable(found: Table) -> None:
    assert [rule["backendRefs"] for rule in grpc_rules(found)] == [[{"name": STABLE, "port": 8500}]] * 2
    assert [route["route"][0]["destination"]["host"] for route in istio_routes(found)] == [STABLE] * 2


def test_weights() -> None:
    found = table(taxi=Traffic(2, 5))
    chosen, shared, *_ = grpc_rules(found)
    assert chosen["backendRefs"] == [{"name": CANDIDATE, "port": 8500}]
    assert {header["name"]: header["value"] for header in chosen["matches"][0]["headers"]} == {
        "x-tiffin-model": "taxi", "x-tiffin-version": "candidate",
    }  # fmt: skip
    assert [(one["name"], one["weight"]) for one in shared["backendRefs"]] == [(STABLE, 9500), (CANDIDATE, 500)]

    chosen, shared, *_ = istio_routes(found)
    assert chosen["route"][0]["destination"]["host"] == CANDIDATE
    assert [(one["destination"]["host"], one["weight"]) for one in shared["route"]] == [(STABLE, 95), (CANDIDATE, 5)]
    assert shared["match"][0]["headers"] == {"x-tiffin-model": {"exact": "taxi"}}


def test_copies() -> None:
    found = table(taxi=Traffic(2, mirror=12.5))
    [copies] = grpc_rules(found)[1]["filters"]
    assert copies["requestMirror"]["fraction"] == {"numerator": 1250, "denominator": 10000}
    assert copies["requestMirror"]["backendRef"]["name"] == CANDIDATE

    [copies] = istio_routes(found)[1]["mirrors"]
    assert (copies["destination"]["host"], copies["percentage"]) == (CANDIDATE, {"value": 12.5})


@pytest.mark.parametrize(("make", "traffic"), [
    (grpc_route.make_rules, Traffic(2, 5, sticky="x-user")),
    (virtual_service.make_routes, Traffic(2, 5, sticky="x-user")),
    (virtual_service.make_routes, Traffic(2, 0.5)),
])  # fmt: skip
def test_what_a_cluster_cannot_do_is_refused(make: Callable[[Table], object], traffic: Traffic) -> None:
    with pytest.raises(InputError, match="taxi"):
        make(table(taxi=traffic))


def test_a_route_has_room_for_seven_models() -> None:
    models = {f"m{number}": Traffic(2, 5) for number in range(8)}
    assert len(grpc_rules(table(**dict(list(models.items())[:7])))) == 16

    with pytest.raises(InputError, match="16"):
        grpc_route.make_rules(table(**models))
