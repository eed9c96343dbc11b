"""Envoy's routes: which servers a request goes to.

The filter has set `x-tiffin-model` and `x-tiffin-pinned` from the request, see `filter.lua`. Answers have the headers
`x-tiffin-route` (`stable` or `candidate`) and `x-tiffin-version`, if the version is known.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tiffin.gateway.clusters import OTHERS, Protocol, Route, cluster_name
from tiffin.gateway.envoy import CLIENTS, MAX_BODY_BYTES, MIRROR
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import PARTS
from tiffin.serving.connection import MODEL_HEADER

MODEL, PINNED, CHOSEN = MODEL_HEADER, "x-tiffin-pinned", "x-tiffin-version"
# Page of the gateway with the digest of the table that it follows.
APPLIED = "/tiffin/traffic"

_ROUTE_TABLE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_PREDICTIONS = "/tensorflow.serving.PredictionService/"
_REST = "/v1/models/"
# A request that did not reach a server is sent again until one accepts it. A request that a server has received is not: it
# might be the one that ended the server.
_RETRIES = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 60,
    "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"},
}


def make_routes(table: Table, *, has_rest: bool) -> dict[str, dict[str, Any]]:
    """Return the route table of each listener: of the clients' requests and of their copies.

    Args:
        table: Where the requests for each model go.
        has_rest: Whether the servers have a REST API.
    """
    protocols: tuple[Protocol, ...] = ("grpc", "rest") if has_rest else ("grpc",)
    models = sorted(table.models.items())
    clients = [
        {"match": {"path": APPLIED}, "direct_response": {"status": 200, "body": {"inline_string": table.digest}}},
        *(route for name, one in models for kind in protocols for route in _of_model(name, one, kind)),
        _route(_match(_PREDICTIONS), _to(OTHERS, "stable", "grpc")),
        # Reading is allowed, replacing the models is not.
        _route({"path": "/tensorflow.serving.ModelService/GetModelStatus"}, _to(OTHERS, "stable", "grpc")),
        _route(_match("/grpc.health.v1.Health/"), _to(OTHERS, "stable", "grpc")),
        *([_route(_match(_REST), _to(OTHERS, "stable", "rest"))] if has_rest else []),
    ]
    copies = [
        _route(
            _match(prefix, {MODEL: name}),
            _to(name, "mirror", kind),
            one.share,
            **_answer("mirror", one.traffic.candidate),
        )
        for name, one in models
        if one.traffic.candidate is not None
        for kind, prefix in (("grpc", _PREDICTIONS), ("rest", _REST))
        if kind in protocols
    ]
    # Copies have their routes before clients' requests are copied.
    return {MIRROR: _table(MIRROR, copies), CLIENTS: _table(CLIENTS, clients)}


def _of_model(name: str, served: Served, protocol: Protocol) -> Iterator[dict[str, Any]]:
    prefix, traffic = (_PREDICTIONS if protocol == "grpc" else _REST), served.traffic
    if traffic.candidate is None:
        answer = _answer("stable", served.version)
        yield _route(_match(prefix, {MODEL: name}), _to(OTHERS, "stable", protocol), served.share, **answer)
        return

    def to(headers: dict[str, str | None], side: Route, **options: Any) -> dict[str, Any]:
        version = served.version if side == "stable" else traffic.candidate
        match = _match(prefix, {MODEL: name, **headers})
        return _route(match, {**_to(name, side, protocol), **options}, served.share, **_answer(side, version))

    yield to({CHOSEN: "candidate"}, "candidate")
    yield to({CHOSEN: "stable"}, "stable")
    yield to({PINNED: str(traffic.candidate)}, "candidate")
    yield to({PINNED: None}, "stable")
    if traffic.weight:
        yield _split(_match(prefix, {MODEL: name}), name, served, protocol)
    elif traffic.mirror:
        share = {"numerator": round(traffic.mirror * PARTS), "denominator": "MILLION"}
        copies = {
            "cluster": "copies" if protocol == "grpc" else "copies/rest",
            "runtime_fraction": {"default_value": share},
        }
        yield to({}, "stable", request_mirror_policies=[copies])
    else:
        yield to({}, "stable")


def _split(match: dict[str, Any], name: str, served: Served, protocol: Protocol) -> dict[str, Any]:
    traffic = served.traffic
    sides: tuple[tuple[Route, int | None, int], ...] = (
        ("stable", served.version, traffic.parts[0]), ("candidate", traffic.candidate, traffic.parts[1]),
    )  # fmt: skip
    clusters: dict[str, Any] = {
        "clusters": [
            {"name": cluster_name(name, side, protocol), "weight": weight, **_answer(side, version)}
            for side, version, weight in sides
        ]
    }
    action: dict[str, Any] = {"weighted_clusters": clusters}
    if traffic.sticky:
        clusters["use_hash_policy"] = True
        action["hash_policy"] = [{"header": {"header_name": traffic.sticky}}]
    return _route(match, action, served.share)


def _table(name: str, routes: list[dict[str, Any]]) -> dict[str, Any]:
    host = {"name": name, "domains": ["*"], "routes": routes, "request_body_buffer_limit": MAX_BODY_BYTES}
    return {"@type": _ROUTE_TABLE, "name": name, "virtual_hosts": [host]}


def _match(prefix: str, headers: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return a match of a path and of headers; a header with None only has to be there."""
    found = [
        {"name": name, **({"present_match": True} if value is None else {"string_match": {"exact": value}})}
        for name, value in (headers or {}).items()
    ]
    return {"prefix": prefix, "case_sensitive": prefix != _REST, **({"headers": found} if found else {})}


def _route(match: dict[str, Any], action: dict[str, Any], share: float = 1.0, **options: Any) -> dict[str, Any]:
    # The client's deadline ends a request; Envoy's own, of 15 seconds, would end long ones.
    waits = {"timeout": "0s", "retry_policy": _RETRIES}
    metadata = {"metadata": {"filter_metadata": {"envoy.filters.http.lua": {"share": share}}}} if share != 1 else {}
    return {"match": match, "route": {**action, **waits}, **metadata, **options}


def _to(model: str, side: Route, protocol: Protocol) -> dict[str, Any]:
    return {"cluster": cluster_name(model, side, protocol)}


def _answer(side: Route, version: int | None) -> dict[str, Any]:
    values = {"x-tiffin-route": side, **({"x-tiffin-version": str(version)} if version is not None else {})}
    return {
        "response_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in values.items()
        ]
    }
