"""Envoy's admin interface, over its Unix socket."""

import contextlib
import http.client
import socket
import time
from pathlib import Path

from tiffin.errors import ServingError
from tiffin.gateway.envoy import FLUSH_SECONDS


def ask(path: Path, page: str, method: str = "GET", timeout_seconds: float = 5.0) -> str:
    """Return a page of the admin interface.

    Args:
        path: Path of the socket.
        page: Path and query, such as `/stats`.
        method: HTTP method; `POST` for pages that change something. Defaults to `GET`.
        timeout_seconds: Time for the answer, in seconds. Defaults to 5.

    Raises:
        ServingError: Envoy does not answer.
    """
    connection = http.client.HTTPConnection("localhost", timeout=timeout_seconds)
    with contextlib.closing(connection):
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(timeout_seconds)
            connection.sock.connect(str(path))
            connection.request(method, page)
            response = connection.getresponse()
            content = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(f"No answer from Envoy at '{path}': {error}") from None
    if response.status != http.HTTPStatus.OK:
        raise ServingError(f"Envoy at '{path}' answered HTTP {response.status} to {page}: {content[:200]}")
    return content


def drain(path: Path) -> None:
    """Have Envoy take no new connections, answer what is under way, and send the rest of its access log.

    Raises:
        ServingError: Envoy does not answer.
    """
    ask(path, "/drain_listeners", "POST")
    time.sleep(2 * FLUSH_SECONDS)


def has_clusters(path: Path, version: str) -> bool:
    """Return whether Envoy has loaded the clusters of a version, and is ready to send requests to them."""
    try:
        lines = ask(path, "/stats?filter=cluster_manager.(cds.version_text|warming_clusters)").splitlines()
    except ServingError:
        return False
    found = dict(line.partition(": ")[::2] for line in lines)
    return (
        found.get("cluster_manager.cds.version_text", "").strip('"') == version
        and found.get("cluster_manager.warming_clusters") == "0"
    )


def wait_for_clusters(path: Path, version: str, timeout_seconds: float = 5.0) -> bool:
    """Wait until Envoy has the clusters of a version; return False if it has not within the time."""
    deadline = time.monotonic() + timeout_seconds
    while not has_clusters(path, version):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
