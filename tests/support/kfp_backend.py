"""A fake Kubeflow Pipelines API server in a separate process: the v2beta1 endpoints used by Tiffin, over HTTP or TLS.

Requests and responses are validated against kfp-server-api's models, and specs against the pipeline spec's proto.

with kfp_backend.serve() as backend:
    backend.set(multi_user=True, token="secret")
    backend.fail(r"/pipelines/upload_version", 503, after=True)
    ...
    assert backend.state()["runs"]
"""

import contextlib
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import kfp_backend_program


@dataclass(frozen=True)
class Server:
    """The running process.

    Attributes:
        address: `http://host:port`, or `https://`.
    """

    address: str
    _context: ssl.SSLContext | None = None

    def _call(self, path: str, value: Any = None) -> Any:
        data = None if value is None else json.dumps(value).encode()
        with urllib.request.urlopen(f"{self.address}{path}", data, context=self._context) as answer:
            return json.load(answer)

    def set(self, **settings: Any) -> None:
        """Change the server's settings."""
        assert settings.keys() <= kfp_backend_program.SETTINGS.keys()
        self._call("/_set", settings)

    def fail(
        self, path: str, status: int, body: Any = "", *, times: int = 1, after: bool = False, headers: Any = None
    ) -> None:
        """Fail the next `times` requests whose method and path match; status 0 breaks the connection.

        With `after`, the requests take effect before they fail.
        """
        fault = {"path": path, "status": status, "body": body, "times": times, "after": after, "headers": headers or {}}
        self._call("/_fail", fault)

    def meet(self, path: str, count: int) -> None:
        """Hold the next `count` requests whose method and path match until all of them have taken effect."""
        self._call("/_meet", {"path": path, "count": count})

    def hold(self, path: str, seconds: list[float]) -> None:
        """Wait before the next requests whose method and path match: as many as there are values, each for its seconds."""
        self._call("/_hold", {"path": path, "seconds": seconds})

    def reset(self) -> None:
        """Delete all objects, and restore the default settings."""
        self._call("/_reset", {})

    def state(self) -> dict[str, Any]:
        """Return all objects, and the requests received."""
        return self._call("/_state")


@contextlib.contextmanager
def serve(certificate: Path | None = None) -> Iterator[Server]:
    """Start the server. On exit, fail if a request or a response did not match the API.

    Args:
        certificate: PEM file with a certificate for localhost and its key. Defaults to plain HTTP.
    """
    command = [sys.executable, "-m", kfp_backend_program.__name__, *([str(certificate)] if certificate else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        context = ssl.create_default_context(cafile=str(certificate)) if certificate else None
        server = Server(f"http{'s' if certificate else ''}://localhost:{port}", context)
        yield server
        assert server.state()["complaints"] == []
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
