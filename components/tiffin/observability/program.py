"""The server of the page of metrics.

    python -m tiffin.observability --log-root gs://bucket/predictions --serving-root gs://bucket/serving --port 9105

    /metrics    the page, for Prometheus
    /healthz    whether the program runs

The documents are read every half minute, however often the page is asked for. Once it listens, it prints one line,
`READY {"address": "127.0.0.1:9105"}`. SIGTERM ends it.
"""

import argparse
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client

from tiffin.artifacts.monitoring import FOLDER
from tiffin.errors import InputError, ServingError
from tiffin.observability.metrics import Page, Places, Reading, make_registry, read_documents
from tiffin.printing import printable
from tiffin.serving.prediction_log import resolve_log_root
from tiffin.serving.root import resolve_root
from tiffin.signals import StopSignal

DEFAULT_PORT = 9105
READ_SECONDS = 30.0
_MOST_SECONDS = 86_400.0
_log = logging.getLogger("tiffin.observability")


@dataclass(frozen=True)
class Options:
    """Options of the server.

    Attributes:
        places: Where the documents are.
        host: Address to listen on.
        port: Port; 0 for a free one.
        read_seconds: Time between two readings of the documents, in seconds.
    """

    places: Places
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    read_seconds: float = READ_SECONDS


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until SIGTERM or SIGINT."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    serve(options, lambda address: print(f"READY {json.dumps({'address': address})}", flush=True))  # noqa: T201
    return 0


def serve(options: Options, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or SIGINT. Of the main thread only.

    Args:
        options: Options of the server.
        ready: Receives the address, as `host:port`, once it listens.

    Raises:
        ServingError: The port cannot be opened.
    """
    ended = StopSignal()
    stop, address = start(options)
    ready(address)
    ended.wait()
    stop()


def start(options: Options) -> tuple[Callable[[], None], str]:
    """Start the server with the documents as they are now.

    Args:
        options: Options of the server.

    Returns:
        Function that ends the server, and its address as `host:port`.

    Raises:
        ServingError: The port cannot be opened.
    """
    page = Page(Reading())
    server = _listen(options, page)
    stopped = threading.Event()
    _read(page, options.places)

    def follow() -> None:
        while not stopped.wait(options.read_seconds):
            _read(page, options.places)

    # It may wait for a bucket when the program ends.
    threading.Thread(target=follow, name="documents", daemon=True).start()
    serving = threading.Thread(target=server.serve_forever, name="pages", daemon=True)
    serving.start()

    def stop() -> None:
        stopped.set()
        server.shutdown()
        serving.join()
        server.server_close()

    return stop, join_address(options.host, server.server_port)


def join_address(host: str, port: int) -> str:
    """Return an address as `host:port`, of IPv6 as `[host]:port`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read(page: Page, places: Places) -> None:
    """Read the documents again, and log the faults that the last reading did not have."""
    known = set(page.reading.faults.texts)
    try:
        page.reading = read_documents(places)
    except Exception as error:  # noqa: BLE001 - the page stays as it was, and the time of its reading shows it
        _log.warning("The documents could not be read: %s", printable(f"{type(error).__name__}: {error}"))
        return
    for source, text in page.reading.faults.texts:
        if (source, text) not in known:
            _log.warning("%s: %s", source, printable(text))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind the socket. The base class also looks the host's name up, which takes seconds without a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    # Of a client that sends no request.
    timeout = 30

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log no requests: Prometheus makes one every few seconds."""


def _listen(options: Options, page: Page) -> WSGIServer:
    pages = prometheus_client.make_wsgi_app(make_registry(page))

    def answer(environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(start_response, "405 Method Not Allowed", "Only GET.\n")
        if environment["PATH_INFO"] == "/metrics":
            found: Iterable[bytes] = pages(environment, start_response)
            return found
        if environment["PATH_INFO"] == "/healthz":
            return _answer(start_response, "200 OK", "ok\n")
        return _answer(start_response, "404 Not Found", "The metrics are at /metrics.\n")

    kind = _ServerV6 if ":" in options.host else _Server
    try:
        return make_server(options.host, options.port, answer, kind, _Handler)
    except OSError as error:
        address = join_address(options.host, options.port)
        raise ServingError(f"Could not open {address}: {error.strerror}. Choose another port.", "UNAVAILABLE") from None


def _answer(start_response: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    content = text.encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))])
    return [content]


def locate(log_root: str, monitor_state: str, serving_root: str) -> Places:
    """Return where the documents are.

    Args:
        log_root: Path or URI of the prediction log; empty for none.
        monitor_state: Path or URI that monitoring has as `state`; empty for the prediction log.
        serving_root: Path or URI of the serving root; empty for none.

    Raises:
        InputError: None of them is set, or one is no location.
    """
    if not (log_root or monitor_state or serving_root):
        raise InputError(
            "--log-root, --monitor-state or --serving-root should be a location. Received: none of them. Set "
            "TIFFIN_LOG_ROOT and TIFFIN_SERVING_ROOT, or the options."
        )
    statuses = monitor_state or log_root
    return Places(
        resolve_log_root(statuses) if statuses else "",
        "" if monitor_state else FOLDER,
        resolve_root(serving_root) if serving_root else "",
    )


def _parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tiffin.observability", description="Serve the metrics of the models in production."
    )
    parser.add_argument(
        "--log-root",
        default=os.environ.get("TIFFIN_LOG_ROOT", ""),
        help="path, gs:// or s3:// of the prediction log (default: TIFFIN_LOG_ROOT)",
    )
    parser.add_argument(
        "--monitor-state", default="", help="what monitoring has as `state` (default: the prediction log)"
    )
    parser.add_argument(
        "--serving-root",
        default=os.environ.get("TIFFIN_SERVING_ROOT", ""),
        help="path or gs:// of the serving root (default: TIFFIN_SERVING_ROOT)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="port; 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--read-seconds", type=_seconds, default=READ_SECONDS, help="time between two readings (default: 30)"
    )
    found = parser.parse_args(arguments)
    places = locate(found.log_root, found.monitor_state, found.serving_root)
    return Options(places, found.host, found.port, found.read_seconds)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"should be from 0 to 65535. Received: {text!r}.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 <= found <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"should be a number of seconds from 1 to 86400. Received: {text!r}.")
    return found
