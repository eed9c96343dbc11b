"""Connections to a model server: addresses, TLS, retries and the reasons of failed calls."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tiffin.errors import InputError, ServingError
from tiffin.serving import failures, wire

DEFAULT_PORT = 8500
MODEL_HEADER = "x-tiffin-model"

# Headers in gRPC's form.
Headers = tuple[tuple[str, str], ...]

# Read-only calls, which are safe to retry. Reloading a config is not: it waits for models to load, and a second call may
# find another state.
_SAFE_TO_REPEAT = {
    "tensorflow.serving.PredictionService": ("Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"),
    "tensorflow.serving.ModelService": ("GetModelStatus",),
}
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": name} for service, names in _SAFE_TO_REPEAT.items() for name in names
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                # A full queue or a restarting server. DEADLINE_EXCEEDED is not retried: no time is left.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Protects an overloaded server: after too many failures, calls are not retried until some succeed.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
}
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # Larger requests are not buffered, so they are not retried.
    ("grpc.per_rpc_retry_buffer_size", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 60_000),
]
# Parts of gRPC's messages about connections, as opposed to the messages of servers.
_CONNECTION_WORDS = ("connect", "resol", "andshake", "ocket closed", "reset", "GOAWAY", "ransport", "proxy")
_CONNECT_SECONDS = 1.0
# grpcio's default CA certificates.
_ROOTS = "_cython/_credentials/roots.pem"
_HOST_AND_PORT = re.compile(r"(dns:(///)?|ipv4:|ipv6:)?(?P<host>[^:/\[\]]+|\[[^\]]+\]):(?P<port>\d+)")


@dataclass(frozen=True)
class Tls:
    """TLS settings, all optional.

    Attributes:
        ca_file: PEM file with the trusted CA certificates. Defaults to the public CAs that grpcio includes, or to those
            in the file of the environment variable GRPC_DEFAULT_SSL_ROOTS_FILE_PATH.
        certificate_file: PEM file with the client certificate, for mutual TLS; requires `key_file`.
        key_file: PEM file with the client's private key.
        server_name: Name in the server's certificate, if it differs from the address.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None


def parse_address(address: str) -> str:
    """Return the gRPC target of an address: `host:port`, `unix:path` or another gRPC scheme.

    Raises:
        InputError: The address is an HTTP URL, or has no host or no valid port.
    """
    if address.startswith(("http://", "https://")):
        raise InputError(
            f"address should be host:port of the server's gRPC port. Received: '{address}'. "
            f"Remove the scheme; the port defaults to {DEFAULT_PORT}."
        )
    bare = address.removeprefix("grpc://").rstrip("/")
    if not bare or bare.startswith(":") or any(letter.isspace() for letter in bare):
        raise InputError(f"address should be host:port. Received: '{address}'. Example: localhost:{DEFAULT_PORT}.")
    if bare.startswith(("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:", "passthrough:")):
        return bare
    host, colon, port = bare.rpartition(":")
    if not colon or bare.endswith("]"):
        return f"{bare}:{DEFAULT_PORT}"
    if not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise InputError(
            f"The port of address should be from 1 to 65535. Received: '{address}'. Example: {host}:{DEFAULT_PORT}."
        )
    return bare


def open_channel(address: str, tls: bool | Tls, module: Any = grpc) -> Any:
    """Return a channel; `module` is `grpc` or `grpc.aio`."""
    target = parse_address(address)
    if not tls:
        return module.insecure_channel(target, options=_OPTIONS)
    tls = tls if isinstance(tls, Tls) else Tls()
    if (tls.certificate_file is None) != (tls.key_file is None):
        raise InputError(
            "certificate_file and key_file should be set together. "
            f"Received: certificate_file={tls.certificate_file}, key_file={tls.key_file}."
        )
    credentials = grpc.ssl_channel_credentials(
        root_certificates=read_pem("ca_file", tls.ca_file),
        private_key=read_pem("key_file", tls.key_file),
        certificate_chain=read_pem("certificate_file", tls.certificate_file),
    )
    names = [("grpc.ssl_target_name_override", tls.server_name)] if tls.server_name else []
    return module.secure_channel(target, credentials, options=[*_OPTIONS, *names])


def open_calls(channel: Any) -> dict[str, Any]:
    """Return a callable for each method of TensorFlow Serving's services."""
    return {
        name: channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        for name, method in wire.METHODS.items()
    }


def read_pem(name: str, path: str | Path | None) -> bytes | None:
    """Return the content of a PEM file, or None without a path.

    Raises:
        InputError: The file cannot be read.
    """
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name} should be a PEM file. Received: '{path}' ({error.strerror}).") from None


def headers(metadata: Mapping[str, str]) -> Headers:
    """Return headers in gRPC's form.

    Raises:
        InputError: A name or a value cannot be sent.
    """
    for name, value in metadata.items():
        if not name or not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InputError(
                f"A header's name should consist of letters, digits, '-', '_' and '.'. Received: {name!r}."
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise InputError(
                f"The value of header '{name}' should be printable ASCII text. Received: {type(value).__name__}."
            )
    return tuple((name.lower(), value) for name, value in metadata.items())


def call_headers(own: Headers, model: str) -> Headers:
    """Return the headers of a call: the client's own, and the name of the model.

    Gateways that cannot read the message choose a route by it.
    """
    return (*own, (MODEL_HEADER, model)) if model and model.isascii() and model.isprintable() else own


def explain(
    error: Any, method: str, model: str, address: str, tls: bool | Tls, is_examined: bool = True
) -> ServingError:
    """Convert a gRPC error to a ServingError with its code and the next step.

    Args:
        error: The error of grpc.
        method: Name of the method.
        model: Name of the model; empty if the call has none.
        address: The target of the channel.
        tls: TLS settings of the channel.
        is_examined: Whether to find out why a server cannot be reached, by another connection. Defaults to True.
    """
    code, detail = error.code().name, error.details() or ""
    reason = find_reason(address, tls, code, detail) if is_examined else ""
    return failures.failure(method, model, address, code, detail, reason)


def find_reason(address: str, tls: bool | Tls, code: str, detail: str) -> str:
    """Return why a call could not reach the server and what to do; empty if it did, or if that is unknown.

    Args:
        address: The target of the channel.
        tls: TLS settings of the channel.
        code: gRPC's code of the call.
        detail: gRPC's message.
    """
    failed = any(word in detail for word in _CONNECTION_WORDS) if code == "UNAVAILABLE" else code == "DEADLINE_EXCEEDED"
    if not failed:
        return ""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        return "" if Path(path).exists() else f"There is no socket at '{path}'. Check that the server is running."
    found = _HOST_AND_PORT.fullmatch(address)
    if not found:
        return ""
    from tiffin.serving import diagnosis

    settings = tls if isinstance(tls, Tls) else Tls()
    endpoint = diagnosis.Endpoint(
        found["host"].strip("[]"),
        int(found["port"]),
        bool(tls),
        settings.ca_file,
        os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH") or Path(grpc.__file__).parent / _ROOTS,
        settings.certificate_file,
        settings.key_file,
        settings.server_name,
    )
    if code == "UNAVAILABLE":
        return diagnosis.find_reason(endpoint)
    if diagnosis.connects(endpoint, _CONNECT_SECONDS):
        return ""
    return (
        f"Could not connect to {endpoint} within {_CONNECT_SECONDS:g} s. Check the address, and firewalls on the way."
    )
