"""The HTTP server under the REST API and the metrics page.

After tensorflow/serving's model_servers/http_server.cc and its util/net_http over libevent.
"""

import http.server
import logging
import re
import socket
import threading
import urllib.parse
import zlib
from collections.abc import Callable
from typing import Any

from tiffin.model_server import configs, flags, messages, metrics, rest

_log = logging.getLogger(__name__)
_UNZIPPED_BYTES = 1 << 28  # of a gzipped body: a few bytes can unfold to any number
_BODY_BYTES = 2**31 - 1  # as much as a gRPC message
_PIECE_BYTES = 1 << 20  # a body is read in pieces, so that one that is only declared takes no memory
_LINE_BYTES, _TRAILERS = 1 << 16, 100
_WAIT_SECONDS = 50  # libevent's limit for a read or a write, and for a connection that says nothing


def metrics_path(options: Any) -> str | None:
    """Return the path of the metrics page, None where there is to be none.

    Raises:
        ServingError: The monitoring configuration cannot be read.
    """
    if options.rest_api_port in (0, options.port) or not options.monitoring_config_file:
        return None
    config = configs.read_text(options.monitoring_config_file, messages.message_class("MonitoringConfig")())
    prometheus = config.prometheus_config
    return (prometheus.path or metrics.PATH) if prometheus.enable else None


def start(
    options: Any, answer: Callable[[str, str, bytes, str], rest.Reply], path: str | None, page: Callable[[], str]
) -> Any:
    """Start the HTTP server, if there is to be one.

    Args:
        options: The flags.
        answer: Answers a request of the REST API.
        path: The path of the metrics page, None where there is to be none.
        page: Returns the metrics page.

    Returns:
        The server, None where there is none.
    """
    if not options.rest_api_port:
        return None
    if options.rest_api_port == options.port:
        _log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    handler = _handler(answer, path, page, threading.BoundedSemaphore(max(1, options.rest_api_num_threads)))
    address = flags.address(options.host, options.rest_api_port)
    try:
        server = _Server((options.host, options.rest_api_port), handler, bind_and_activate=False)
        server.server_bind()
        server.server_activate()
    except (OSError, OverflowError) as error:
        _log.error("Failed to start HTTP Server at %s: %s", address, error)
        return None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="http", daemon=True).start()
    _log.info("Exporting HTTP/REST API at:%s ...", address)
    return server


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], *arguments: Any, **named: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, *arguments, **named)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is its own affair; anything else is a bug.
        _log.debug("HTTP connection from %s ended", client_address, exc_info=True)


def _handler(
    answer: Callable[[str, str, bytes, str], rest.Reply],
    metrics_path: str | None,
    page: Callable[[], str],
    slots: threading.BoundedSemaphore,
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else a reply of two writes waits for the client's delayed acknowledgement.
        disable_nagle_algorithm = True
        wbufsize = -1
        timeout = _WAIT_SECONDS

        def respond(self) -> None:
            try:
                body = _body(self.rfile, self.headers)
            except (ValueError, zlib.error):
                self.refuse(400, "Bad Request")
                return
            except (OverflowError, MemoryError):
                self.refuse(413, "Request Entity Too Large")
                return
            path = urllib.parse.urlsplit(self.path).path
            if metrics_path is not None and path == metrics_path:
                self.reply(200, {"Content-Type": "text/plain"}, page().encode())
                return
            if not rest.OURS.fullmatch(path):
                self.reply(404, {"Content-Type": "text/html"}, _page(404, "Not Found"))
                return
            with slots:
                try:
                    reply = answer(self.command, path, body, self.headers.get("Origin", ""))
                except Exception:  # noqa: BLE001 - whatever a request brings about, the server answers
                    _log.exception("A bug of this server, not of the request:")
                    reply = (500, {"Content-Type": "application/json"}, b'{\n    "error": "Internal"\n}')
            del body
            self.reply(*reply)

        def refuse(self, status: int, reason: str) -> None:
            # Where this request ends, and the next one begins, nobody can say.
            self.close_connection = True
            self.reply(status, {"Content-Type": "text/html"}, _page(status, reason))

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.respond)
    return Handler


def _body(file: Any, headers: Any) -> bytes:
    """Return a request's body.

    Raises:
        ValueError: It is not of HTTP's form, or not the gzip it says.
        OverflowError: It is too long.
        ConnectionError: It ends before its end.
    """
    body = bytearray()
    if "Transfer-Encoding" in headers:
        if headers["Transfer-Encoding"].strip().lower() != "chunked":
            raise ValueError("Transfer-Encoding")
        while size := _number(_line(file).split(b";")[0].decode("latin-1"), "[0-9a-fA-F]+", 16):
            _read(file, size, body)
            if _line(file).strip():
                raise ValueError("a chunk's end")
        _skip_trailers(file)
    else:
        _read(file, _number(headers.get("Content-Length", "0"), "[0-9]+", 10), body)
    if headers.get("Content-Encoding", "").lower() == "gzip":
        unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unzipped = unzip.decompress(body, _UNZIPPED_BYTES)
        if unzip.unconsumed_tail:
            raise ValueError("Content-Encoding")
        return unzipped
    return bytes(body)


def _number(text: str, form: str, base: int) -> int:
    # int() alone takes signs, blanks and underscores too.
    if not re.fullmatch(form, text.strip()):
        raise ValueError("length")
    return int(text, base)


def _line(file: Any) -> bytes:
    line: bytes = file.readline(_LINE_BYTES + 1)
    if len(line) > _LINE_BYTES:
        raise ValueError("line")
    if not line.endswith(b"\n"):
        raise ConnectionError
    return line


def _skip_trailers(file: Any) -> None:
    for _ in range(_TRAILERS):
        if not _line(file).strip():
            return
    raise ValueError("trailers")


def _read(file: Any, size: int, body: bytearray) -> None:
    if len(body) + size > _BODY_BYTES:
        raise OverflowError("body")
    while size:
        piece = file.read(min(size, _PIECE_BYTES))
        if not piece:
            raise ConnectionError
        body += piece
        size -= len(piece)


def _page(status: int, reason: str) -> bytes:
    return (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n".encode()
    )
