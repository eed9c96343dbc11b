"""A webhook on this machine: takes the notifications of runs, and the alerts that Prometheus would send to an Alertmanager."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Where Prometheus posts its alerts: https://prometheus.io/docs/alerting/latest/clients
_ALERTS = "/api/v2/alerts"
_MOST_BYTES = 1 << 20


@dataclass
class Inbox:
    """What has arrived.

    Attributes:
        address: `host:port` of the webhook.
        notifications: Titles of notifications, in the order of their arrival.
        alerts: Names of the alerts, with the severity, each once.
    """

    address: str
    notifications: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, content: Any) -> None:
        """Take what was posted."""
        with self.arrived:
            if path == _ALERTS:
                for one in content:
                    labels = one["labels"]
                    shown = f"{labels['alertname']} ({labels['severity']})"
                    if shown not in self.alerts:
                        self.alerts.append(shown)
            else:
                self.notifications.append(str(content.get("title", "")))
            self.arrived.notify_all()

    def wait_for_alert(self, name: str, seconds: float) -> bool:
        """Wait for an alert, and return whether it has arrived."""
        with self.arrived:
            return self.arrived.wait_for(lambda: any(one.startswith(f"{name} ") for one in self.alerts), seconds)


@contextlib.contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Listen on a free port of the loopback interface during the block."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", 0)), _MOST_BYTES)
            status = 200
            try:
                inbox.take(self.path, json.loads(self.rfile.read(length)))
            except (ValueError, LookupError, TypeError, AttributeError):
                status = 400
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no line for each request."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        inbox = Inbox(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()
