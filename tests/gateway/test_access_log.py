"""What Envoy sends to a recorder."""

import time
import urllib.request
from collections.abc import Iterator

import grpc
import pytest

from support.envoy_log import Kept, body_of
from support.gateways import PREDICT, Backend, Caller, Gateway, request_of, running_envoy
from support.waiting import until
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.serving import wire


@pytest.fixture(scope="module")
def log() -> Iterator[Kept]:
    with Kept().running() as kept:
        yield kept


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, log: Kept) -> Iterator[Gateway]:
    stable, candidate = Backend(1), Backend(2)
    with (
        stable.running(),
        candidate.running(),
        running_envoy(tmp_path_factory.mktemp("e"), stable, candidate, log.address) as running,
    ):
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    with Caller(gateway.address) as caller:
        yield caller


def send(gateway: Gateway, traffic: Traffic, share: float = 1.0) -> None:
    gateway.send(Table({"taxi": Served(1, traffic, share)}))


def test_a_request_and_its_answer(gateway: Gateway, caller: Caller, log: Kept) -> None:
    caller.call(request_of("other"), {"x-request-id": "first", "x-tiffin-key": "order 7"})
    assert until(lambda: log.of("first"))
    [entry] = log.of("first")

    assert body_of(entry, "request") == request_of("other")
    answer = wire.PredictResponse.FromString(body_of(entry, "response"))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("other", 1)
    assert entry.request.path == PREDICT
    assert entry.common_properties.upstream_cluster == "*/stable/grpc"
    assert entry.response.response_trailers["grpc-status"] == "0"
    assert dict(entry.request.request_headers) == {
        "content-type": "application/grpc", "x-tiffin-model": "other", "x-tiffin-key": "order 7",
    }  # fmt: skip


def test_a_copy_has_the_id_of_its_request(gateway: Gateway, caller: Caller, log: Kept) -> None:
    send(gateway, Traffic(2, mirror=100))
    caller.call(request_of("taxi"), {"x-request-id": "pair"})
    assert until(lambda: len(log.of("pair")) == 2)

    answers = {
        entry.common_properties.upstream_cluster: wire.PredictResponse.FromString(body_of(entry, "response"))
        for entry in log.of("pair")
    }
    assert {name: answer.model_spec.version.value for name, answer in answers.items()} == {
        "taxi/stable/grpc": 1, "taxi/mirror/grpc": 2,
    }  # fmt: skip


@pytest.mark.parametrize("query", ["", "?7"])
def test_requests_by_rest(gateway: Gateway, log: Kept, query: str) -> None:
    send(gateway, Traffic(2, weight=100))
    request = urllib.request.Request(
        f"http://{gateway.address}/v1/models/taxi:predict{query}",
        b'{"instances": [1]}',
        {"x-request-id": f"rest{query}"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        response.read()
    assert until(lambda: log.of(f"rest{query}"))
    [entry] = log.of(f"rest{query}")

    assert body_of(entry, "request") == b'{"instances": [1]}'
    assert body_of(entry, "response") == b'{"version": 2}'
    assert entry.common_properties.upstream_cluster == "taxi/candidate/rest"
    assert entry.request.request_headers["x-tiffin-model"] == "taxi"
    assert entry.response.response_headers["x-tiffin-version"] == "2"


def test_requests_that_fail(gateway: Gateway, caller: Caller, log: Kept) -> None:
    with pytest.raises(grpc.RpcError):
        caller.call(b"\xff" * 20, {"x-request-id": "failed"})
    assert until(lambda: log.of("failed"))
    [entry] = log.of("failed")

    assert body_of(entry, "request") == b"\xff" * 20
    assert body_of(entry, "response") is None
    status = entry.response.response_trailers["grpc-status"] or entry.response.response_headers["grpc-status"]
    assert status == "2"


def test_large_bodies_are_left_out(gateway: Gateway, caller: Caller, log: Kept) -> None:
    caller.call(request_of("other", size=1 << 20), {"x-request-id": "large"})
    assert until(lambda: log.of("large"))
    [entry] = log.of("large")

    assert body_of(entry, "request") == b""
    assert entry.request.request_body_bytes > 1 << 20
    assert body_of(entry, "response")


def test_a_share_is_logged_with_its_copies(gateway: Gateway, caller: Caller, log: Kept) -> None:
    send(gateway, Traffic(2, mirror=100), share=0.5)
    ids = [f"share-{number}" for number in range(300)]
    for one in ids:
        caller.call(request_of("taxi"), {"x-request-id": one})
    caller.call(request_of("other"), {"x-request-id": "last"})
    assert until(lambda: log.of("last"))
    assert until(lambda: all(len(log.of(one)) != 1 for one in ids))

    logged = [one for one in ids if log.of(one)]
    assert 100 < len(logged) < 200
    assert all(len(log.of(one)) == 2 for one in logged)


def test_a_busy_recorder_gets_fewer_and_what_is_left_out_is_counted(
    gateway: Gateway, caller: Caller, log: Kept
) -> None:
    send(gateway, Traffic(2, mirror=100))
    throttle = gateway.root.parent / "throttle"
    start = len(log.entries)
    try:
        throttle.write_text("0.2500\n")
        time.sleep(1.1)  # the filter reads it every second
        ids = [f"busy-{number}" for number in range(400)]
        for one in ids:
            caller.call(request_of("taxi"), {"x-request-id": one})
    finally:
        throttle.unlink()
    time.sleep(1.1)
    for number in range(20):  # each worker says what it left out with the next request that it logs
        with Caller(gateway.address) as other:
            other.call(request_of("taxi"), {"x-request-id": f"idle-{number}"})
    assert until(lambda: all(len(log.of(f"idle-{number}")) == 2 for number in range(20)))

    logged = [one for one in ids if log.of(one)]
    assert 60 < len(logged) < 140
    assert all(len(log.of(one)) == 2 for one in logged)
    metadata = [entry.common_properties.metadata.filter_metadata["tiffin"] for entry in log.entries[start:]]
    left_out = sum(one.fields["throttled"].number_value for one in metadata if "throttled" in one.fields)
    assert left_out == 2 * (len(ids) - len(logged))


def test_reading_is_not_logged(caller: Caller, log: Kept) -> None:
    caller.call(request_of("other"), {"x-request-id": "status"}, "/tensorflow.serving.ModelService/GetModelStatus")
    caller.call(request_of("other"), {"x-request-id": "after"})
    assert until(lambda: log.of("after"))

    assert log.of("status") == []
