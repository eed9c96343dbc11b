"""Prometheus with the rules, and the pages of a real gateway, its model servers and a rollout."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import rollouts
from support.command_line import TIFFIN
from support.prometheus import query, running_prometheus
from support.waiting import until
from tiffin.errors import TiffinError
from tiffin.local import gateway, programs, serving
from tiffin.local.observability import find_targets
from tiffin.observability.scraping import JOBS, PROMETHEUS, RULES, TARGETS, make_configs, make_targets
from tiffin.rollout.document import read_rollout
from tiffin.serving import Client
from tiffin.serving.root import ServedModel

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return rollouts.publish(tmp_path_factory.mktemp("r"))


@pytest.fixture(scope="module")
def state(taxi: ServedModel) -> Path:
    return Path(taxi.root).parent


@pytest.fixture(scope="module")
def address(state: Path) -> Iterator[str]:
    server, _ = gateway.start_gateway(state)
    try:
        programs.wait_until_open(server)
        with Client(server.address) as client:
            client.predict("taxi", rollouts.INPUTS, timeout_seconds=90)
        yield server.address
    finally:
        gateway.stop_gateway(state)
        serving.stop_server(state)


@contextlib.contextmanager
def requests(address: str) -> Iterator[None]:
    """Send requests, of which every third one fails."""
    ended = threading.Event()

    def send() -> None:
        with Client(address) as client:
            for number in range(10**9):
                with contextlib.suppress(TiffinError):
                    client.predict("taxi", rollouts.INPUTS, "none" if number % 3 == 0 else "")
                if ended.wait(0.02):
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def rollout(taxi: ServedModel, state: Path) -> Iterator[None]:
    """Roll out version 2 to half of the requests."""
    start = [TIFFIN, "rollout", "start", "taxi", "2", "--why=test", "--step=weight=50,minutes=60", "--state", state]
    with subprocess.Popen(start, stdout=subprocess.DEVNULL) as started:
        try:
            assert until(lambda: (found := read_rollout(taxi)[0]) is not None and found.phase == "running")
            yield
        finally:
            started.terminate()
            started.wait(60)


def test_nothing_runs(tmp_path: Path) -> None:
    assert find_targets(tmp_path) == {job: [] for job in JOBS if job != "tiffin"}


def test_the_rules_have_the_figures_of_both_sources(
    taxi: ServedModel, state: Path, address: str, tmp_path: Path
) -> None:
    assert until(lambda: gateway.read_status(state) is not None)
    targets = find_targets(state)
    assert {job: len(found) for job, found in targets.items()} == {job: 1 for job in JOBS if job != "tiffin"}
    (tmp_path / TARGETS).mkdir()
    for name, content in make_targets(targets).items():
        (tmp_path / TARGETS / name).write_bytes(content)
    configs = make_configs(interval="1s")
    for name in (PROMETHEUS, RULES):
        (tmp_path / name).write_bytes(configs[name])

    with running_prometheus(tmp_path) as url, requests(address):
        assert until(lambda: set(query(url, "up").values()) == {1.0})

        def record(name: str, source: str, model: str) -> float:
            found = query(url, f'{name}{{source="{source}",model="{model}"}}')
            return next(iter(found.values()), 0.0)

        def has_figures(source: str, model: str) -> bool:
            return (
                0.2 < record("model:tiffin_error_share:ratio_rate5m", source, model) < 0.5
                and 0 < record("model:tiffin_latency_seconds:p99_5m", source, model) < 30
                and record("model:tiffin_requests:rate5m", source, model) > 0
            )

        # Without a rollout, the gateway counts all models as one.
        assert until(lambda: has_figures("gateway", "*"), 90)
        assert until(lambda: has_figures("servers", "taxi"), 90)
        assert not has_figures("gateway", "taxi")
        with rollout(taxi, state):
            assert until(lambda: has_figures("gateway", "taxi"), 90)
        assert until(lambda: query(url, 'ALERTS{alertname="TiffinErrors"}'))
        of = {dict(labels)["model"] for labels in query(url, 'ALERTS{alertname="TiffinErrors"}')}
        assert "taxi" in of
        assert until(lambda: query(url, "sum(tiffin_recorder_requests_total) > 0"))
