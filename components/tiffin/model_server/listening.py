"""Ports, sockets and credentials of the gRPC server, following tensorflow/serving's model_servers/server.cc."""

import logging
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tiffin.errors import ServingError
from tiffin.model_server import configs, declarations, endpoints, flags, services, web
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Catalog

_log = logging.getLogger(__name__)

# More threads than cores only contend for Python's global lock: 2 threads serve more requests per second than 8.
_THREADS = max(2, configs.CPUS)
_GRACE_SECONDS = 5


def open_ports(
    catalog: Catalog,
    options: Any,
    counts: Metrics,
    reload: Callable[[Any], None],
) -> Callable[[], None]:
    """Open the gRPC and HTTP ports.

    Args:
        catalog: The models.
        options: The flags.
        counts: The metrics.
        reload: Function that applies a ModelServerConfig and returns when its new models are available.

    Returns:
        Function that closes the ports after the requests in flight have ended.

    Raises:
        ServingError: The gRPC port cannot be opened, or a file named by a flag cannot be read.
    """
    # Read all files before a port opens: a server that fails to start must not accept requests.
    path = web.metrics_path(options)
    server = _start(services.handlers(catalog, options, counts, reload), options)
    stop_pages = web.start(options, endpoints.answerer(catalog, options, counts), path, counts.page)

    def close() -> None:
        stopped = server.stop(_GRACE_SECONDS)
        stop_pages()
        stopped.wait(_GRACE_SECONDS + 1)

    return close


def _start(handlers: list[Any], options: Any) -> Any:
    """Start the gRPC server.

    Raises:
        ServingError: A port cannot be opened.
    """
    # With batching, threads wait for their batch, so use as many as TF Serving does.
    is_asked_for = options.enable_batching or "grpc_max_threads" in options.given
    threads = max(1, options.grpc_max_threads) if is_asked_for else _THREADS
    server = grpc.server(
        futures.ThreadPoolExecutor(threads, "grpc"), handlers=handlers, options=channel_arguments(options)
    )
    addresses = [flags.address(options.host, options.port)] if options.port else []
    addresses += [f"unix:{options.grpc_socket_path}"] if options.grpc_socket_path else []
    credentials = _credentials(options)
    for address in addresses:
        try:
            if credentials is None:
                server.add_insecure_port(address)
            else:
                server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise invalid(f"Failed to BuildAndStart gRPC server: {error}") from error
    if options.enable_grpc_healthcheck_service:
        _add_health(server)
    server.start()
    for address in addresses:
        where = f"UNIX socket {options.grpc_socket_path}" if address.startswith("unix:") else address
        _log.info("Running gRPC ModelServer at %s ...", where)
    return server


def _add_health(server: Any) -> None:
    servicer = health.HealthServicer()
    for name in ("", "ModelService", "PredictionService"):
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def channel_arguments(options: Any) -> list[tuple[str, Any]]:
    """Return the gRPC server's channel arguments.

    Raises:
        ServingError: An argument in --grpc_channel_arguments is invalid.
    """
    # Do not share the port: a second server would receive half the requests.
    arguments: dict[str, Any] = {
        "grpc.max_receive_message_length": -1,
        "grpc.max_send_message_length": -1,
        "grpc.so_reuseport": 0,
    }
    for argument in filter(None, options.grpc_channel_arguments.split(",")):
        key, *values = argument.split("=")
        if not values:
            raise invalid(f"grpc_channel_arguments: '{argument}' should be of the form key=value")
        value = values[0]
        try:
            arguments[key] = flags.read_int(value.rstrip(), 32)
        except ValueError:
            arguments[key] = value  # gRPC accepts integers and strings
    return list(arguments.items())


def _credentials(options: Any) -> Any:
    if not options.ssl_config_file:
        _log.info("Using InsecureServerCredentials")
        return None
    ssl = configs.read_text(options.ssl_config_file, declarations.message_class("SSLConfig")())
    _log.info("Using SSL credentials")
    try:
        return grpc.ssl_server_credentials(
            [(ssl.server_key.encode(), ssl.server_cert.encode())],
            ssl.custom_ca.encode() or None,
            ssl.client_verify,
        )
    except ValueError as error:
        raise ServingError(f"ssl_config_file {options.ssl_config_file}: {error}", "INVALID_ARGUMENT") from error
