import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import rollouts
from support.command_line import TIFFIN
from support.waiting import free_port
from tiffin.local import gateway, serving

pytestmark = pytest.mark.runs


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    gateway.stop_gateway(path)
    serving.stop_server(path)


def run(state: Path, *arguments: str) -> tuple[int, str]:
    command = [TIFFIN, "gateway", "--state", str(state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_status_and_stop_without_a_gateway(state: Path) -> None:
    status, stop = run(state, "--status"), run(state, "--stop")

    assert (status[0], stop[0]) == (1, 0)
    assert status[1] == stop[1]
    assert run(state, "--status", "--json") == (
        1,
        '{"address": null, "parts": null, "traffic": {}, "recorded": null}\n',
    )
    assert not state.exists()


@pytest.mark.parametrize(
    "arguments", [["--status", "--stop"], ["--no-record", "--record-all"], ["--json"], ["--port", "0"]]
)
def test_options_that_do_not_fit(state: Path, arguments: list[str]) -> None:
    assert run(state, *arguments)[0] == 2


def test_a_gateway_in_the_foreground(state: Path) -> None:
    rollouts.publish(state.parent)
    port = free_port()
    command = [TIFFIN, "gateway", "--state", str(state), "--port", str(port), "--no-record"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert f"{state}/serving at 127.0.0.1:{port}" in process.stdout.readline()
            body = json.dumps({"inputs": rollouts.INPUTS}).encode()
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/v1/models/taxi:predict", body, timeout=60
            ) as response:
                assert json.load(response) == {"outputs": [[7.0]]}

            status, output = run(state, "--status")
            assert status == 0
            assert re.search(r"^  taxi .* 1$", output, re.MULTILINE)
            found = json.loads(run(state, "--status", "--json")[1])
            assert found["address"] == f"127.0.0.1:{port}"
            assert found["parts"]["log_root"] == ""
            assert found["traffic"]["taxi"]["version"] == 1
            assert found["recorded"] is None
            assert [run(state, *more)[0] for more in ([], ["--no-record"], ["--record-all"])] == [0, 1, 1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    assert process.returncode == 0
    assert gateway.find_gateway(state) is None
    assert serving.find_server(state) is None
    assert not serving.prediction_log(state).exists()
