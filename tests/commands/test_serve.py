import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import TIFFIN
from support.waiting import free_port
from tiffin.local import serving

COMMAND = [TIFFIN, "serve"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    serving.stop_server(path)


def serve(state: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, "--state", str(state), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_where_no_server_runs_there_is_none_to_stop(state: Path) -> None:
    assert serve(state, "--status") == (1, f"No server runs for {state}.\n")
    assert serve(state, "--stop") == (0, f"No server runs for {state}.\n")
    assert not state.exists()


def test_a_taken_port_is_named(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert serve(state, "--port", str(port)) == (
            1,
            f"error: --port should be free on 127.0.0.1. Received: {port} (Address already in use). "
            "Choose another with --port, or stop what listens there.\n",
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_in_the_foreground_serves_until_it_is_told_to_stop(state: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [*COMMAND, "--state", str(state), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == f"Serving {state}/serving at 127.0.0.1:{port}. Ctrl-C stops it.\n"
        server = serving.find_server(state)
        assert server
        running = rf"A server runs for {state} at 127\.0\.0\.1:{port}, process {server.pid}\."
        for arguments in ([], ["--status"]):
            status, said = serve(state, *arguments)
            assert status == 0
            assert re.match(running, said)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "\nStopping the server.\n")
    assert serving.find_server(state) is None
    assert not serving.is_open(f"127.0.0.1:{port}")


def test_a_server_can_be_stopped_from_elsewhere(state: Path) -> None:
    server, _ = serving.start_server(state)

    assert serve(state, "--stop") == (0, f"Stopped the server at {server.address}.\n")
    assert serve(state, "--status")[0] == 1
    assert server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0) if Path(f"/proc/{server.pid}/exe").exists() else os.kill(2**22, 0)


def test_two_things_at_once_are_a_bad_argument(state: Path) -> None:
    status, said = serve(state, "--stop", "--status")

    assert status == 2
    assert said.endswith("error: --stop and --status should be given one at a time. Received: both.\n")
