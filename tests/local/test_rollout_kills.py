"""Kill -9 of random processes during rollouts: no request is lost beyond those in flight, and no state is torn.

The number of kills is that of the environment variable KILLS:

    KILLS=30 KILLS_SEED=7 .venvs/dev/bin/python -m pytest tests/local/test_rollout_kills.py -s
"""

# ruff: noqa: T201 - with -s, the kills and what failed

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from support import rollouts
from support.rollout_kills import BAD, FAILS_ABOVE, KINDS, Failure, Load, Scene
from support.waiting import is_alive, until
from tiffin.governance.verification import verify_history
from tiffin.local import serving
from tiffin.rollout.verification import verify_rollout
from tiffin.serving.history import read_history

COUNT = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
# After a kill, requests may still be on their way to the process.
_ON_THEIR_WAY_SECONDS = 0.5
# Envoy sends a request again for at least this time, while a server cannot be reached.
_RETRY_SECONDS = 8.0

pytestmark = [pytest.mark.runs, pytest.mark.timeout(300 + 120 * COUNT)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    served = rollouts.publish(tmp_path)
    rollouts.publish_versions(served, tmp_path / "models", [BAD], fails_above=FAILS_ABOVE)
    scene = Scene(served)
    yield scene
    scene.stop()


@dataclass(frozen=True)
class Kill:
    """A killed process, and the monotonic times of the kill and of the next answer."""

    kind: str
    at: float
    back: float


def kill(scene: Scene, kind: str) -> Kill:
    """Kill a process, and start what nobody else starts again."""
    found: list[int | None] = []
    # The candidate server and the process that drives come and go.
    assert until(lambda: (scene.keep_driving(), found.append(scene.find(kind)), found[-1])[-1] is not None, 120), kind
    pid = found[-1] or 0
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not is_alive(pid))
    if kind == "gateway":
        # Its guardian ends Envoy.
        assert until(lambda: not scene.is_answered())
    scene.keep_gateway()
    scene.keep_driving()
    return Kill(kind, at, time.monotonic())


def why_failed(failure: Failure, kills: Sequence[Kill]) -> str:
    """Return why a request failed; empty if no kill explains it."""
    for kill in kills:
        if kill.kind in ("driver", "recorder") or failure.ended < kill.at:
            continue
        is_envoy = kill.kind in ("envoy", "gateway")
        if failure.begun <= kill.at + (0 if is_envoy else _ON_THEIR_WAY_SECONDS):
            return f"in flight at the killed {kill.kind}"
        if is_envoy and failure.begun <= kill.back:
            return "no Envoy"
        if failure.ended - failure.begun >= _RETRY_SECONDS:
            return "the server took longer to start than Envoy retries"
    return ""


def test_a_killed_process_does_no_harm(scene: Scene) -> None:
    chance = random.Random(SEED)
    scene.keep_gateway()
    kills: list[Kill] = []
    with Load(scene.address) as load:
        for number in range(COUNT):
            kind = KINDS[(SEED + number) % len(KINDS)]
            time.sleep(chance.uniform(0, 4))
            kills.append(kill(scene, kind))
            print(f"killed {kind}: answered again after {kills[-1].back - kills[-1].at:.1f} s")
        scene.finish()
    counts = Counter(why_failed(failure, kills) for failure in load.failures)
    print(*kills, *(failure for failure in load.failures if not why_failed(failure, kills)), sep="\n")
    assert "" not in counts
    print(f"{load.answered.total()} requests answered; failed: {dict(counts)}")
    print(f"rollouts ended: {Counter(scene.ended)}; resumed after exit statuses {Counter(scene.resumed)}")

    assert set(load.answered) <= {*map(float, rollouts.VERSIONS)}
    history = read_history(scene.served)
    assert [*verify_history(scene.served, history), *verify_rollout(scene.served, history)] == []
    ids = [(record.rollout, record.action) for record in history.records if record.rollout]
    assert len(ids) == len(set(ids))
    starts = [version for version, action in ids if action == "rollout"]
    aborts = {version for version, action in ids if action in ("abort", "inconclusive")}
    promotions = [record for record in history.records if record.action == "confirm"][1:]
    # Each rollout has one of both ends.
    assert len(starts) == len(aborts) + len(promotions)
    scene.stop()
    files = sorted((serving.prediction_log(scene.state) / "taxi").rglob("*.parquet"))
    [(rows,)] = duckdb.sql(
        f"SELECT count(*) FROM read_parquet({list(map(str, files))}, union_by_name = true)"
    ).fetchall()
    print(f"{len(files)} files of the prediction log with {rows} rows")
    assert rows > 0
