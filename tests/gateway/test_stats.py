import json
import threading
import urllib.request
from collections.abc import Iterator

import grpc
import pytest

from support.gateways import PREDICT, Backend, Caller, Gateway, request_of, running_envoy
from support.waiting import free_port, until
from tiffin.errors import InputError, ServingError
from tiffin.gateway.stats import Side, parse_stats, read_stats
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic


@pytest.fixture(scope="module")
def candidate() -> Iterator[Backend]:
    backend = Backend(2)
    with backend.running():
        yield backend


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, candidate: Backend) -> Iterator[Gateway]:
    stable = Backend(1)
    with stable.running(), running_envoy(tmp_path_factory.mktemp("e"), stable, candidate) as running:
        yield running


def read(gateway: Gateway, model: str) -> dict[str, Side]:
    [found] = read_stats(f"http://127.0.0.1:{gateway.places.metrics_port}", model).values()
    return found


def route(gateway: Gateway, model: str, traffic: Traffic) -> None:
    gateway.send(Table({model: Served(1, traffic)}))


def test_a_model_without_requests(gateway: Gateway) -> None:
    assert read(gateway, "none") == {}


def test_requests_of_both_protocols_and_their_latencies(gateway: Gateway) -> None:
    route(gateway, "a.b", Traffic(2, weight=100))
    with Caller(gateway.address) as caller:
        assert caller.count(request_of("a.b"), 7) == {2: 7}
        caller.call(request_of("a.b"), {"x-tiffin-version": "stable"})
    with urllib.request.urlopen(f"http://{gateway.address}/v1/models/a.b:predict", b"{}", timeout=20) as response:
        response.read()
    # Envoy adds up the latencies of its threads every second.
    assert until(lambda: read(gateway, "a.b")["candidate"].totals[-1:] == (8,))
    found = read(gateway, "a.b")

    assert (found["candidate"].requests, found["candidate"].errors) == (8, 0)
    assert (found["stable"].requests, found["stable"].errors) == (1, 0)
    assert len(found["candidate"].bounds) == len(found["candidate"].totals)
    assert found["candidate"].bounds[:2] == (0.5, 1.0)


def test_errors_and_requests_that_clients_give_up(gateway: Gateway, candidate: Backend) -> None:
    route(gateway, "failing", Traffic(2, weight=100))
    released = threading.Event()
    with Caller(gateway.address) as caller:
        candidate.fail = grpc.StatusCode.INTERNAL
        for _ in range(3):
            with pytest.raises(grpc.RpcError):
                caller.call(request_of("failing"))
        candidate.fail, candidate.wait = None, lambda: released.wait(20) and None
        try:
            with pytest.raises(grpc.RpcError) as late:
                caller._channel.unary_unary(PREDICT)(request_of("failing"), timeout=0.2)
        finally:
            released.set()
            candidate.wait = lambda: None

    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert until(lambda: read(gateway, "failing")["candidate"].errors == 4)
    assert read(gateway, "failing")["candidate"].requests == 4


def test_copies(gateway: Gateway) -> None:
    route(gateway, "copied", Traffic(2, mirror=100))

    def counted() -> tuple[int, int]:
        found = read(gateway, "copied")
        return tuple(found[name].requests if name in found else 0 for name in ("stable", "mirror"))  # type: ignore[return-value]

    with Caller(gateway.address) as caller:
        # Until Envoy has the routes of the copies too.
        assert until(lambda: caller.call(request_of("copied"))[0] == 1 and counted()[1] > 0)
        assert until(lambda: counted() == counted())
        stable, copies = counted()
        caller.count(request_of("copied"), 5)

    assert until(lambda: counted() == (stable + 5, copies + 5))


@pytest.mark.parametrize("url", ["", "https://h:1", "http://h", "h:1"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError):
        read_stats(url, "taxi")


def test_a_gateway_that_is_not_there() -> None:
    def missing(host: str, port: int) -> list[str]:
        raise OSError(2, "Name or service not known")

    with pytest.raises(ServingError) as refused:
        read_stats(f"http://127.0.0.1:{free_port()}", "taxi")
    assert refused.value.code == "UNAVAILABLE"
    with pytest.raises(ServingError):
        read_stats("http://gateway:9901", "taxi", missing)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"stats": [{"name": 3}]}', json.dumps({"stats": 1}).encode()])
def test_a_page_that_is_another(content: bytes) -> None:
    with pytest.raises(ServingError):
        parse_stats(content, "taxi")
