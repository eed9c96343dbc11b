"""Drives of rollouts with the scale of a cluster's Deployment; tests/local/test_rollout.py has those with servers."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from support.kubernetes_api import DEPLOYMENT, Cluster, running_cluster
from support.serving_roots import ADA, BOB, make_saved_model, put
from support.waiting import free_port, until
from tiffin.errors import InputError
from tiffin.gateway.applied import State
from tiffin.rollout import course, driving
from tiffin.rollout import places as rollout_places
from tiffin.rollout.cluster import kubernetes
from tiffin.rollout.cluster.scaling import scale
from tiffin.rollout.document import read_rollout
from tiffin.rollout.driving import Pace, drive
from tiffin.rollout.places import Places
from tiffin.rollout.plan import Step
from tiffin.serving.root import ServedModel

PACE = Pace(look=0.01, load=0.3, traffic=0.3)
STEPS = (Step(weight=5.0),)


@dataclass
class Gateway:
    """A gateway with a state, or an error, for each time that it is asked; the last one stays."""

    states: list[State | Exception] = field(default_factory=lambda: ["applied"])

    def divide(self, _: str, __: str) -> State:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return state


@pytest.fixture(autouse=True)
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "_DRAIN_SECONDS", 0.0)
    monkeypatch.setattr(kubernetes, "_PAUSES", (0.0,))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path) as running:
        yield running


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def places(cluster: Cluster, gateway: Gateway) -> Places:
    """Places without a server that answers."""
    address = f"127.0.0.1:{free_port()}"
    return Places(
        address, address, "gateways:8500", "", read=lambda *_: {}, divide=gateway.divide,
        scale=partial(scale, cluster.api, "tiffin-candidate"),
    )  # fmt: skip


@pytest.fixture
def find(tmp_path: Path) -> Callable[[str], ServedModel]:
    """A function that makes a model with version 1 in production, and files of version 2."""
    saved_model = make_saved_model(tmp_path)

    def make(name: str) -> ServedModel:
        served = ServedModel(str(tmp_path / "root"), name)
        put(served, saved_model, 1)
        served.publish(saved_model, 2)
        return served

    return make


@pytest.fixture
def taxi(find: Callable[[str], ServedModel]) -> ServedModel:
    return find("taxi")


def begin(served: ServedModel) -> str:
    return course.start(served, 2, ADA, strategy="canary", steps=STEPS).id


def test_servers_that_do_not_start(taxi: ServedModel, cluster: Cluster, places: Places) -> None:
    ended = drive(taxi, begin(taxi), lambda: places, PACE)

    assert (ended.phase, ended.outcome) == ("over", "aborted")
    # From zero, and back.
    assert cluster.changes() == [DEPLOYMENT, DEPLOYMENT]
    assert cluster.replicas == 0


def test_servers_that_the_autoscaler_added_are_stopped(taxi: ServedModel, cluster: Cluster, places: Places) -> None:
    identifier = begin(taxi)
    course.abort(taxi, BOB)
    cluster.change(cluster.objects[DEPLOYMENT], {"spec": {"replicas": 3}})
    drive(taxi, identifier, lambda: places, PACE)

    assert cluster.replicas == 0


def test_servers_that_another_model_needs_go_on(
    taxi: ServedModel, find: Callable[[str], ServedModel], cluster: Cluster, places: Places
) -> None:
    bus = find("bus")
    identifier, other = begin(taxi), begin(bus)
    places.scale(True)
    course.abort(taxi, BOB)
    drive(taxi, identifier, lambda: places, PACE)
    assert cluster.replicas == 1

    course.abort(bus, BOB)
    drive(bus, other, lambda: places, PACE)
    assert cluster.replicas == 0


def test_two_rollouts_that_end_at_once(
    taxi: ServedModel, find: Callable[[str], ServedModel], cluster: Cluster, places: Places
) -> None:
    models = [taxi, find("bus")]
    identifiers = [begin(served) for served in models]
    places.scale(True)
    for served in models:
        course.abort(served, BOB)
    threads = [
        threading.Thread(target=drive, args=(served, identifier, lambda: places, PACE))
        for served, identifier in zip(models, identifiers, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cluster.replicas == 0


def test_a_process_that_is_killed_before_it_stopped_the_servers(
    taxi: ServedModel, cluster: Cluster, places: Places
) -> None:
    identifier = begin(taxi)
    places.scale(True)
    course.abort(taxi, BOB)

    def kill(_: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(taxi, identifier, lambda: replace(places, scale=kill), PACE)
    found, _ = read_rollout(taxi)
    assert found
    assert (found.phase, cluster.replicas) == ("ending", 1)

    assert drive(taxi, identifier, lambda: places, PACE).is_over
    assert cluster.replicas == 0


def test_servers_that_cannot_be_stopped(taxi: ServedModel, cluster: Cluster, places: Places) -> None:
    identifier, lines = begin(taxi), list[str]()
    places.scale(True)
    course.abort(taxi, BOB)
    cluster.rules = []
    ended = drive(taxi, identifier, lambda: places, PACE, lines.append)

    assert ended.is_over
    assert [line for line in lines if "403" in line]


def test_a_permission_that_is_missing(taxi: ServedModel, cluster: Cluster, places: Places) -> None:
    cluster.rules = [{**rule, "verbs": ["get"]} for rule in cluster.rules]
    ended = drive(taxi, begin(taxi), lambda: places, PACE)

    assert (ended.outcome, ended.by) == ("aborted", course.ANALYSIS)
    assert "tiffin-candidate-scaler" in ended.reason


def test_an_api_server_that_is_away_for_a_while(taxi: ServedModel, cluster: Cluster, places: Places) -> None:
    identifier, lines = begin(taxi), list[str]()
    cluster.faults = [500, 500]
    ended = drive(taxi, identifier, lambda: places, PACE, lines.append)

    assert [line for line in lines if "500" in line]
    # It went on, and found that no server answers.
    assert cluster.changes() == [DEPLOYMENT, DEPLOYMENT]
    assert ended.outcome == "aborted"


def test_traffic_that_the_gateway_cannot_divide(taxi: ServedModel, places: Places, gateway: Gateway) -> None:
    gateway.states = [InputError("whole percents only"), "applied"]
    ended = drive(taxi, begin(taxi), lambda: places, PACE)

    assert (ended.outcome, ended.reason) == ("aborted", "whole percents only")


def test_every_server_has_to_answer_with_the_version(
    taxi: ServedModel, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not resolve at first, and has two servers then, of which none answers."""
    found: list[list[str]] = [[], [], ["127.0.0.1", "127.0.0.2"]]
    asked: list[str] = []

    def find_addresses(*_: object) -> list[str]:
        if not found:
            return ["127.0.0.1", "127.0.0.2"]
        if not (addresses := found.pop(0)):
            raise OSError(2, "Name or service not known")
        return addresses

    monkeypatch.setattr(rollout_places, "find_addresses", find_addresses)
    monkeypatch.setattr(rollout_places, "accept", lambda address, *_: asked.append(address))
    identifier = begin(taxi)
    # With no time for requests, the rollout ends at the first look.
    ended = drive(taxi, identifier, lambda: places, replace(PACE, load=5.0, traffic=-600.0))

    port = places.candidate.rpartition(":")[2]
    assert asked == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
    assert ended.outcome == "inconclusive"


def test_requests_that_still_go_to_the_candidate_keep_its_servers(
    taxi: ServedModel, cluster: Cluster, places: Places, gateway: Gateway
) -> None:
    identifier = begin(taxi)
    places.scale(True)
    course.abort(taxi, BOB)
    gateway.states = ["pending"]
    lines: list[str] = []
    thread = threading.Thread(target=drive, args=(taxi, identifier, lambda: places, PACE, lines.append))
    thread.start()
    try:
        assert until(lambda: any("gateways:8500" in line for line in lines))
        assert cluster.replicas == 1
    finally:
        gateway.states = ["applied"]
        thread.join()
    assert cluster.replicas == 0
