"""Entries of Envoy's access log: which call each is of, and its bodies.

The Lua filter of the gateway puts both bodies, as base64, into the dynamic metadata `tiffin` of the request, except bodies
above 1 MiB; and `throttled`, the number of requests that it left out before this one, see `tiffin.recorder.throttle`.
"""

import re
import time
import urllib.parse
from typing import Any, NamedTuple

import grpc
from envoy.config.core.v3 import base_pb2

from tiffin.serving.root import model_of

ROUTES = ("stable", "candidate", "mirror")
_NAMESPACE = "tiffin"
_PREDICTION_SERVICE = "/tensorflow.serving.PredictionService/"
_GRPC_METHODS = {_PREDICTION_SERVICE + name: name for name in ("Predict", "Classify", "Regress", "MultiInference")}
_REST_METHODS = {"predict": "Predict", "classify": "Classify", "regress": "Regress"}
# TensorFlow Serving takes capital letters too.
_REST = re.compile(r"/v1/models/([^/:]+)(?:/versions/\d+|/labels/[^/:]+)?:(predict|classify|regress)", re.IGNORECASE)
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class Call(NamedTuple):
    """One call of a model.

    Attributes:
        model: Name of the model.
        route: `stable`, `candidate` or `mirror`.
        protocol: `grpc` or `rest`.
        method: `Predict`, `Classify`, `Regress` or `MultiInference`.
        request_id: ID that Envoy gave the request.
        micros: Start of the request, in microseconds since 1970.
        code: Name of the gRPC code, `HTTP_<status>` of a failed REST request, or `CANCELLED` if the client went away.
        latency_seconds: Time of the model server, or the whole duration without an answer.
        key: Key of the client; None without one.
        version: Version that the gateway knows to answer; None if it does not.
        request: Body as base64; None if it was not sent.
        response: Body as base64; None if it was not sent.
        request_encoding: Compression of the request; empty without one.
        response_encoding: Compression of the response; empty without one.
        is_too_large: Whether a body was too large to be sent.
    """

    model: str
    route: str
    protocol: str
    method: str
    request_id: str
    micros: int
    code: str
    latency_seconds: float
    key: str | None
    version: int | None
    request: str | None
    response: str | None
    request_encoding: str
    response_encoding: str
    is_too_large: bool


def read_entry(entry: Any) -> Call | None:
    """Return the call of an HTTPAccessLogEntry; None if it is not a call for a prediction."""
    common, request, response = entry.common_properties, entry.request, entry.response
    path = request.path.partition("?")[0]
    method, rest = _GRPC_METHODS.get(path), None
    if method is None:
        rest = _REST.fullmatch(path)
        if rest is None or request.request_method != base_pb2.POST:
            return None
        method = _REST_METHODS[rest[2].lower()]
    cluster, route, _ = _split(common.upstream_cluster)
    sent, answered = request.request_headers, response.response_headers
    model = sent.get("x-tiffin-model", "") or (urllib.parse.unquote(rest[1]) if rest else cluster)
    encoding = "content-encoding" if rest else "grpc-encoding"
    version = answered.get("x-tiffin-version", "")
    request_body, response_body = _bodies(common.metadata.filter_metadata)
    return Call(
        # A version that a rollback left loaded has a name of its own.
        model=model_of(model),
        route=route,
        protocol="rest" if rest else "grpc",
        method=method,
        request_id=request.request_id,
        micros=common.start_time.seconds * 1_000_000 + common.start_time.nanos // 1000 or time.time_ns() // 1000,
        code=_rest_code(entry) if rest else _grpc_code(entry),
        latency_seconds=_latency_seconds(common),
        key=sent.get("x-tiffin-key", None),
        version=int(version) if version.isdecimal() and len(version) < 19 else None,
        request=request_body,
        response=response_body,
        request_encoding=sent.get(encoding, ""),
        response_encoding=answered.get(encoding, ""),
        is_too_large=(request_body is None and request.request_body_bytes > 0)
        or (response_body is None and response.response_body_bytes > 0),
    )


def count_throttled(entry: Any) -> int:
    """Return how many requests Envoy left out since the last entry."""
    metadata = entry.common_properties.metadata.filter_metadata
    if _NAMESPACE not in metadata or "throttled" not in metadata[_NAMESPACE].fields:
        return 0
    return int(metadata[_NAMESPACE].fields["throttled"].number_value)


def _split(cluster: str) -> tuple[str, str, str]:
    """Return model, route and protocol of a cluster's name; stable, where Envoy chose no cluster."""
    parts = cluster.rsplit("/", 2)
    if len(parts) == 3 and parts[1] in ROUTES:
        return parts[0], parts[1], parts[2]
    return "", "stable", ""


def _bodies(metadata: Any) -> tuple[str | None, str | None]:
    if _NAMESPACE not in metadata:
        return None, None
    fields = metadata[_NAMESPACE].fields
    return (
        fields["request"].string_value or None if "request" in fields else None,
        fields["response"].string_value if "response" in fields else None,
    )


def _has_left(entry: Any) -> bool:
    flags = entry.common_properties.response_flags
    return bool(flags.downstream_connection_termination or flags.downstream_remote_reset)


def _grpc_code(entry: Any) -> str:
    response = entry.response
    status: str = response.response_trailers.get("grpc-status", "") or response.response_headers.get("grpc-status", "")
    if status.isdecimal():
        return str(_CODES.get(int(status), "UNKNOWN"))
    return "CANCELLED" if _has_left(entry) or not response.response_code.value else "UNKNOWN"


def _rest_code(entry: Any) -> str:
    status = entry.response.response_code.value
    if _has_left(entry) or not status:
        return "CANCELLED"
    return "OK" if status == 200 else f"HTTP_{status}"


def _latency_seconds(common: Any) -> float:
    if common.HasField("time_to_last_upstream_rx_byte") and common.HasField("time_to_first_upstream_tx_byte"):
        return _seconds(common.time_to_last_upstream_rx_byte) - _seconds(common.time_to_first_upstream_tx_byte)
    return _seconds(common.duration)


def _seconds(duration: Any) -> float:
    seconds: float = duration.seconds + duration.nanos / 1e9
    return seconds
