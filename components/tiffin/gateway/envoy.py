"""Envoy's bootstrap: what does not change while it runs. Routes and clusters are files that it watches.

    <folder>/bootstrap.json   this module
    <folder>/clusters.json    `tiffin.gateway.clusters`
    <folder>/clients.json     `tiffin.gateway.routes`: routes of the clients' requests
    <folder>/mirror.json      the same of the copies of requests

The fields are those of Envoy's API version 3: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api
"""

import importlib.resources
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.gateway.clusters import RECORDER, make_cluster
from tiffin.gateway.stats import PAGE

# Largest request body. Envoy holds a request until it is complete, since the name of the model is in its body.
MAX_BODY_BYTES = 256 << 20
# Largest body of which the prediction log has the values.
MAX_LOGGED_BYTES = 1 << 20

# Time for which Envoy collects entries of the access log.
FLUSH_SECONDS = 0.5

CLUSTERS, BOOTSTRAP = "clusters.json", "bootstrap.json"
# The listeners, each with a route table of its name: clients, and copies of their requests.
CLIENTS, MIRROR = "clients", "mirror"

_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_GRPC_STATS = "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_ACCESS_LOG = "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"
_UUID = "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"
# In milliseconds. Envoy's own are too coarse for models that answer in a few.
_BUCKETS = [
    0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12.5, 15, 20, 25, 30, 40, 50, 65, 80, 100, 125, 150, 200, 250, 300, 400, 500,
    750, 1000, 1500, 2000, 3000, 5000, 10000, 30000,
]  # fmt: skip
# The statistics of the models, see `tiffin.gateway.stats`.
_STATS = r"/stats?format=json&usedonly&histogram_buckets=cumulative&filter=^cluster\.[^/]+/(stable|candidate|mirror)/"
# Name of a label to the part of the metric's name that it is taken from: `cluster.<model>/<route>/<protocol>.…`.
_TAGS = {
    "model": r"^cluster\.(([^/]+)/)(?:stable|candidate|mirror)/",
    "route": r"^cluster\.(?:[^/]+/)((stable|candidate|mirror)/)",
    "protocol": r"^cluster\.(?:[^/]+/)(?:stable|candidate|mirror)/((grpc|rest)\.)",
}


@dataclass(frozen=True)
class Places:
    """Where Envoy listens and what it connects to.

    Attributes:
        folder: Folder of its files and sockets.
        host: Address that clients connect to.
        port: Port that clients connect to, with gRPC or REST.
        metrics_host: Address of the metrics.
        metrics_port: Port of the metrics, for Prometheus.
        recorder: `host:port` of the recorder; empty for none.
        throttle: File in which the recorder says for which share of the requests it has time; empty for none.
    """

    folder: Path
    host: str
    port: int
    metrics_host: str
    metrics_port: int
    recorder: str = ""
    throttle: str = ""

    @property
    def admin(self) -> Path:
        """Unix socket of the admin interface, which can stop Envoy: only its user may connect."""
        return self.folder / "admin.sock"

    @property
    def mirror(self) -> Path:
        """Unix socket of the listener for copies of requests.

        Envoy drops the answer to a copy. A second listener sees it, so that it can be logged.
        """
        return self.folder / "mirror.sock"


