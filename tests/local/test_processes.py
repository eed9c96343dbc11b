import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.waiting import is_alive, until
from tiffin.local.guarding import guarded_folder
from tiffin.local.processes import Processes


def run_aside(function: Callable[[], int]) -> tuple[threading.Thread, list[int]]:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    return thread, results


def test_output_is_logged_and_the_status_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with guarded_folder() as guard:
        processes = Processes(guard)
        status = processes.run(["sh", "-c", "echo out; echo err >&2; exit 3"], os.environ, log)

    assert status == 3
    assert log.read_text() == "before\nout\nerr\n"


@pytest.mark.parametrize(
    ("trapped", "expected"),
    [((), [signal.SIGINT]), (("INT",), [signal.SIGTERM]), (("INT", "TERM"), [signal.SIGKILL])],
)
def test_a_stop_sends_sigint_then_sigterm_then_sigkill(
    tmp_path: Path, trapped: tuple[str, ...], expected: list[signal.Signals]
) -> None:
    ready = tmp_path / "ready"
    ignore = "".join(f"signal.signal(signal.SIG{name}, signal.SIG_IGN);" for name in trapped)
    code = f"import signal, time, pathlib; signal.signal(signal.SIGINT, signal.SIG_DFL); {ignore}"
    command = [sys.executable, "-c", f"{code} pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"]
    with guarded_folder() as guard:
        processes = Processes(guard)
        thread, results = run_aside(lambda: processes.run(command, os.environ, tmp_path / "log"))
        assert until(ready.exists)
        processes.stop(grace_seconds=0.6)
        thread.join(60)

    assert results == [-number for number in expected]


def test_a_second_stop_kills_immediately(tmp_path: Path) -> None:
    command = ["sh", "-c", f"trap '' INT TERM; touch {tmp_path}/ready; sleep 60 & wait; wait"]
    with guarded_folder() as guard:
        processes = Processes(guard)
        thread, results = run_aside(lambda: processes.run(command, os.environ, tmp_path / "log"))
        assert until((tmp_path / "ready").exists)
        processes.stop(grace_seconds=600)
        processes.stop()
        thread.join(60)

    assert results == [-signal.SIGKILL]


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    with guarded_folder() as guard:
        processes = Processes(guard)
        processes.stop(grace_seconds=0)

        assert processes.stopped
        assert processes.run(["touch", str(tmp_path / "made")], os.environ, tmp_path / "log") < 0
    assert not (tmp_path / "made").exists()


def test_processes_that_a_command_leaves_are_killed(tmp_path: Path) -> None:
    with guarded_folder() as guard:
        status = Processes(guard).run(
            ["sh", "-c", "sleep 60 & echo $!; trap '' TERM INT; sleep 60 & echo $!"], os.environ, tmp_path / "log"
        )
        assert status == 0
        assert not any(is_alive(int(line)) for line in (tmp_path / "log").read_text().split())
        assert list(guard.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "status"), [("kill -9 $$", -9), ("sh -c 'kill -9 $$'; exit $?", 137), ("kill -TERM $$", -15)]
)
def test_an_end_by_a_signal_is_explained_in_the_log(tmp_path: Path, how: str, status: int) -> None:
    with guarded_folder() as guard:
        assert Processes(guard).run(["sh", "-c", how], os.environ, tmp_path / "log") == status

    assert ("SIGTERM" if status == -15 else "SIGKILL") in (tmp_path / "log").read_text().splitlines()[-1]
