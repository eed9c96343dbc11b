"""Rollouts with the real gateway and model servers of a state folder, under load."""

import csv
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from support import logged, rollouts
from support.command_line import TIFFIN
from support.serving_roots import ADA, actions
from tiffin.artifacts.rollout import RolloutResult, read_rollout
from tiffin.errors import ServingError
from tiffin.governance.identity import find_account, person_or_account
from tiffin.governance.verification import verify_history
from tiffin.local import gateway, programs, serving
from tiffin.local.gateway import find_places
from tiffin.local.serving import prediction_log
from tiffin.rollout import course, driving
from tiffin.rollout.document import Rollout
from tiffin.rollout.document import read_rollout as rollout_of
from tiffin.rollout.driving import Pace
from tiffin.rollout.places import Places
from tiffin.rollout.plan import Limits, Step
from tiffin.serving import Client
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import CANDIDATE, ServedModel
from tiffin.stages.rollout import rolling_out

pytestmark = pytest.mark.runs

PACE = Pace(look=0.3, load=60, traffic=60)
SHADOW, CANARY = Step(mirror=100.0, minutes=0.02, min_requests=50), Step(weight=50.0, minutes=0.02, min_requests=50)
# Latencies of a busy machine say nothing.
LIMITS = Limits(max_latency_ratio=1000.0)
BAD = 4


@pytest.fixture(scope="module")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """A model with three versions, of which the answer is the number plus 6, and one that fails for large inputs."""
    folder = tmp_path_factory.mktemp("r")
    served = rollouts.publish(folder)
    rollouts.publish_versions(served, folder / "models", [BAD], fails_above=1.5)
    return served


@pytest.fixture(scope="module")
def address(taxi: ServedModel) -> Iterator[str]:
    state = Path(taxi.root).parent
    server, _ = gateway.start_gateway(state)
    try:
        programs.wait_until_open(server)
        with Client(server.address) as client:
            client.predict("taxi", rollouts.INPUTS, timeout_seconds=90)
        yield server.address
    finally:
        gateway.stop_gateway(state)
        serving.stop_server(state)


class Load:
    """Requests of several clients, half of them with large inputs, which are counted by answer or code."""

    def __init__(self, address: str) -> None:
        self.counted: Counter[float | str] = Counter()
        self._address, self._over = address, threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(value,)) for value in (1.0, 1.0, 2.0, 2.0)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, value: float) -> None:
        with Client(self._address) as client:
            while not self._over.wait(0.01):
                try:
                    answer = client.predict("taxi", {"x": [[value] * 3]}, timeout_seconds=60)["y"][0][0]
                    self.counted[float(answer) - 6 * value] += 1
                except ServingError as error:
                    self.counted[error.code] += 1


def roll_out(
    taxi: ServedModel, address: str, version: int, steps: tuple[Step, ...]
) -> tuple[Rollout, Counter[float | str]]:
    """Roll a version out under load; return the rollout, and the versions that answered."""
    started = course.start(taxi, version, ADA, strategy="shadow_canary", steps=steps, limits=LIMITS)
    lines: list[str] = []
    with Load(address) as load:
        ended = driving.drive(taxi, started.id, lambda: find_places(Path(taxi.root).parent), PACE, lines.append)
    assert lines
    return ended, load.counted


def test_a_good_version_is_promoted_and_no_request_fails(taxi: ServedModel, address: str) -> None:
    ended, counted = roll_out(taxi, address, 2, (SHADOW, CANARY))

    assert (ended.phase, ended.outcome) == ("over", "promoted"), ended.reason
    assert set(counted) == {1, 2}
    assert read_history(taxi).standing.champion == 2
    assert actions(taxi)[-2:] == [("promote", 2), ("confirm", 2)]
    assert ended.progress
    assert ended.progress.candidate.tally.errors == 0
    assert taxi.read(CANDIDATE) is None
    assert verify_history(taxi, read_history(taxi)) == []


def test_a_version_that_fails_is_aborted(taxi: ServedModel, address: str) -> None:
    ended, counted = roll_out(taxi, address, BAD, (CANARY,))

    assert (ended.phase, ended.outcome, ended.by) == ("over", "aborted", course.ANALYSIS), ended.reason
    assert ended.progress
    assert ended.progress.decision.leading == "errors"
    assert set(counted) == {2, BAD, "INVALID_ARGUMENT"}
    # Half of the requests are large, and half of these went to the candidate.
    assert counted["INVALID_ARGUMENT"] >= ended.progress.candidate.tally.errors >= 3
    assert read_history(taxi).standing.champion == 2
    with Client(address) as client:
        assert {float(client.predict("taxi", rollouts.INPUTS)["y"][0][0]) for _ in range(20)} == {8.0}


def test_clients_notice_nothing_of_copies_that_fail(taxi: ServedModel, address: str) -> None:
    ended, counted = roll_out(taxi, address, BAD, (SHADOW,))

    assert (ended.phase, ended.outcome) == ("over", "aborted"), ended.reason
    assert set(counted) == {2}