def make_bootstrap(places: Places) -> dict[str, Any]:
    """Return Envoy's bootstrap."""
    watched = {"watched_directory": {"path": str(places.folder)}}
    clusters = [make_cluster("admin", [str(places.admin)], "rest")]
    if places.recorder:
        clusters.append(make_cluster(RECORDER, [places.recorder], "grpc"))
    return {
        "node": {"id": "tiffin", "cluster": "tiffin"},
        "admin": {"address": {"pipe": {"path": str(places.admin), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": {"path_config_source": {"path": str(places.folder / CLUSTERS), **watched}}},
        "static_resources": {
            "listeners": [
                _listener(CLIENTS, _socket(places.host, places.port), places),
                _listener(MIRROR, {"pipe": {"path": str(places.mirror), "mode": 0o600}}, places),
                _metrics_listener(places),
            ],
            "clusters": clusters,
        },
        # Latencies of the threads are added up so often.
        "stats_flush_interval": "1s",
        "stats_config": {
            "use_all_default_tags": False,
            "stats_tags": [
                *({"tag_name": name, "regex": regex} for name, regex in _TAGS.items()),
                *({"tag_name": f"envoy.{name}"} for name in ("response_code", "response_code_class")),
            ],
            "histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": _BUCKETS}],
        },
    }


def _listener(name: str, address: dict[str, Any], places: Places) -> dict[str, Any]:
    folder = {"path": str(places.folder)}
    source = {"path_config_source": {"path": str(places.folder / f"{name}.json"), "watched_directory": folder}}
    return {
        "name": name,
        "address": address,
        # Of every connection. A body may be larger: the routes set its limit.
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {
            "@type": _HTTP,
            "stat_prefix": name,
            # gRPC and REST on one port.
            "codec_type": "AUTO",
            "rds": {"route_config_name": name, "config_source": source},
            # The client's ID is kept, so that labels can be joined by it; a request without one gets one.
            "preserve_external_request_id": True,
            "always_set_request_id_in_response": True,
            "request_id_extension": {"typed_config": {"@type": _UUID, "pack_trace_reason": False}},
            "stream_idle_timeout": "0s",
            "common_http_protocol_options": {"idle_timeout": "3600s"},
            "http_filters": _filters(places),
            "access_log": _access_log(places),
        }}]}],
    }  # fmt: skip


def _filters(places: Places) -> list[dict[str, Any]]:
    source = importlib.resources.files("tiffin.gateway").joinpath("filter.lua").read_text()
    records, throttle = str(bool(places.recorder)).lower(), json.dumps(places.throttle, ensure_ascii=False)
    # A string of JSON is one of Lua.
    settings = f"local LIMIT, RECORDS, THROTTLE = {MAX_LOGGED_BYTES}, {records}, {throttle}\n"
    return [
        {"name": "envoy.filters.http.lua",
         "typed_config": {"@type": _LUA, "default_source_code": {"inline_string": settings + source}}},
        {"name": "grpc_stats", "typed_config": {"@type": _GRPC_STATS, "stats_for_all_methods": False}},
        {"name": "router", "typed_config": {"@type": _ROUTER}},
    ]  # fmt: skip


def _access_log(places: Places) -> list[dict[str, Any]]:
    """Return the log that sends sampled requests to the recorder. Envoy bounds its buffer, and counts what it drops."""
    if not places.recorder:
        return []
    logged = {"filter": "tiffin", "path": [{"key": "request"}], "value": {"present_match": True}}
    return [{
        "name": "recorder",
        "filter": {"metadata_filter": {"matcher": logged, "match_if_key_not_found": False}},
        "typed_config": {
            "@type": _ACCESS_LOG,
            "common_config": {
                "log_name": "predictions",
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": RECORDER}},
                "buffer_flush_interval": f"{FLUSH_SECONDS}s",
                "buffer_size_bytes": 1 << 18,
            },
            "additional_request_headers_to_log": [
                "x-tiffin-model", "x-tiffin-key", "content-type", "content-encoding", "grpc-encoding",
            ],
            "additional_response_headers_to_log": [
                "x-tiffin-version", "grpc-status", "content-encoding", "grpc-encoding",
            ],
            "additional_response_trailers_to_log": ["grpc-status"],
        },
    }]  # fmt: skip


def _metrics_listener(places: Places) -> dict[str, Any]:
    """Return the listener of the metrics: only these pages of the admin interface."""
    routes = [
        {"match": {"path": path}, "route": {"cluster": "admin", "prefix_rewrite": page}}
        for path, page in (("/metrics", "/stats/prometheus?usedonly"), (PAGE, _STATS), ("/ready", "/ready"))
    ]
    return {
        "name": "metrics",
        "address": _socket(places.metrics_host, places.metrics_port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {
            "@type": _HTTP,
            "stat_prefix": "metrics",
            "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
            "route_config": {"name": "metrics", "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": routes}]},
        }}]}],
    }  # fmt: skip


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
