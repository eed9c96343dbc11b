"""An MLflow server over HTTP, and a proxy in front of it that fails requests.

In an environment without MLflow, run it as a program of one that has it; it serves until its standard input is closed:

    python -m support.mlflow_server <folder> sqlite|postgresql
"""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.waiting import free_port, until


@contextlib.contextmanager
def mlflow_server(folder: Path, database: str = "") -> Iterator[str]:
    """Run an MLflow server with its artifacts in a folder; yield its address.

    Args:
        folder: Folder of the artifacts, and of a SQLite database unless another one is given.
        database: URI of the database.
    """
    port = free_port()
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mlflow",
        "server",
        f"--backend-store-uri={database or f'sqlite:///{folder}/mlflow.db'}",
    ]
    command += [f"--artifacts-destination={folder}/artifacts", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    # As in manifests/options/mlflow. Jobs would start more processes, each of which imports MLflow.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            assert until(lambda: is_up(port) or process.poll() is not None, 240)
            assert process.poll() is None, (folder / "server.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def is_up(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return answer.status == 200
    return False


@contextlib.contextmanager
def proxy(address: str, fault: Callable[[str, str], str]) -> Iterator[str]:
    """Forward requests to an address, unless a fault is chosen for them; yield the proxy's address.

    Args:
        address: Address to forward to.
        fault: Called with method and path of each request; returns "" to forward it, "503" to answer with this status,
            "close" to close the connection before the request is forwarded, or "lose" to close it afterwards.
    """
    port = int(address.rpartition(":")[2])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chosen = fault(self.command, self.path)
            if chosen == "close":
                self.close_connection = True
                return
            if chosen.isdigit():
                self.reply(int(chosen), b"")
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            if chosen == "lose":
                self.close_connection = True
                return
            self.reply(response.status, content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def reply(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main(folder: str, kind: str) -> None:
    """Serve on a new database, print the address, and end with standard input."""
    from support.postgres import postgres

    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres()).uri if kind == "postgresql" else ""
        address = stack.enter_context(mlflow_server(Path(folder), database))
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
