import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import load, rollouts
from support.command_line import TIFFIN
from support.waiting import until
from tiffin.local import gateway, programs, serving
from tiffin.rollout.document import read_rollout
from tiffin.serving import Client
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel

pytestmark = pytest.mark.runs

QUICK = ["--step=weight=50,minutes=0.02,min_requests=20", "--look=0.3", "--max-latency-ratio=1000"]


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return rollouts.publish(tmp_path_factory.mktemp("r"))


@pytest.fixture(scope="module")
def state(taxi: ServedModel) -> Path:
    return Path(taxi.root).parent


@pytest.fixture(scope="module")
def address(state: Path) -> Iterator[str]:
    server, _ = gateway.start_gateway(state, ["--no-record"])
    try:
        programs.wait_until_open(server)
        with Client(server.address) as client:
            client.predict("taxi", rollouts.INPUTS, timeout_seconds=90)
        yield server.address
    finally:
        gateway.stop_gateway(state)
        serving.stop_server(state)


def command(state: Path, *arguments: str) -> list[str]:
    return [TIFFIN, "rollout", *arguments, "--state", str(state)]


def run(state: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(command(state, *arguments), capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def phase(taxi: ServedModel) -> str:
    found, _ = read_rollout(taxi)
    return found.phase if found else ""


def test_status_of_a_model_without_a_rollout(taxi: ServedModel, state: Path) -> None:
    assert run(state, "status", "taxi")[0] == 1
    assert run(state, "status", "--json") == (1, '{"model": "taxi", "rollout": null}\n')


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["start", "taxi", "2", "--why", "x"], "tiffin gateway"),
        (["start", "nope", "2", "--why", "x"], "'nope'"),
        (["start", "taxi", "2", "--why", " "], "--why"),
        (["start", "taxi", "2", "--why", "x", "--step", "5"], "'5'"),
        (["start", "taxi", "2", "--why", "x", "--step", "weigth=5"], "'weigth'"),
        (["start", "taxi", "2", "--why", "x", "--max-error-share", "2"], "max_error_share=2"),
        (["start", "taxi", "2", "--why", "x", "--min-agreement", "0.9"], "min_agreement=0.9"),
        (["start", "taxi", "2", "--why", "x", "--max-distance", "1"], "max_distance=1"),
        (["pause", "--why", "x"], "'taxi'"),
        (["labels", "taxi", "labels.csv"], "'taxi'"),
    ],
)
def test_what_cannot_be_started(taxi: ServedModel, state: Path, arguments: list[str], named: str) -> None:
    status, output = run(state, *arguments)

    assert status in (1, 2)
    assert output.startswith("error: ")
    assert named in output
    assert read_rollout(taxi) == (None, None)


def test_the_gateway_follows_the_serving_root_of_its_state_folder(
    taxi: ServedModel, state: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(taxi.root, other)
    status, output = run(state, "start", "taxi", "2", "--why", "x", "--serving-root", str(other))

    assert status == 2
    assert str(other) in output
    assert read_rollout(ServedModel(str(other), "taxi")) == (None, None)


def test_limits_of_answers_need_the_prediction_log(taxi: ServedModel, state: Path, address: str) -> None:
    status, output = run(state, "start", "taxi", "2", "--why", "x", "--max-distance", "0.1")

    assert (status, "--no-record" in output) == (2, True)
    assert read_rollout(taxi) == (None, None)


def test_people_take_part_in_a_rollout(taxi: ServedModel, state: Path, address: str) -> None:
    """One starts it; others pause it, see where it is, go on, and abort it."""
    steps = ["--step=weight=50,minutes=60", "--look=0.3"]
    with subprocess.Popen(
        command(state, "start", "taxi", "2", "--why=test", *steps), stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert until(lambda: phase(taxi) == "running")
            assert run(state, "start", "taxi", "3", "--why=second")[0] == 1
            assert run(state, "pause", "--why=lunch")[0] == 0
            assert phase(taxi) == "paused"
            status, output = run(state, "status", "--json")
            found = json.loads(output)["rollout"]
            assert (status, found["phase"], found["reason"], found["version"]) == (0, "paused", "lunch", 2)
            assert run(state, "status")[0] == 0
            assert run(state, "resume", "--why=back", "--no-wait")[0] == 0
            assert phase(taxi) == "running"
            assert run(state, "abort", "--why=enough", "--no-wait")[0] == 0
        finally:
            # The first one drives it to its end.
            started.communicate(timeout=60)

    assert started.returncode == 3
    assert phase(taxi) == "over"
    assert read_history(taxi).standing.champion == 1


def test_a_killed_command_leaves_a_rollout_that_another_one_finishes(
    taxi: ServedModel, state: Path, address: str
) -> None:
    with subprocess.Popen(
        command(state, "start", "taxi", "2", "--why=test", *QUICK), stdout=subprocess.DEVNULL
    ) as started:
        assert until(lambda: phase(taxi) == "running")
        started.kill()

    with load.sent_to(address, "taxi", rollouts.INPUTS, per_second=50) as requests:
        status, output = run(state, "resume", "--why=again", "--json")
        sent = requests.stop()
    assert (status, json.loads(output)["rollout"]["outcome"]) == (0, "promoted")
    assert sent.failed == 0
    assert read_history(taxi).standing.champion == 2
