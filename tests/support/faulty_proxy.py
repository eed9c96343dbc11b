"""A proxy between a client and a server over HTTP that spoils answers.

with faulty_proxy.serve(store.address) as proxy:
    proxy.faults = ["flip", None, "reset"]
"""

import contextlib
import http.client
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What happens to an answer:
#   flip    one bit of the body changes
#   cut     the body ends early, with the length of the whole announced
#   shrink  the body ends early, with that length announced
#   reset   the connection is reset in the body
#   lose    the server acts, and the connection is reset without an answer
#   drop    the connection is reset, and the server gets nothing
#   500, 503 and 404   in place of the answer
#   delay   the answer comes late
FAULTS = ("flip", "cut", "shrink", "reset", "lose", "drop", "500", "503", "delay")


@dataclass
class Proxy:
    """A proxy, and the faults to come.

    Attributes:
        address: URL of the proxy.
        choose: Returns the fault of a request by its number, method and path; None for none.
        requests: Method and path of every request.
        applied: The faults so far, in the order of the answers.
    """

    address: str = ""
    choose: Callable[[int, str, str], str | None] = lambda _number, _method, _path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    upstream: str

    def log_message(self, *_: Any) -> None:
        pass

    def _reset(self) -> None:
        self.close_connection = True
        # With this option, closing sends RST, not FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _handle(self) -> None:
        self.proxy.requests.append((self.command, self.path))
        fault = self.proxy.choose(len(self.proxy.requests) - 1, self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault:
            self.proxy.applied.append(fault)
        if fault == "drop":
            return self._reset()
        if fault in ("404", "500", "503"):
            content = b"<Error><Code>SlowDown</Code></Error>"
            return self._send(
                int(fault), {"Content-Type": "application/xml", "Content-Length": str(len(content))}, content
            )
        if fault == "delay":
            time.sleep(0.2)
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if fault == "lose":
            return self._reset()
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding")
        }
        length = next((name for name in headers if name.lower() == "content-length"), "Content-Length")
        if self.command != "HEAD":
            headers[length] = str(len(content))
        half = len(content) // 2
        if content and fault == "flip":
            content = content[:half] + bytes([content[half] ^ 4]) + content[half + 1 :]
        if content and fault == "shrink":
            content = content[:half]
            headers[length] = str(half)
        if content and fault in ("cut", "reset"):
            content = content[:half]
        self._send(answer.status, headers, content)
        if fault == "reset":
            self._reset()
        elif fault == "cut":
            self.close_connection = True
        return None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - names of http.server

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Ignore clients that hung up, which tests cause."""


@contextlib.contextmanager
def serve(address: str) -> Iterator[Proxy]:
    """Serve a proxy in front of the server at `address`."""
    proxy = Proxy()
    handler = type("Handler", (_Handler,), {"proxy": proxy, "upstream": urllib.parse.urlsplit(address).netloc})
    server = _Server(("127.0.0.1", 0), handler)
    proxy.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
