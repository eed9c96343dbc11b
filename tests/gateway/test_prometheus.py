import contextlib
import http.server
import json
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from support.gateways import Backend, Caller, Gateway, request_of, running_envoy
from support.waiting import free_port, until
from tiffin.errors import InputError, ServingError
from tiffin.gateway.prometheus import parse_answer, read_prometheus
from tiffin.gateway.stats import read_stats
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic

NAMESPACE = "team"
_SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Prometheus:
    """A Prometheus in small: reads a page of metrics at each query, of which it knows one form.

    Attributes:
        url: Its URL.
        page: URL of the page.
        answer: Status and content in place of the page's; None for that.
    """

    def __init__(self, page: str) -> None:
        self.page, self.url = page, ""
        self.answer: tuple[int, bytes] | None = None

    def query(self, text: str) -> bytes:
        names, labels = re.fullmatch(r'\{__name__=~"([^"]*)",(.*)\}', text).groups()  # type: ignore[union-attr]
        wanted = dict(_LABEL.findall(labels))
        with urllib.request.urlopen(self.page, timeout=20) as response:
            lines = response.read().decode().splitlines()
        result = []
        for name, inner, value in (found.groups() for line in lines if (found := _SAMPLE.fullmatch(line))):
            metric = {
                "__name__": name,
                "instance": "10.0.0.1:9901",
                "namespace": NAMESPACE,
                **dict(_LABEL.findall(inner)),
            }
            if re.fullmatch(names, name) and wanted.items() <= metric.items():
                result.append({"metric": metric, "value": [1.5, value]})
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        prometheus = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                assert self.path == "/prometheus/api/v1/query"
                status, content = prometheus.answer or (200, prometheus.query(form["query"][0]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}/prometheus/"
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with requests of both protocols and routes, some of which failed."""
    stable, candidate = Backend(1), Backend(2)
    with (
        stable.running(),
        candidate.running(),
        running_envoy(tmp_path_factory.mktemp("p"), stable, candidate) as running,
    ):
        running.send(Table({"taxi": Served(1, Traffic(2, weight=50)), "a.b": Served(1, Traffic(2, mirror=100))}))
        with Caller(running.address) as caller:
            caller.count(request_of("taxi"), 20)
            caller.count(request_of("a.b"), 3)
            candidate.fail = grpc.StatusCode.INTERNAL
            for _ in range(3):
                with pytest.raises(grpc.RpcError):
                    caller.call(request_of("taxi"), {"x-tiffin-version": "candidate"})
        with urllib.request.urlopen(f"http://{running.address}/v1/models/taxi:predict", b"{}", timeout=20) as response:
            response.read()
        yield running


@pytest.fixture
def prometheus(gateway: Gateway) -> Iterator[Prometheus]:
    found = Prometheus(f"http://127.0.0.1:{gateway.places.metrics_port}/metrics")
    with found.running():
        yield found


@pytest.mark.parametrize("model", ["taxi", "a.b"])
def test_the_same_counts_as_of_the_gateway(gateway: Gateway, prometheus: Prometheus, model: str) -> None:
    def read() -> tuple[Any, Any]:
        [direct] = read_stats(f"http://127.0.0.1:{gateway.places.metrics_port}", model).values()
        # Prometheus has no counters that are 0.
        return {route: side for route, side in direct.items() if side.requests}, read_prometheus(
            prometheus.url, model, NAMESPACE
        )

    # Envoy adds up the latencies of its threads every second.
    assert until(lambda: read()[1] == {"10.0.0.1:9901": read()[0]}), read()
    _, found = read()
    assert sum(side.requests for side in found["10.0.0.1:9901"].values()) >= (24 if model == "taxi" else 6)
    assert found["10.0.0.1:9901"]["candidate" if model == "taxi" else "mirror"].requests


def test_a_model_without_counts(prometheus: Prometheus) -> None:
    for model, namespace in (("none", ""), ("taxi", "other")):
        with pytest.raises(ServingError) as caught:
            read_prometheus(prometheus.url, model, namespace)
        assert caught.value.code == "NOT_FOUND"


def test_two_gateways_and_two_prometheus() -> None:
    def sample(instance: str, value: str, **labels: str) -> Any:
        metric = {"model": "taxi", "route": "stable", "protocol": "grpc", "instance": instance, **labels}
        return {"metric": {"__name__": "envoy_cluster_grpc_success", **metric}, "value": [1, value]}

    result = [sample("a", "7"), sample("b", "5", replica="1"), sample("b", "4", replica="2")]
    found = parse_answer(json.dumps({"data": {"result": result}}).encode())

    assert {instance: sides["stable"].requests for instance, sides in found.items()} == {"a": 7, "b": 5}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"data": 3}', b'{"data": {"result": [{"metric": {}}]}}'])
def test_an_answer_that_is_another(prometheus: Prometheus, content: bytes) -> None:
    prometheus.answer = 200, content
    with pytest.raises(ServingError):
        read_prometheus(prometheus.url, "taxi")


def test_an_answer_that_is_an_error(prometheus: Prometheus) -> None:
    prometheus.answer = 422, b"samples"
    with pytest.raises(ServingError, match=r"422.*samples"):
        read_prometheus(prometheus.url, "taxi")


def test_a_prometheus_that_is_not_there() -> None:
    with pytest.raises(ServingError) as caught:
        read_prometheus(f"http://127.0.0.1:{free_port()}", "taxi")
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("url", ["", "h:1", "ftp://h", "http://h:x", "http://u@h:1", "http://h:1?x=1"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError):
        read_prometheus(url, "taxi")
