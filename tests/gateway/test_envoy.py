"""Real requests through a real Envoy. The servers behind it are small: stable is version 1, the candidate version 2."""

import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from support.gateways import PREDICT, Backend, Caller, Gateway, request_of, running_envoy
from support.waiting import until
from tiffin.gateway import following
from tiffin.gateway.envoy import CLUSTERS
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.serving import wire


@pytest.fixture(scope="module")
def stable() -> Iterator[Backend]:
    backend = Backend(1)
    with backend.running():
        yield backend


@pytest.fixture(scope="module")
def candidate() -> Iterator[Backend]:
    backend = Backend(2)
    with backend.running():
        yield backend


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, stable: Backend, candidate: Backend) -> Iterator[Gateway]:
    with running_envoy(tmp_path_factory.mktemp("e"), stable, candidate) as running:
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    with Caller(gateway.address) as caller:
        yield caller


@pytest.fixture(autouse=True)
def nothing_is_kept(stable: Backend, candidate: Backend) -> None:
    for backend in (stable, candidate):
        backend.calls.clear()
        backend.posts.clear()
        backend.fail = None


def taxi(traffic: Traffic, share: float = 1.0) -> Table:
    return Table({"taxi": Served(1, traffic, share)})


def metrics(gateway: Gateway) -> dict[str, str]:
    """Return the metrics: name with labels to value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.places.metrics_port}/metrics", timeout=20) as response:
        lines = response.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))


def post(
    gateway: Gateway, path: str, headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    request = urllib.request.Request(f"http://{gateway.address}{path}", b"{}", headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_models_without_traffic_go_to_stable(caller: Caller, gateway: Gateway) -> None:
    assert caller.call(request_of("anything"))[0] == 1
    assert post(gateway, "/v1/models/anything:predict")[2] == b'{"version": 1}'


def test_requests_are_divided_by_weight(gateway: Gateway, caller: Caller) -> None:
    gateway.send(taxi(Traffic(2, weight=20)))
    counted = caller.count(request_of("taxi"), 1000)

    # 200 are expected, with a standard deviation of 13.
    assert 130 < counted[2] < 270
    assert caller.count(request_of("other"), 20) == {1: 20}
    assert {headers["x-tiffin-route"] for _, headers in (caller.call(request_of("taxi")) for _ in range(100))} == {
        "stable",
        "candidate",
    }


@pytest.mark.parametrize(("weight", "version"), [(0, 1), (100, 2)])
def test_all_or_none(gateway: Gateway, caller: Caller, weight: float, version: int) -> None:
    gateway.send(taxi(Traffic(2, weight=weight)))

    assert caller.count(request_of("taxi"), 100) == {version: 100}


@pytest.mark.parametrize(("request_", "answers"), [
    (request_of("taxi", 1), 1),
    (request_of("taxi", 2), 2),
    (request_of("taxi", 7), 1),
    (request_of("taxi", label="stable"), 1),
])  # fmt: skip
def test_a_request_that_names_a_version(gateway: Gateway, caller: Caller, request_: bytes, answers: int) -> None:
    gateway.send(taxi(Traffic(2, weight=50)))

    assert caller.count(request_, 30) == {answers: 30}


def test_testers_choose_a_side(gateway: Gateway, caller: Caller) -> None:
    gateway.send(taxi(Traffic(2)))

    for side, version in (("candidate", 2), ("stable", 1)):
        answered, headers = caller.call(request_of("taxi"), {"x-tiffin-version": side})
        assert (answered, headers["x-tiffin-route"], headers["x-tiffin-version"]) == (version, side, str(version))
    status, headers, content = post(gateway, "/v1/models/taxi:predict", {"x-tiffin-version": "candidate"})
    assert (status, headers["x-tiffin-route"], headers["x-tiffin-version"]) == (200, "candidate", "2")
    assert content == b'{"version": 2}'


def test_clients_cannot_pass_for_another_model(gateway: Gateway, caller: Caller, stable: Backend) -> None:
    gateway.send(taxi(Traffic(2, weight=100)))

    assert caller.call(request_of("other"), {"x-tiffin-model": "taxi"})[0] == 1
    assert caller.call(request_of("taxi"), {"x-tiffin-model": "other"})[0] == 2
    assert caller.call(request_of("taxi"), {"x-tiffin-pinned": "1"})[0] == 2
    assert caller.call(b"", {"x-tiffin-model": "taxi"})[0] == 1


def test_the_same_key_goes_to_the_same_side(gateway: Gateway, caller: Caller) -> None:
    gateway.send(taxi(Traffic(2, weight=50, sticky="x-user")))

    sides = [caller.count(request_of("taxi"), 10, lambda _, user=user: {"x-user": str(user)}) for user in range(20)]
    assert all(len(side) == 1 for side in sides)
    assert len(set().union(*sides)) == 2
    # Requests without the key are divided at random.
    assert len(caller.count(request_of("taxi"), 60)) == 2


def test_copies_go_to_the_candidate(gateway: Gateway, caller: Caller, candidate: Backend) -> None:
    gateway.send(taxi(Traffic(2, mirror=100)))
    candidate.fail = grpc.StatusCode.INTERNAL
    ids = [f"id-{number}" for number in range(50)]

    assert {caller.call(request_of("taxi"), {"x-request-id": one})[0] for one in ids} == {1}
    assert until(lambda: len(candidate.calls) == 50)
    assert {call["x-request-id"] for call in candidate.calls} == set(ids)
    assert post(gateway, "/v1/models/taxi:predict")[2] == b'{"version": 1}'
    assert until(lambda: len(candidate.posts) == 1)


def test_half_of_the_requests_are_copied(gateway: Gateway, caller: Caller, candidate: Backend) -> None:
    gateway.send(taxi(Traffic(2, mirror=50)))
    caller.count(request_of("taxi"), 400)

    assert until(lambda: len(candidate.calls) > 130)
    assert len(candidate.calls) < 270


def test_a_candidate_that_hangs_does_not_delay_clients(gateway: Gateway, caller: Caller, candidate: Backend) -> None:
    gateway.send(taxi(Traffic(2, mirror=100)))
    released = threading.Event()
    candidate.wait = lambda: released.wait(20) and None
    try:
        # More than its threads, and than the copies that may be under way.
        assert caller.count(request_of("taxi"), 400) == {1: 400}
        # At most 256 copies are under way.
        assert metrics(gateway)["envoy_cluster_copies_upstream_rq_active_overflow{}"] == "144"
    finally:
        candidate.wait = lambda: None
        released.set()


@pytest.mark.parametrize("path", ["/v1/models/taxi:predict", "/V1/Models/taxi/versions/2:predict"])
def test_rest(gateway: Gateway, path: str) -> None:
    gateway.send(taxi(Traffic(2, weight=100)))
    status, headers, content = post(gateway, path)

    assert (status, content) == (200, b'{"version": 2}')
    assert (headers["x-tiffin-route"], headers["x-tiffin-version"]) == ("candidate", "2")
    assert post(gateway, "/v1/models/taxi/versions/1:predict")[2] == b'{"version": 1}'
    assert post(gateway, "/v1/models/taxi/labels/prod:predict")[2] == b'{"version": 1}'


def test_other_methods_of_the_prediction_service(gateway: Gateway, caller: Caller) -> None:
    gateway.send(taxi(Traffic(2, weight=100)))
    service = PREDICT.rpartition("/")[0]
    regression, inference = wire.RegressionRequest(), wire.MultiInferenceRequest()
    regression.model_spec.name = "taxi"
    inference.tasks.add().model_spec.name = "taxi"

    for method, request in (("Regress", regression), ("Classify", regression), ("MultiInference", inference)):
        assert caller.call(request.SerializeToString(), method=f"{service}/{method}")[0] == 2, method


@pytest.mark.parametrize("method", ["ModelService/HandleReloadConfigRequest", "SessionService/SessionRun"])
def test_nothing_that_changes_the_servers_is_passed_on(
    caller: Caller, stable: Backend, candidate: Backend, method: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        caller.call(request_of("taxi"), method=f"/tensorflow.serving.{method}")

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert stable.calls + candidate.calls == []
    assert caller.call(request_of("taxi"), method="/tensorflow.serving.ModelService/GetModelStatus")[0] == 1


@pytest.mark.parametrize("size", [1 << 10, 1 << 20, 5 << 20])
def test_bodies_of_any_size(gateway: Gateway, caller: Caller, size: int) -> None:
    gateway.send(taxi(Traffic(2, weight=100)))

    assert caller.call(request_of("taxi", size=size))[0] == 2


def test_the_name_may_come_after_other_fields(gateway: Gateway, caller: Caller) -> None:
    gateway.send(taxi(Traffic(2, weight=100)))
    inputs = wire.PredictRequest()
    inputs.inputs["x"].tensor_content = b"x" * 3000
    spec = wire.PredictRequest()
    spec.model_spec.signature_name = "serving_default"
    spec.model_spec.name = "taxi"

    assert caller.call(inputs.SerializeToString() + spec.SerializeToString())[0] == 2


@pytest.mark.parametrize(
    "body", [b"\xff" * 20, b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", b"\x0a\x03\x0a\x7fx"]
)
def test_bodies_that_are_no_messages_reach_the_server(caller: Caller, stable: Backend, body: bytes) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        caller.call(body)

    # The server's parser fails, and not the gateway.
    assert refused.value.code() == grpc.StatusCode.UNKNOWN
    assert len(stable.calls) == 1


def test_an_id_is_kept_and_one_is_made(caller: Caller) -> None:
    assert caller.call(request_of("taxi"), {"x-request-id": "order 7"})[1]["x-request-id"] == "order 7"
    assert len(caller.call(request_of("taxi"))[1]["x-request-id"]) == 36


def test_no_request_fails_while_the_traffic_changes(gateway: Gateway, caller: Caller) -> None:
    counted: Counter[int] = Counter()
    stopped = threading.Event()

    def send() -> None:
        with Caller(gateway.address) as other:
            while not stopped.is_set():
                counted.update(other.count(request_of("taxi"), 10))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for number in range(12):
            traffic = (Traffic(2, weight=50), Traffic(), Traffic(2, mirror=100), Traffic(2, weight=100))[number % 4]
            gateway.send(Table({"taxi": Served(number, traffic)}))
    finally:
        stopped.set()
        thread.join()

    # An error would have ended the thread.
    caller.count(request_of("taxi"), 1)
    assert set(counted) == {1, 2}
    assert gateway.lines == []


def test_requests_wait_for_a_server_that_is_away(tmp_path_factory: pytest.TempPathFactory, candidate: Backend) -> None:
    away = Backend(1)
    with away.running():
        pass
    answers: list[int] = []

    with (
        running_envoy(tmp_path_factory.mktemp("e"), away, candidate) as gateway,
        Caller(gateway.address) as caller,
    ):
        thread = threading.Thread(target=lambda: answers.append(caller.call(request_of("taxi"))[0]))
        thread.start()
        thread.join(1)
        assert thread.is_alive()
        with away.running():
            thread.join()
    assert answers == [1]


@pytest.mark.parametrize("weight", [100, 0], ids=["candidate", "stable"])
def test_requests_that_wait_when_a_rollout_ends_are_answered(
    tmp_path_factory: pytest.TempPathFactory, stable: Backend, candidate: Backend, weight: float
) -> None:
    """Their server is away: that of the candidate, which may not come back, or the stable one."""
    away = Backend(2 if weight else 1)
    with away.running():
        pass
    sides = (stable, away) if weight else (away, candidate)
    answers: list[int] = []

    with (
        running_envoy(tmp_path_factory.mktemp("e"), *sides, table=taxi(Traffic(2, weight=weight))) as gateway,
        Caller(gateway.address) as caller,
    ):
        thread = threading.Thread(target=lambda: answers.append(caller.call(request_of("taxi"))[0]))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        gateway.send(taxi(Traffic()))
        for _ in range(3):
            gateway.follower.follow()
        if not weight:
            thread.join(0.5)
            assert thread.is_alive()
            with away.running():
                thread.join()
        thread.join()
    assert answers == [1]


def test_clusters_that_nothing_waits_for_go(
    gateway: Gateway, stable: Backend, candidate: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ports() -> dict[str, int]:
        resources = json.loads((gateway.follower.folder / CLUSTERS).read_text())["resources"]
        found = {one["name"]: one["load_assignment"]["endpoints"][0]["lb_endpoints"][0] for one in resources}
        return {
            name.removeprefix("taxi/"): one["endpoint"]["address"]["socket_address"]["port_value"]
            for name, one in found.items()
            if name.startswith("taxi/")
        }

    now = time.monotonic()
    monkeypatch.setattr(following.time, "monotonic", lambda: now)
    gateway.send(taxi(Traffic(2, weight=50)))
    during = ports()
    assert during["candidate/grpc"] == candidate.grpc_port
    gateway.send(taxi(Traffic()))
    now += 20
    gateway.follower.follow()
    # The answers by REST do not name their version.
    assert ports() == {**during, "candidate/grpc": stable.grpc_port}
    # Another model does not prolong it.
    gateway.send(Table({"taxi": Served(1, Traffic(), 1.0), "bus": Served(1, Traffic(), 1.0)}))
    now += 11
    gateway.follower.follow()
    assert ports() == {}


def test_the_documented_metrics_are_there(gateway: Gateway, caller: Caller) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "gateway.md").read_text()
    named = set(re.findall(r"`(envoy_cluster_\w+)`", page))
    gateway.send(Table({"shown": Served(1, Traffic(2, weight=100))}))
    caller.call(request_of("shown"))

    assert len(named) == 5
    assert until(lambda: named <= {re.sub(r"(_count)?\{.*", "", name) for name in metrics(gateway)})


def test_metrics_name_the_model_and_the_route(gateway: Gateway, caller: Caller) -> None:
    gateway.send(Table({"taxi.v2": Served(1, Traffic(2, weight=100))}))
    caller.count(request_of("taxi.v2"), 7)
    found = metrics(gateway)

    labels = '{model="taxi.v2",route="candidate",protocol="grpc"}'
    assert found[f"envoy_cluster_grpc_total{labels}"] == "7"
    assert found[f"envoy_cluster_grpc_success{labels}"] == "7"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{gateway.places.metrics_port}/quitquitquit", b"", timeout=20)
    refused.value.close()
    assert refused.value.code == 404
