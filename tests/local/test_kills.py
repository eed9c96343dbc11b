"""Kill -9 of random processes of a run at random moments. After each, the next run works and nothing is left.

The number of kills is that of the environment variable KILLS; each takes two runs of the training pipeline:

    KILLS=30 KILLS_SEED=7 .venvs/dev/bin/python -m pytest tests/local/test_kills.py -s
"""

# ruff: noqa: T201 - with -s, the kills and their counts

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import TIFFIN
from support.waiting import is_alive, until
from tiffin.local.serving import find_server, stop_server

COUNT = int(os.environ.get("KILLS", "1"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
KINDS = ("runner", "guardian", "interpreter", "worker", "shell", "server")
COMMAND = [
    TIFFIN,
    "run",
    "training",
    "--json",
    "--set",
    "data=sample:deliveries?rows=3000",
    "--set",
    "epochs=5",
    "--no-reuse",
]

# Two runs of the pipeline for each kill, after a first one.
pytestmark = [pytest.mark.runs, pytest.mark.timeout(600 + 900 * COUNT)]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kills") / "state"
    yield folder
    stop_server(folder)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


@pytest.fixture(scope="module")
def marker(temporary: Path) -> str:
    """A setting in the environment of every process of the runs."""
    return f"TMPDIR={temporary}"


def start(state: Path, temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--state", str(state)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip


def processes(marker: str) -> dict[int, tuple[int, str]]:
    """Return the processes with the marker in their environment: id -> parent's id and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if is_alive(int(entry.name)) and marker in (entry / "environ").read_bytes().decode(errors="replace"):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(entry.name)] = parent, (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def kind_of(pid: int, runner: int, server: int | None, found: dict[int, tuple[int, str]]) -> str:
    parent, command = found[pid]
    if pid == runner:
        return "runner"
    if pid == server:
        return "server"
    if "guardian.py" in command:
        return "guardian"
    if "tiffin.local.zygote" in command:
        # A fork has the command line of its parent.
        return "worker" if "tiffin.local.zygote" in found.get(parent, (0, ""))[1] else "interpreter"
    return "worker" if "kfp.dsl.executor_main" in command and "sh -c" not in command else "shell"


def server_of(state: Path) -> int | None:
    server = find_server(state) if (state / "server").is_dir() else None
    return server.pid if server else None


def kill_one(choice: random.Random, process: subprocess.Popen[str], state: Path, marker: str, longest: float) -> str:
    """Kill a process of a random kind after a random time; return its kind, or an empty string if the run ended first."""
    wait, wanted = choice.uniform(0.1, longest), choice.choice(KINDS)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait)
    while process.poll() is None:
        found = processes(marker)
        server = server_of(state)
        victims = sorted(pid for pid in found if kind_of(pid, process.pid, server, found) == wanted)
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choice.choice(victims), signal.SIGKILL)
                return wanted
        # This kind is not there at every moment.
        time.sleep(0.02)
    return ""


def check_truth(process: subprocess.Popen[str], out: str, err: str, state: Path) -> str:
    """Check what a run printed against what it did; return its state."""
    if process.returncode == -signal.SIGKILL:
        return "KILLED"
    summary = json.loads(out)
    last = [line for line in err.splitlines() if re.match(r"training \S+ (SUCCEEDED|FAILED) in ", line)]
    assert len(last) == 1, err
    assert summary["state"] in last[0]
    assert (summary["state"] == "SUCCEEDED") == (process.returncode == 0), err
    if process.returncode:
        assert summary["reason"], err
        return "FAILED"
    assert {step["state"] for step in summary["steps"]} <= {"succeeded", "skipped"}
    model = summary["model"]
    assert model["version"] in {version for version, *_ in registered(state)}
    assert f"versions: {model['version']}" in (state / "serving" / "model" / "stable.config").read_text()
    return "SUCCEEDED"


def registered(state: Path) -> list[tuple[int, str, str]]:
    """Return version, pipeline run and source of each registered version."""
    if not (state / "mlflow.db").exists():
        return []
    query = """select v.version, t.value, v.source from model_versions v join model_version_tags t
               on t.name = v.name and t.version = v.version and t.key = 'tiffin.run'
               where v.current_stage != 'Deleted_Internal'"""
    with contextlib.closing(sqlite3.connect(f"file:{state}/mlflow.db?mode=ro", uri=True, timeout=60)) as connection:
        return connection.execute(query).fetchall()


def check_nothing_is_left(state: Path, temporary: Path, marker: str) -> None:
    def left() -> dict[int, tuple[int, str]]:
        server = server_of(state)
        return {pid: value for pid, value in processes(marker).items() if pid != server}

    assert until(lambda: not left(), 30), left()
    # TensorFlow's generated files of a killed model server, which belongs to no run, stay.
    assert until(lambda: list(temporary.glob("tiffin-*")) == [], 30), list(temporary.iterdir())
    # One version per run, and each is complete.
    versions = registered(state)
    assert [run for run, count in Counter(run for _, run, _ in versions).items() if count > 1] == []
    for _, _, source in versions:
        assert list(Path(source.removeprefix("file://")).rglob("saved_model.pb")), source
    for path in (state / "serving").glob("*/versions/*/"):
        if not path.name.startswith("."):
            assert (path / "saved_model.pb").stat().st_size > 0
            assert (path / "variables" / "variables.index").exists()
    for path in state.rglob("*.json"):
        if not path.name.startswith("."):
            json.loads(path.read_bytes())


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate(timeout=600)


def run_unharmed(state: Path, temporary: Path) -> tuple[float, str]:
    """Run the pipeline, and return the seconds and the standard output."""
    started = time.monotonic()
    process = start(state, temporary)
    out, err = finish(process)
    assert check_truth(process, out, err, state) == "SUCCEEDED", err
    return time.monotonic() - started, out


def test_a_killed_process_does_no_harm(state: Path, temporary: Path, marker: str) -> None:
    choice = random.Random(SEED)
    counts: Counter[tuple[str, str]] = Counter()
    longest = run_unharmed(state, temporary)[0]
    for _ in range(COUNT):
        process = start(state, temporary)
        kind = kill_one(choice, process, state, marker, longest)
        out, err = finish(process)
        result = check_truth(process, out, err, state)
        check_nothing_is_left(state, temporary, marker)
        counts[kind, result] += 1
        longest, out = run_unharmed(state, temporary)
        check_nothing_is_left(state, temporary, marker)
        show(kind, result, json.loads(out))
    for (kind, result), count in sorted(counts.items()):
        print(f"{kind or 'none':<12} {result:<10} {count}")

    assert sum(counts.values()) == COUNT


def show(kind: str, result: str, following: dict[str, Any]) -> None:
    print(
        f"killed {kind or 'none'}: {result}; next run {following['state']} as version {following['model']['version']}"
    )
