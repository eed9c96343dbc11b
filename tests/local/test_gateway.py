"""The gateway of a state folder, with real model servers; also while its parts are killed."""

import contextlib
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from support import rollouts
from support.waiting import is_alive, until
from tiffin import storage
from tiffin.errors import ServingError
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import write_traffic
from tiffin.governance.merging import merge
from tiffin.local import gateway, programs, serving
from tiffin.serving import Client
from tiffin.serving.root import CANDIDATE, TRAFFIC, ServedModel

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """A model with three versions; the answer of a version is its number plus 6."""
    return rollouts.publish(tmp_path_factory.mktemp("g"))


@pytest.fixture(scope="module")
def state(taxi: ServedModel) -> Iterator[Path]:
    path = Path(taxi.root).parent
    yield path
    gateway.stop_gateway(path)
    serving.stop_server(path)


@pytest.fixture(scope="module")
def running(state: Path) -> programs.Server:
    server, started = gateway.start_gateway(state)
    assert started
    programs.wait_until_open(server)
    return server


def ask(address: str, timeout_seconds: float = 60) -> float:
    with Client(address) as client:
        return float(client.predict("taxi", rollouts.INPUTS, timeout_seconds=timeout_seconds)["y"][0][0])


def is_answered(address: str) -> bool:
    with contextlib.suppress(ServingError):
        return ask(address) == 7
    return False


def route(taxi: ServedModel, traffic: Traffic) -> None:
    """Change where requests go."""
    write_traffic(taxi, traffic, taxi.read(TRAFFIC))
    merge(taxi.root)


def load(taxi: ServedModel, candidate: int | None) -> None:
    """Change the candidate's version."""
    state = taxi.read(CANDIDATE)
    if candidate is not None:
        storage.compare_and_swap(
            taxi.locate(CANDIDATE), taxi.make_config(candidate) or b"", state[1] if state else None
        )
    elif state:
        storage.compare_and_delete(taxi.locate(CANDIDATE), state[1])
    merge(taxi.root)


def child(parent: int | None, name: str) -> int:
    """Return the process id of a program that a process has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = [int(pid) for pid in children if name in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(found) == 1, name
    return found[0]


def test_a_state_folder_without_a_gateway(tmp_path: Path) -> None:
    assert gateway.find_gateway(tmp_path) is None
    assert gateway.read_status(tmp_path) is None
    assert gateway.stop_gateway(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_it_starts_the_model_server_and_serves_grpc_and_rest(state: Path, running: programs.Server) -> None:
    assert ask(running.address) == 7
    request = urllib.request.Request(
        f"http://{running.address}/v1/models/taxi:predict", json.dumps({"inputs": rollouts.INPUTS}).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response) == {"outputs": [[7.0]]}
        assert (response.headers["x-tiffin-route"], response.headers["x-tiffin-version"]) == ("stable", "1")
    status = gateway.read_status(state)
    server = serving.find_server(state)
    assert status
    assert server
    assert (status.stable, status.candidate, status.restarts) == (server.address, "", {})
    assert gateway.start_gateway(state) == (running, False)
    assert until(lambda: (recorded := gateway.read_recorded(status.recorder_metrics)) and recorded.requests >= 2)
    assert gateway.read_recorded(status.recorder_metrics).missing == {}
    assert gateway.read_recorded("http://127.0.0.1:1/metrics") is None


def test_its_files_are_for_its_user_only(state: Path, running: programs.Server) -> None:
    assert gateway.gateway_folder(state).stat().st_mode & 0o077 == 0


def test_the_candidate_server_runs_while_there_is_a_candidate(
    taxi: ServedModel, state: Path, running: programs.Server
) -> None:
    load(taxi, 2)
    route(taxi, Traffic(2, weight=100))
    # Requests wait until the server has loaded the version.
    assert until(lambda: ask(running.address) == 8)
    status = gateway.read_status(state)
    assert status
    assert ask(status.candidate) == 8
    assert gateway.read_traffic(state)["taxi"].traffic == Traffic(2, weight=100)

    route(taxi, Traffic())
    assert until(lambda: ask(running.address) == 7)
    load(taxi, None)
    assert until(lambda: gateway.read_status(state).candidate == "")
    assert not programs.is_open(status.candidate)


@pytest.mark.parametrize("part", ["envoy", "recorder", "server"])
def test_a_part_that_is_killed_is_started_again(state: Path, running: programs.Server, part: str) -> None:
    server, before = serving.find_server(state), gateway.read_status(state)
    assert server
    assert before
    pid = server.pid if part == "server" else child(running.pid, f"tiffin.{part}" if part == "recorder" else part)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not is_alive(pid))

    # The client repeats calls while Envoy is away; Envoy keeps requests while the server is.
    assert until(lambda: is_answered(running.address))
    if part == "server":
        assert serving.find_server(state).pid != pid
    else:
        assert until(lambda: gateway.read_status(state).restarts == before.restarts | {part: 1})


def test_no_request_is_lost_while_the_server_restarts(state: Path, running: programs.Server) -> None:
    server = serving.find_server(state)
    assert server
    answers: list[float] = []
    os.kill(server.pid or 0, signal.SIGKILL)
    assert until(lambda: not is_alive(server.pid or 0))
    threads = [threading.Thread(target=lambda: answers.append(ask(running.address))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [7.0] * 8


def test_a_killed_gateway_leaves_no_process_and_no_folder(
    taxi: ServedModel, state: Path, running: programs.Server
) -> None:
    envoy = child(running.pid, "envoy")
    folder = Path(Path(f"/proc/{envoy}/cmdline").read_text().split("\0")[2]).parent
    os.kill(running.pid or 0, signal.SIGKILL)
    assert until(lambda: gateway.find_gateway(state) is None)
    assert until(lambda: not is_alive(envoy))
    assert until(lambda: not folder.exists())

    again, started = gateway.start_gateway(state)
    assert started
    programs.wait_until_open(again)
    assert ask(again.address) == 7


def test_a_stopped_gateway_stops_the_server_that_it_started(state: Path) -> None:
    assert gateway.stop_gateway(state)

    assert gateway.find_gateway(state) is None
    assert gateway.read_status(state) is None
    assert not gateway.status_path(state).exists()


def test_the_prediction_log_has_the_requests(state: Path) -> None:
    """Also those before a part was killed, except for the files that were open."""
    files = str(serving.prediction_log(state) / "taxi" / "date=*" / "hour=*" / "*.parquet")
    rows = duckdb.sql(f"""SELECT DISTINCT route, version, "output.y" FROM read_parquet('{files}', union_by_name = true)
        WHERE protocol = 'grpc' AND code = 'OK'""").fetchall()

    assert set(rows) <= {("stable", 1, 7.0), ("candidate", 2, 8.0)}
    assert ("stable", 1, 7.0) in rows
