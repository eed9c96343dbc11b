"""Envoy's clusters: the servers that requests go to.

A cluster is named `<model>/<route>/<protocol>`, from which the metrics and the prediction log take their labels. Models whose
requests all go to the stable servers share the clusters of the model `*`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tiffin.gateway.table import Table

RECORDER = "recorder"
# Name of all models without a candidate.
OTHERS = "*"
# Copies that are under way at once; more are dropped, so that a slow candidate does not slow the gateway.
_MOST_COPIES = 256
# The limits of Envoy are for a sidecar.
_MOST = 1 << 20

Protocol = Literal["grpc", "rest"]
Route = Literal["stable", "candidate", "mirror"]
_PROTOCOLS: tuple[Protocol, ...] = ("grpc", "rest")

_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class Upstreams:
    """The model servers.

    Attributes:
        stable_grpc: `host:port` of the stable servers' gRPC API. A host name may have the addresses of several servers.
        stable_rest: `host:port` of their REST API; empty if it is off.
        candidate_grpc: The same of the candidate servers; empty if there are none.
        candidate_rest: The same of their REST API.
        mirror: Path of the socket that copies of requests go to.
    """

    stable_grpc: str
    stable_rest: str
    candidate_grpc: str
    candidate_rest: str
    mirror: str


def cluster_name(model: str, route: Route, protocol: Protocol) -> str:
    """Return the name of a cluster."""
    return f"{model}/{route}/{protocol}"


def make_clusters(table: Table, upstreams: Upstreams) -> list[dict[str, Any]]:
    """Return the clusters for the traffic of the models, without those whose servers have no address."""
    models = [OTHERS, *(name for name, one in sorted(table.models.items()) if one.traffic.candidate is not None)]
    return [{"@type": _CLUSTER, **cluster} for cluster in _clusters(models, upstreams)]


def _clusters(models: Iterable[str], upstreams: Upstreams) -> Iterable[dict[str, Any]]:
    yield make_cluster("copies", [upstreams.mirror], "grpc", _MOST_COPIES)
    yield make_cluster("copies/rest", [upstreams.mirror], "rest", _MOST_COPIES)
    for model in models:
        for protocol in _PROTOCOLS:
            stable, candidate = (getattr(upstreams, f"{track}_{protocol}") for track in ("stable", "candidate"))
            if stable:
                yield make_cluster(cluster_name(model, "stable", protocol), [stable], protocol)
            if candidate and model != OTHERS:
                yield make_cluster(cluster_name(model, "candidate", protocol), [candidate], protocol)
                yield make_cluster(cluster_name(model, "mirror", protocol), [candidate], protocol)


def without_candidate(cluster: dict[str, Any], upstreams: Upstreams) -> dict[str, Any]:
    """Return a cluster for requests that wait for the candidate of a model that has none any more: the stable servers.

    Of gRPC only, whose answers name their version. By REST, the version would be that of the route, so those requests wait on.
    """
    name = str(cluster["name"])
    if not name.endswith(cluster_name("", "candidate", "grpc")):
        return cluster
    return {"@type": _CLUSTER, **make_cluster(name, [upstreams.stable_grpc], "grpc")}


def make_cluster(name: str, addresses: list[str], protocol: Protocol, most: int = _MOST) -> dict[str, Any]:
    """Return a cluster.

    Args:
        name: Its name.
        addresses: Addresses as `host:port`, or paths of Unix sockets.
        protocol: `grpc` for HTTP/2, `rest` for HTTP/1.1.
        most: Requests that are under way at once.
    """
    endpoints = [{"endpoint": {"address": _address(address)}} for address in addresses]
    options: dict[str, Any] = {"http2_protocol_options": {}} if protocol == "grpc" else {"http_protocol_options": {}}
    limits = {"max_connections": _MOST, "max_pending_requests": most, "max_requests": most, "max_retries": _MOST}
    is_name = any(not address.startswith("/") and address[:1].isalpha() for address in addresses)
    return {
        "name": name,
        "connect_timeout": "2s",
        # A host name is resolved again, and each of its addresses is a server: requests are spread over the servers.
        **(
            {"type": "STRICT_DNS", "dns_refresh_rate": "2s", "respect_dns_ttl": False}
            if is_name
            else {"type": "STATIC"}
        ),
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}", "explicit_http_config": options}
        },
    }


def _address(address: str) -> dict[str, Any]:
    if address.startswith("/"):
        return {"pipe": {"path": address}}
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
