"""How a model server is reached: addresses, TLS, retries, and gRPC's errors in words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tiffin.errors import InputError, ServingError
from tiffin.serving import wire

DEFAULT_PORT = 8500
# These change nothing on the server, so asking twice is safe. Reloading a config is not among them: it waits for
# models to load, and a second one may find another state.
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
                # A queue that is full, a server that restarts. A deadline that passed is not repeated: it is over.
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # An overloaded server is spared: after too many failures, calls fail at once until some succeed.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
}
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # A request above this is not kept, so it is not repeated.
    ("grpc.per_rpc_retry_buffer_size", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 60_000),
]
_ADVICE = {
    "UNAVAILABLE": "Check that a server runs there, the port (by default 8500 for gRPC, 8501 for REST) and TLS.",
    "DEADLINE_EXCEEDED": "Allow more time (timeout_seconds), or send fewer rows at once.",
    "NOT_FOUND": "Check the model's name and version, and that the server has loaded it.",
    "INVALID_ARGUMENT": "Compare names, types and shapes with what the model's metadata says.",
    "FAILED_PRECONDITION": "Compare the signature's name with the model's metadata; check that the version is loaded.",
    "RESOURCE_EXHAUSTED": "Send fewer rows at once, or raise the server's limit.",
    "UNAUTHENTICATED": "Pass credentials as metadata headers.",
    "PERMISSION_DENIED": "Ask for access, or pass other credentials as metadata headers.",
    "UNIMPLEMENTED": "Check that the address is that of a TensorFlow Serving, and its version.",
    "CANCELLED": "Ask again.",
}


@dataclass(frozen=True)
class Tls:
    """Files for a connection by TLS, all optional.

    Attributes:
        ca_file: Certificates of the authorities to trust. Defaults to the system's.
        certificate_file: Our certificate, for servers that ask for one; with its key.
        key_file: Its private key.
        server_name: The name in the server's certificate, if it differs from the address.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None


def parse_address(address: str) -> str:
    """Return what gRPC connects to: `host:port`, `unix:path` or another of its schemes.

    Raises:
        InputError: It is a web address, or has no host.
    """
    if address.startswith(("http://", "https://")):
        raise InputError(
            f"The address should be host:port of the server's gRPC port. Received: '{address}'. "
            f"Leave the scheme out; the port is {DEFAULT_PORT} by default."
        )
    bare = address.removeprefix("grpc://").rstrip("/")
    if not bare or bare.startswith(":") or any(letter.isspace() for letter in bare):
        raise InputError(f"The address should be host:port. Received: '{address}'. Such as localhost:{DEFAULT_PORT}.")
    if bare.startswith(("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:", "passthrough:")):
        return bare
    host, colon, port = bare.rpartition(":")
    if not colon or bare.endswith("]"):
        return f"{bare}:{DEFAULT_PORT}"
    if not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise InputError(
            f"A port should be a number from 1 to 65535. Received: '{address}'. Such as {host}:{DEFAULT_PORT}."
        )
    return bare


def open_channel(address: str, tls: bool | Tls, module: Any = grpc) -> Any:
    """Return a channel; `module` is `grpc` or `grpc.aio`."""
    target = parse_address(address)
    if not tls:
        return module.insecure_channel(target, options=_OPTIONS)
    tls = tls if isinstance(tls, Tls) else Tls()
    if (tls.certificate_file is None) != (tls.key_file is None):
        raise InputError("A client certificate needs its key. Received: only one of certificate_file and key_file.")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_content("ca_file", tls.ca_file),
        private_key=_content("key_file", tls.key_file),
        certificate_chain=_content("certificate_file", tls.certificate_file),
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


def _content(name: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name} should be a file in PEM format. Received: '{path}' ({error.strerror}).") from None


def headers(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return headers as gRPC takes them.

    Raises:
        InputError: A name or a value cannot be sent.
    """
    for name, value in metadata.items():
        if not name or not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InputError(f"A header's name should be letters, digits, '-', '_' and '.'. Received: {name!r}.")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise InputError(f"The value of header '{name}' should be printable ASCII text. Received: {type(value)}.")
    return tuple((name.lower(), value) for name, value in metadata.items())


def explain(error: Any, method: str, model: str, address: str) -> ServingError:
    """Return a gRPC error as a ServingError that keeps the code and says what to do."""
    return failure(method, model, address, error.code().name, error.details() or "")


def failure(method: str, model: str, address: str, code: str, detail: str) -> ServingError:
    """Return the error of a call that failed with a gRPC code, saying what to do."""
    detail = detail.strip() or "no reason given"
    stop = "" if detail.endswith((".", "!", "}")) else "."
    asked = f"{method} on model '{model}'" if model else method
    advice = _ADVICE.get(code, "Look at the server's log.")
    return ServingError(f"{asked} at {address} failed with {code}: {detail}{stop} {advice}", code)


def closed(error: Exception) -> ServingError:
    """Return the error of a call on a client that is closed."""
    return ServingError(
        f"The client should be open. Received: a call after close() ({error}). Make a new one.", "CANCELLED"
    )
