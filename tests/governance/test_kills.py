"""Kill -9 of promotions and rollbacks, before each write and at random moments. After each, the next command works.

The number of random kills is that of the environment variable KILLS, and KILLS_SEED also chooses which command is next:

    KILLS=300 KILLS_SEED=7 .venvs/dev/bin/python -m pytest tests/governance/test_kills.py
"""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from support import forks, killing
from support.command_line import start, tiffin
from support.killing import CHANGES
from support.serving_roots import make_saved_model
from tiffin.errors import InputError
from tiffin.governance.verification import verify_history
from tiffin.serving.history import read_history
from tiffin.serving.root import STABLE, ServedModel

COUNT = int(os.environ.get("KILLS", "30"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
# Seconds, longer than a change takes.
LONGEST = 0.05
NEXT = ("again", "promote", "rollback", "repair")
VERSIONS = (1, 2, 3, 4)

# Changes before the one that is killed, the killed one, and the champion after it.
CASES = {
    "first": ((), ("promote", 1), 1),
    "second": ((("promote", 1),), ("promote", 2), 2),
    "promote": ((("promote", 1), ("promote", 2)), ("promote", 3), 3),
    "older": ((("promote", 1), ("promote", 3)), ("promote", 2), 2),
    "after a rollback": ((("promote", 1), ("promote", 2), ("rollback", 0)), ("promote", 3), 3),
    "fail": ((("promote", 1), ("promote", 2)), ("fail", 3), 2),
    "fail at first": ((), ("fail", 1), None),
    "fail, keep more": ((("promote", 1), ("promote", 2), ("promote", 3)), ("fail, keep more", 4), 3),
    "fail after a rollback": ((("promote", 1), ("promote", 2), ("rollback", 0)), ("fail", 3), 1),
    "deploy and fail": ((("promote", 1), ("promote", 2)), ("deploy and fail", 5), 2),
    "rollback": ((("promote", 1), ("promote", 2)), ("rollback", 0), 1),
    "rollback of two": ((("promote", 1), ("promote", 2), ("promote", 3)), ("rollback", 0), 2),
    "unload": ((("promote", 1), ("promote", 2), ("rollback", 0)), ("unload", 0), 1),
}


@pytest.fixture(autouse=True)
def without_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what matters only when the machine stops, and takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def process() -> Iterator[Pool]:
    with forks.pool(1) as pool:
        yield pool


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    model = ServedModel(str(tmp_path / "root"), "taxi")
    for version in VERSIONS:
        model.publish(make_saved_model(tmp_path / str(version)), version)
    return model


def findings(model: ServedModel) -> list[str]:
    return [finding.code for finding in verify_history(model, read_history(model))]


def check_killed(model: ServedModel, place: object) -> list[str]:
    """Check that a killed change left the state before it or after it, and return what is found."""
    found = findings(model)
    assert set(found) <= {"UNFINISHED"}, place
    state = model.read(STABLE)
    if state:
        versions = model.versions_in(state)
        assert model.is_own(state), place
        assert all(map(model.has_files, versions)), place
        assert versions, place
    return found


def check_ended(model: ServedModel, place: object) -> int | None:
    """Check that nothing is left of a killed change, and return the champion."""
    standing = read_history(model).standing
    assert findings(model) == [], place
    assert standing.incoming is None, place
    assert max(model.versions_in(model.read(STABLE)), default=None) == standing.champion, place
    return standing.champion


def make_next(model: ServedModel, name: str, version: int) -> None:
    """Make a change after a killed one; repair if it is a rollback without a version to return to."""
    standing = read_history(model).standing
    try:
        CHANGES[name](model, version)
    except InputError:
        assert name == "rollback"
        assert not standing.earlier
        CHANGES["repair"](model, 0)


def test_a_killed_change_in_an_empty_serving_root(tmp_path: Path, process: Pool) -> None:
    root = str(tmp_path / "root")
    assert not process.apply(killing.kill_at_write, (root, "repair", 0, 1))

    assert check_ended(ServedModel(root, "taxi"), "empty") is None


@pytest.mark.parametrize("case", CASES)
def test_a_change_that_is_killed_before_any_of_its_writes(
    taxi: ServedModel, tmp_path: Path, process: Pool, case: str
) -> None:
    before, (name, version), champion = CASES[case]
    for earlier, number in before:
        CHANGES[earlier](taxi, number)
    began_with = check_ended(taxi, case)
    # In the same place, which is part of the configs.
    folder, saved = Path(taxi.locate()), tmp_path / "saved"
    shutil.copytree(folder, saved)
    write, seen = 0, list[str]()
    while process.apply(killing.kill_at_write, (taxi.root, name, version, write := write + 1)):
        left = check_killed(taxi, (case, write))
        seen += left
        then = NEXT[(write + SEED) % len(NEXT)]
        place = (case, write, then, left)
        make_next(taxi, *((name, version) if then == "again" else (then, 4)))
        ended_with = check_ended(taxi, place)
        if then == "again" and (left or name != "rollback"):
            assert ended_with == champion, place
        if then == "repair":
            assert ended_with in (began_with, champion), place
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
    assert check_ended(taxi, case) == champion
    assert write > 2
    # Between the record and the config.
    assert seen


def test_changes_that_are_killed_at_random_moments(taxi: ServedModel, process: Pool) -> None:
    chance = random.Random(SEED)
    for version in VERSIONS:
        CHANGES["promote"](taxi, version)
    for number in range(COUNT):
        place = (SEED, number)
        assert process.apply(killing.kill_after, (taxi.root, chance.randrange(1 << 30), chance.uniform(0, LONGEST)))
        check_killed(taxi, place)
        then = NEXT[number % len(NEXT)]
        again = read_history(taxi).standing.served or 1
        make_next(taxi, *(("promote", again) if then == "again" else (then, chance.choice(VERSIONS))))
        assert check_ended(taxi, place) is not None


def test_commands_that_are_killed_at_random_moments(taxi: ServedModel) -> None:
    chance = random.Random(SEED)
    for version in VERSIONS[:3]:
        CHANGES["promote"](taxi, version)
    place = ("--why", "a test", "--serving-root", taxi.root)
    commands = [("rollback", "taxi"), ("promote", "taxi", "4")]
    for number in range(max(1, COUNT // 6)):
        killed, then = (commands[(number + shift) % 2] for shift in (0, 1))
        with start("models", *killed, *place) as process:
            # The start takes most of the time.
            time.sleep(chance.uniform(0.3, 0.6))
            process.kill()
        status, shown, _ = tiffin("models", "verify", "taxi", "--json", "--serving-root", taxi.root)
        codes = {finding["code"] for finding in json.loads(shown)["findings"]}
        assert codes <= {"UNFINISHED"}, (SEED, number)
        assert status == bool(codes), (SEED, number)
        status, _, error = tiffin("models", *then, *place)
        assert (status, check_ended(taxi, number)) == (0, read_history(taxi).standing.champion), error
