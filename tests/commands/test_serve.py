import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import TIFFIN
from support.waiting import free_port
from tiffin.errors import ServingError
from tiffin.local import serving
from tiffin.serving import Client, model_config

pytestmark = pytest.mark.runs

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


def test_status_and_stop_without_a_server(state: Path) -> None:
    status, stop = serve(state, "--status"), serve(state, "--stop")

    assert (status[0], stop[0]) == (1, 0)
    assert status[1] == stop[1]
    assert str(state) in stop[1]
    assert not state.exists()


def test_a_taken_port_is_an_error(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, output = serve(state, "--port", str(port))

    assert status == 1
    assert output.startswith("error: ")
    assert all(part in output for part in (str(port), "127.0.0.1", "Address already in use", "--port"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_foreground_server_runs_until_a_signal(state: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [*COMMAND, "--state", str(state), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert f" {state}/serving at 127.0.0.1:{port}." in process.stdout.readline()
        server = serving.find_server(state)
        assert server
        for arguments in ([], ["--status"]):
            status, output = serve(state, *arguments)
            assert status == 0
            assert re.search(rf" {state} .*127\.0\.0\.1:{port}.* {server.pid}\..* {server.log}$", output)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert re.fullmatch(r"\n.+\n", err)
    assert serving.find_server(state) is None
    assert not serving.is_open(f"127.0.0.1:{port}")


def test_a_server_can_be_stopped_from_elsewhere(state: Path) -> None:
    server, _ = serving.start_server(state)

    status, output = serve(state, "--stop")

    assert status == 0
    assert server.address in output
    assert serve(state, "--status")[0] == 1
    assert server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0) if Path(f"/proc/{server.pid}/exe").exists() else os.kill(2**22, 0)


def test_stop_and_status_exclude_each_other(state: Path) -> None:
    status, output = serve(state, "--stop", "--status")

    assert status == 2
    assert re.search("error: --stop.*--status", output)


def reload(server: serving.Server, folder: Path) -> ServingError:
    """Send the config of a model without versions, and return the error; the call of an allowed one waits for a version."""
    config = model_config.make_config([model_config.make_model("own", str(folder), [1])])
    with Client(server.address) as client, pytest.raises(ServingError) as caught:
        client.reload_config(config, 5)
    return caught.value


def test_clients_cannot_change_the_models(state: Path, tmp_path: Path) -> None:
    """Another user of this machine could otherwise read and write files with a model of their own."""
    server, _ = serving.start_server(state)
    serving.wait_until_open(server)
    config = serving.server_folder(state) / "models.config"
    before = config.read_bytes()

    error = reload(server, tmp_path)
    assert error.code == "PERMISSION_DENIED"
    assert "--allow_reload_config" in str(error)
    assert config.read_bytes() == before
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    status, output = serve(state, "--allow-reload-config")
    assert status == 1
    assert "--stop" in output


def test_clients_can_change_the_models_if_allowed(state: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "--state", str(state), "--port", str(free_port()), "--allow-reload-config"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline()
        server = serving.find_server(state)
        assert server
        assert reload(server, tmp_path).code == "DEADLINE_EXCEEDED"
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_only_its_user_can_change_the_servers_files(state: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        state.mkdir()
        (state / "server").mkdir()
        server, _ = serving.start_server(state)
        serving.wait_until_open(server)
    finally:
        os.umask(before)
    assert stat.S_IMODE(serving.server_folder(state).stat().st_mode) == 0o700
