"""The HTTP server of the REST API and the metrics page, with starlette's requests and responses on uvicorn."""

import asyncio
import logging
import socket
import threading
import zlib
from collections.abc import Callable
from concurrent import futures
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from tiffin.errors import ServingError
from tiffin.model_server import configs, conversion, declarations, endpoints, flags, json_replies, metrics

_log = logging.getLogger(__name__)
_SILENCE_SECONDS = 50  # libevent's limit for an idle connection
_GRACE_SECONDS = 5


def metrics_path(options: Any) -> str | None:
    """Return the path of the metrics page, or None if it is disabled.

    Raises:
        ServingError: The monitoring configuration cannot be read.
    """
    if options.rest_api_port in (0, options.port) or not options.monitoring_config_file:
        return None
    config = configs.read_text(options.monitoring_config_file, declarations.message_class("MonitoringConfig")())
    prometheus = config.prometheus_config
    return (prometheus.path or metrics.PATH) if prometheus.enable else None


def start(
    options: Any, answer: Callable[[str, str, bytes, str], endpoints.Reply], path: str | None, page: Callable[[], str]
) -> Callable[[], None]:
    """Start the HTTP server, if it is enabled.

    Args:
        options: The flags.
        answer: Handler of REST requests, from `endpoints.answerer`.
        path: Path of the metrics page, or None if it is disabled.
        page: Function that returns the metrics page.

    Returns:
        Function that stops the server after the requests in flight have ended.
    """
    if not options.rest_api_port:
        return lambda: None
    if options.rest_api_port == options.port:
        _log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return lambda: None
    address = flags.address(options.host, options.rest_api_port)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.rest_api_port), family=family, backlog=128)
        # Otherwise a reply in two writes waits for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError) as error:
        _log.error("Failed to start HTTP Server at %s: %s", address, error)
        return lambda: None
    threads = futures.ThreadPoolExecutor(max(1, options.rest_api_num_threads), "http")
    server = uvicorn.Server(
        uvicorn.Config(
            _application(answer, path, page, threads, options.max_request_growth_bytes),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_SILENCE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    _log.info("Exporting HTTP/REST API at:%s ...", address)

    def stop() -> None:
        server.should_exit = True
        thread.join(_GRACE_SECONDS + 1)

    return stop


def _application(
    answer: Callable[[str, str, bytes, str], endpoints.Reply],
    metrics_path: str | None,
    page: Callable[[], str],
    threads: futures.Executor,
    growth: int,
) -> Any:
    async def respond(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("Content-Encoding", "").lower() == "gzip":
            try:
                body = _unzipped(body, growth)
            except zlib.error:
                return HTMLResponse("Bad Request\n", 400)
            except ServingError as error:
                return Response(json_replies.error(str(error)), 400, {"Content-Type": "application/json"})
        path = request.scope["raw_path"].decode("latin-1")
        if path == metrics_path:
            return Response(page(), headers={"Content-Type": "text/plain"})
        if not endpoints.OURS.fullmatch(path):
            return HTMLResponse("Not Found\n", 404)
        try:
            status, headers, content = await asyncio.get_running_loop().run_in_executor(
                threads, answer, request.method, path, body, request.headers.get("Origin", "")
            )
        except Exception:  # noqa: BLE001 - the server must reply to every request
            _log.exception("Internal error while handling a request:")
            return Response(json_replies.error("Internal"), 500, {"Content-Type": "application/json"})
        return Response(content, status, headers)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            response = await respond(Request(scope, receive))
        except ClientDisconnect:
            return  # nobody to reply to
        await response(scope, receive, send)

    return application


def _unzipped(body: bytes, growth: int) -> bytes:
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    content = unzip.decompress(body, len(body) + growth)
    if unzip.unconsumed_tail:
        conversion.Allowance(growth).spend(growth + 1, f"a compressed body of {len(body)} bytes")
    return content
