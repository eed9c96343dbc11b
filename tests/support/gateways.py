"""Envoy, as the gateway runs it, in front of small servers that stand in for the model servers."""

import contextlib
import http.server
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import envoy
import grpc

from support.waiting import free_port, until
from tiffin.gateway.clusters import Upstreams
from tiffin.gateway.envoy import BOOTSTRAP, Places, make_bootstrap
from tiffin.gateway.following import Follower
from tiffin.gateway.table import Table
from tiffin.serving import wire
from tiffin.serving.root import GATEWAY
from tiffin.storage.files import write_json

PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass
class Backend:
    """A server that answers each request with its own version.

    Attributes:
        version: The version.
        calls: Headers of each gRPC request, with its `:path`.
        posts: Headers of each REST request.
        fail: Code with which it answers; None to succeed.
        wait: Called before each answer.
    """

    version: int
    grpc_port: int = 0
    rest_port: int = 0
    calls: list[dict[str, str]] = field(default_factory=list)
    posts: list[dict[str, str]] = field(default_factory=list)
    fail: grpc.StatusCode | None = None
    wait: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        self.grpc_port, self.rest_port = self.grpc_port or free_port(), self.rest_port or free_port()
        server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers((_Handler(self),))
        assert server.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        server.start()
        web = http.server.ThreadingHTTPServer(("127.0.0.1", self.rest_port), _pages(self))
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            web.shutdown()
            web.server_close()
            thread.join()
            server.stop(0).wait()

    def answer(self, call: Any, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls.append({**{key: str(value) for key, value in context.invocation_metadata()}, ":path": call})
        self.wait()
        if self.fail:
            context.abort(self.fail, "as the test wants")
        response = wire.PredictResponse()
        if call == PREDICT:
            parsed = wire.PredictRequest.FromString(request)
            response.model_spec.CopyFrom(parsed.model_spec)
        response.model_spec.version.value = self.version
        content: bytes = response.SerializeToString()
        return content


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._backend.answer(details.method, request, context)
        )


def _pages(backend: Backend) -> type[http.server.BaseHTTPRequestHandler]:
    class Pages(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            backend.posts.append({**{key.lower(): value for key, value in self.headers.items()}, ":path": self.path})
            content = json.dumps({"version": backend.version}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Pages


@dataclass
class Gateway:
    """A running Envoy.

    Attributes:
        address: Where clients connect.
        places: Where it listens.
        follower: What brings its files in line with the serving root.
        root: The serving root.
        process: Its process.
    """

    address: str
    places: Places
    follower: Follower
    root: Path
    process: subprocess.Popen[bytes]
    lines: list[str]

    def send(self, table: Table) -> None:
        """Change where requests go, and wait until Envoy does so."""
        (self.root / GATEWAY).write_bytes(table.content)
        self.follower.follow()
        assert until(lambda: self.applied() == self.follower.table.digest)

    def applied(self) -> str:
        """Return the digest of the table whose routes Envoy has."""
        connection = http.client.HTTPConnection(self.address)
        with contextlib.closing(connection):
            connection.request("GET", "/tiffin/traffic")
            return connection.getresponse().read().decode()


@contextlib.contextmanager
def running_envoy(
    folder: Path, stable: Backend, candidate: Backend, recorder: str = "", table: Table | None = None
) -> Iterator[Gateway]:
    """Run Envoy in front of two backends.

    Args:
        folder: An empty folder, with a path that is short enough for sockets.
        stable: Stands in for the stable server.
        candidate: Stands in for the candidate server.
        recorder: `host:port` of an access log service; empty for none.
        table: Where requests go at first.
    """
    root, files = folder / "root", folder / "envoy"
    root.mkdir()
    files.mkdir()
    places = Places(files, "127.0.0.1", free_port(), "127.0.0.1", free_port(), recorder, str(folder / "throttle"))
    upstreams = Upstreams(*(f"127.0.0.1:{port}" for port in _ports(stable, candidate)), str(places.mirror))
    lines: list[str] = []
    follower = Follower(str(root), files, upstreams, places.admin, lines.append)
    if table:
        (root / GATEWAY).write_bytes(table.content)
    follower.follow()
    write_json(files / BOOTSTRAP, make_bootstrap(places))
    program = Path(envoy.__path__[0], "_bin", "envoy")
    command = [
        program,
        "-c",
        files / BOOTSTRAP,
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "--log-level",
        "warning",
    ]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    gateway = Gateway(f"127.0.0.1:{places.port}", places, follower, root, process, lines)
    try:
        assert until(lambda: _answers(gateway)), (folder / "envoy.log").read_text()
        yield gateway
    finally:
        process.kill()
        process.wait()


def _ports(stable: Backend, candidate: Backend) -> Sequence[int]:
    return stable.grpc_port, stable.rest_port, candidate.grpc_port, candidate.rest_port


def _answers(gateway: Gateway) -> bool:
    with contextlib.suppress(OSError):
        return gateway.applied() == gateway.follower.table.digest
    return False


def request_of(model: str, version: int | None = None, label: str = "", size: int = 0) -> bytes:
    """Return a PredictRequest; of at least `size` bytes."""
    request = wire.PredictRequest()
    request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    if size:
        request.inputs["x"].tensor_content = b"x" * size
    content: bytes = request.SerializeToString()
    return content


class Caller:
    """A client that counts which version answered."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)])

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(
        self, request: bytes, headers: dict[str, str] | None = None, method: str = PREDICT
    ) -> tuple[int, dict[str, str]]:
        """Return the version that answered, and the headers of the answer."""
        metadata = list((headers or {}).items())
        content, call = self._channel.unary_unary(method).with_call(request, timeout=20, metadata=metadata)
        found = {key: str(value) for key, value in call.initial_metadata()}
        return wire.PredictResponse.FromString(content).model_spec.version.value, found

    def count(
        self, request: bytes, times: int, headers: Callable[[int], dict[str, str]] = lambda _: {}
    ) -> Counter[int]:
        """Send a request some times, and count the versions that answered."""
        return Counter(self.call(request, headers(number))[0] for number in range(times))
