"""Servers that receive notifications and errors: webhooks, mail, and Sentry's envelopes."""

import contextlib
import gzip
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any


@dataclass
class Received:
    """What a server has received.

    Attributes:
        address: `host:port`.
        status: HTTP status with which it answers.
        delay_seconds: Time until it answers.
        bodies: JSON of each request, or the lines of an envelope.
        mails: Mails.
    """

    address: str = ""
    status: int = 200
    delay_seconds: float = 0.0
    bodies: list[Any] = field(default_factory=list)
    mails: list[Any] = field(default_factory=list)


@contextlib.contextmanager
def webhook() -> Iterator[Received]:
    """Yield a web server that keeps the JSON it receives; lines of JSON are kept as a list."""
    found = Received()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            lines = [json.loads(line) for line in content.splitlines() if line]
            time.sleep(found.delay_seconds)
            found.bodies.append(lines[0] if len(lines) == 1 else lines)
            with contextlib.suppress(OSError):
                self.send_response(found.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    found.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def mail_server() -> Iterator[Received]:
    """Yield a mail server that keeps the mails it receives."""
    from aiosmtpd.controller import Controller

    found = Received()

    class Keeper:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - by aiosmtpd
            found.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK" if found.status == 200 else f"{found.status} no"

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Keeper(), hostname="127.0.0.1", port=port)
    controller.start()
    found.address = f"127.0.0.1:{port}"
    try:
        yield found
    finally:
        controller.stop()