def test_copies_that_are_answered_otherwise_abort_a_version(taxi: ServedModel, address: str, tmp_path: Path) -> None:
    """The prediction log shows it; labels tell afterwards which version was right."""
    state, begun = Path(taxi.root).parent, time.monotonic()
    closed: list[float] = []
    stable = read_history(taxi).standing.champion or 0

    def find_and_close() -> Places:
        # Once there are some copies, their file is closed; a minute later otherwise.
        if time.monotonic() > begun + 3 * (len(closed) + 1):
            closed.append(begun)
            running = gateway.find_gateway(state)
            logged.close_files(running.pid if running else None)
        return find_places(state)

    limits = Limits(max_latency_ratio=1000.0, min_agreement=0.9)
    started = course.start(taxi, 3, ADA, strategy="shadow", steps=(SHADOW,), limits=limits)
    with Load(address) as load:
        ended = driving.drive(taxi, started.id, find_and_close, PACE)
    assert (ended.outcome, ended.by, set(load.counted)) == ("aborted", course.ANALYSIS, {stable}), ended.reason
    assert ended.progress
    assert ended.progress.decision.leading == "agreement"

    running = gateway.find_gateway(state)
    logged.close_files(running.pid if running else None)
    status, output = command("status", "taxi", "--state", str(state), "--json")
    found = json.loads(output)["answers"]["agreement"]
    assert status == 0
    assert found["pairs"] >= 50
    assert (found["share"], found["outputs"]["y"]["largest"][0]["inputs"].keys()) == (0, {"x"})
    status, output = command("status", "taxi", "--state", str(state))
    assert max(map(len, output.splitlines())) <= 80

    table = tmp_path / "labels.csv"
    assert write_labels(state, stable, table) >= found["pairs"]
    status, output = command("labels", "taxi", str(table), "--state", str(state), "--json")
    rmse = json.loads(output)["quality"]["metrics"]["rmse"]
    assert (status, rmse["stable"], rmse["candidate"]) == (0, 0, 3 - stable)
    assert command("labels", "taxi", str(table), "--state", str(state))[0] == 0
    table.write_text("request_id,label\nnobody,1\n")
    assert command("labels", "taxi", str(table), "--state", str(state))[0] == 2


def command(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([TIFFIN, "rollout", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def write_labels(state: Path, version: int, table: Path) -> int:
    """Write what a version answered as labels, and return their number."""
    files = str(prediction_log(state) / "taxi" / "*" / "*" / "*.parquet")
    rows = duckdb.sql(
        f"""SELECT request_id, "output.y" FROM read_parquet('{files}', union_by_name = true)
        WHERE route = 'stable' AND version = {version} AND code = 'OK'"""
    ).fetchall()
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("request_id", "label"), *rows])
    return len(rows)


class TestStep:
    """The step of a pipeline."""

    @pytest.fixture
    def roll_out(self, taxi: ServedModel, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        variables = {**gateway.find_variables(Path(taxi.root).parent), "TIFFIN_SERVING_ROOT": taxi.root}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        def run(version: int, run: str, **options: Any) -> RolloutResult:
            output = tmp_path / run
            output.mkdir(exist_ok=True)
            result = rolling_out.roll_out(
                output, "taxi", version, run=run, requested_by="ada", why="a test", look_seconds=0.3,
                limits={"max_latency_ratio": 1000}, steps=[{"weight": 50.0, "minutes": 0.02, "min_requests": 50.0}], **options
            )  # fmt: skip
            assert read_rollout(output) == result
            return result

        return run

    def test_without_requests_ends_as_inconclusive(self, roll_out: Any, taxi: ServedModel) -> None:
        before = read_history(taxi).standing
        result = roll_out(3, "r1", deadline_hours=10 / 3600)

        assert (result.outcome, result.is_promoted, result.requests, result.address) == ("inconclusive", False, 0, "")
        assert read_history(taxi).standing == before

    def test_a_retry_goes_on_with_the_rollout_of_an_attempt_that_was_killed(
        self, roll_out: Any, taxi: ServedModel
    ) -> None:
        author = Author(person_or_account("ada"), "a test", find_account(), "r0")
        begun = course.start(taxi, 3, author, strategy="canary", steps=(CANARY,), limits=LIMITS)
        result = roll_out(3, "r0", deadline_hours=1 / 3600)
        found, _ = rollout_of(taxi)

        assert found
        assert (found.id, result.started, result.outcome) == (begun.id, begun.started, "inconclusive")

    def test_a_retry_has_the_outcome_of_the_attempt_before(
        self, roll_out: Any, taxi: ServedModel, address: str
    ) -> None:
        with Load(address):
            result = roll_out(3, "r2")

        assert (result.version, result.compared_with, result.outcome, result.by) == (3, 2, "promoted", "analysis")
        assert result.requests >= 50
        assert result.address == gateway.find_variables(Path(taxi.root).parent)["TIFFIN_SERVING_ADDRESS"]
        assert read_history(taxi).standing.champion == 3
        records = actions(taxi)
        assert roll_out(3, "r2") == result
        assert actions(taxi) == records
