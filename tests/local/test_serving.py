import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import until
from tiffin.errors import ServingError, TiffinError
from tiffin.local import interpreters, programs, serving
from tiffin.local.companion import accompany, running_server, stop_unless_needed
from tiffin.local.guarding import guarded_folder
from tiffin.local.interpreters import warm_interpreters

pytestmark = pytest.mark.runs


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    serving.stop_server(path)


def test_a_missing_state_folder_has_no_server(tmp_path: Path) -> None:
    assert serving.find_server(tmp_path / "none") is None
    assert serving.stop_server(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_the_record_of_a_dead_server_is_ignored(state: Path) -> None:
    # The process id in the record now belongs to another process: this test.
    serving.server_folder(state).mkdir(parents=True)
    (serving.server_folder(state) / "lock").touch()
    serving.record_path(state).write_text(json.dumps({"address": "127.0.0.1:1", "pid": os.getpid()}))

    assert serving.find_server(state) is None
    assert serving.stop_server(state) is None


def test_a_server_that_has_removed_its_record_is_gone_when_it_ends(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = os.open(serving.make_server_folder(state) / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waits: list[float] = []

    def end(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            os.close(lock)

    monkeypatch.setattr(programs.time, "sleep", end)

    assert serving.find_server(state) is None
    assert len(waits) == 1


def test_a_server_starts_is_found_and_stops(state: Path) -> None:
    server, started = serving.start_server(state)
    assert started
    assert serving.start_server(state) == (server, False)
    serving.wait_until_open(server)

    assert serving.find_server(state) == server
    record = json.loads(serving.record_path(state).read_text())
    assert (record["pid"], record["address"], record["state"]) == (server.pid, server.address, str(state))
    assert server.pid
    assert os.getsid(server.pid) != os.getsid(0)
    assert serving.stop_server(state) == server
    assert serving.find_server(state) is None
    assert not serving.is_open(server.address)
    assert not serving.record_path(state).exists()


def test_concurrent_starts_start_one_server(state: Path) -> None:
    results: list[tuple[serving.Server, bool]] = []
    threads = [threading.Thread(target=lambda: results.append(serving.start_server(state))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [started for _, started in results].count(True) == 1
    assert len({server.address for server, _ in results}) == 1


def test_running_server_stops_its_server_after_the_block(state: Path) -> None:
    with running_server(state) as address:
        assert serving.is_open(address)
        with running_server(state) as again:
            assert again == address
        assert serving.is_open(address)

    assert serving.find_server(state) is None


def test_a_server_ends_when_its_state_folder_is_removed(state: Path) -> None:
    server, _ = serving.start_server(state)
    serving.wait_until_open(server)
    shutil.rmtree(state)

    assert until(lambda: not serving.is_open(server.address))


def test_a_killed_server_is_not_found(state: Path) -> None:
    server, _ = serving.start_server(state)
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)

    with pytest.raises(ServingError, match=rf"{server.address} .*server\.log\."):
        serving.wait_until_open(server)
    assert serving.record_path(state).exists()
    assert serving.find_server(state) is None


def test_a_taken_port_is_replaced_only_if_it_is_the_default(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(TiffinError, match=rf"{port} .*127\.0\.0\.1 .*: Address .*--port"),
            serving.starting_server(state, port=port),
        ):
            pass
        assert serving.find_server(state) is None
    with serving.starting_server(state, port=port) as (server, locks):
        assert (server.address, server.pid) == (f"127.0.0.1:{port}", None)
        assert locks


def test_a_port_is_reserved_before_its_server_binds_it(state: Path, tmp_path: Path) -> None:
    """Two state folders that start a server at the same time get different ports."""
    with serving.starting_server(state) as (first, _), serving.starting_server(tmp_path / "other") as (second, _):
        assert first.address != second.address
        port = int(first.address.rpartition(":")[2])
        with (
            pytest.raises(TiffinError, match=rf"{port} (?!.*: Address ).*--port"),
            serving.starting_server(tmp_path / "third", port=port),
        ):
            pass
    # No server was started, so the port is free again.
    with serving.starting_server(tmp_path / "third", port=port) as (server, _):
        assert server.address == first.address


def test_a_cancelled_start_leaves_no_server(state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slow_of_tests.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(interpreters, "MODULES", {"model": (("slow_of_tests",), ())})
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        companion = accompany(state, started["model"])
        assert companion.started
        assert serving.find_server(state) == companion.server
        companion.call_off()
        started["model"].stop()
        companion.finish(stop=True)

    assert serving.find_server(state) is None


def test_a_server_forked_from_a_warm_interpreter_outlives_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": (("tensorflow",), ())})
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        companion = accompany(state, started["model"])
        companion.finish(stop=False)
        server = serving.find_server(state)
        assert server
        assert server.address == companion.server.address
    serving.wait_until_open(server)

    # The port opens before the line is logged.
    assert until(lambda: "Running gRPC ModelServer" in server.log.read_text())
    assert serving.stop_server(state) == server


def test_a_run_does_not_stop_a_server_that_another_run_uses(state: Path) -> None:
    first = accompany(state, None)
    second = accompany(state, None)
    assert (first.started, second.started) == (True, False)
    first.finish(stop=True)

    assert serving.find_server(state)
    second.finish(stop=True)
    # A run that did not start the server does not stop it.
    assert serving.find_server(state)
    third = accompany(state, None)
    third.started = True
    third.finish(stop=True)
    assert serving.find_server(state) is None


def test_a_command_does_not_stop_a_server_that_a_run_uses(state: Path) -> None:
    with running_server(state):
        run = accompany(state, None)
        assert not run.started

    assert serving.find_server(state)
    stop_unless_needed(state)
    assert serving.find_server(state)
    run.finish(stop=True)
    stop_unless_needed(state)
    assert serving.find_server(state) is None


def test_a_background_server_closes_inherited_output(state: Path) -> None:
    code = f"from tiffin.local import serving; print(serving.start_server({str(state)!r})[0].address)"
    # This returns once every process has closed the pipe.
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout

    server = serving.find_server(state)
    assert server
    assert out == f"{server.address}\n"
