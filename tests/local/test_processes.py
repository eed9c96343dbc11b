import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from support.waiting import until
from tiffin.local.processes import guarded_processes


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run_aside(function: Callable[[], int]) -> tuple[threading.Thread, list[int]]:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    return thread, results


def test_output_is_logged_and_the_status_returned(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with guarded_processes(tmp_path / "none") as processes:
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
    with guarded_processes(tmp_path / "none") as processes:
        thread, results = run_aside(lambda: processes.run(command, os.environ, tmp_path / "log"))
        assert until(ready.exists)
        processes.stop(grace_seconds=0.6)
        thread.join(60)

    assert results == [-number for number in expected]


def test_a_second_stop_kills_immediately(tmp_path: Path) -> None:
    command = ["sh", "-c", f"trap '' INT TERM; touch {tmp_path}/ready; sleep 60 & wait; wait"]
    with guarded_processes(tmp_path / "none") as processes:
        thread, results = run_aside(lambda: processes.run(command, os.environ, tmp_path / "log"))
        assert until((tmp_path / "ready").exists)
        processes.stop(grace_seconds=600)
        processes.stop()
        thread.join(60)

    assert results == [-signal.SIGKILL]


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    with guarded_processes(tmp_path / "none") as processes:
        processes.stop(grace_seconds=0)

        assert processes.stopped
        assert processes.run(["touch", str(tmp_path / "made")], os.environ, tmp_path / "log") < 0
    assert not (tmp_path / "made").exists()


def test_a_killed_run_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    code = f"""
        import os
        from pathlib import Path
        from tiffin.local.processes import guarded_processes
        with guarded_processes(Path({str(folder)!r})) as processes:
            command = ["sh", "-c", "echo $$ > {tmp_path}/leader; sleep 60 & echo $! > {tmp_path}/other; wait"]
            processes.run(command, os.environ, Path({str(tmp_path / "log")!r}))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)]) as run:
        other = tmp_path / "other"
        assert until(lambda: other.exists() and bool(other.read_text().strip()))
        pids = [int((tmp_path / name).read_text()) for name in ("leader", "other")]
        assert all(map(is_alive, pids))
        run.kill()

    assert until(lambda: not any(map(is_alive, pids)))
    assert until(lambda: not folder.exists())
