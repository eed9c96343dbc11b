import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import is_alive, until
from tiffin.local.guarding import guarded_folder

# Starts two processes in one group, and reports them with the guardian.
RUN = """
import os, signal, sys, threading
from pathlib import Path
from tiffin.local.guarding import guarded_folder
from tiffin.local.processes import Processes
with guarded_folder() as guard:
    command = ["sh", "-c", f"sleep 60 & echo $$ $! > {sys.argv[1]}/made; mv {sys.argv[1]}/made {sys.argv[1]}/pids; wait"]
    Path(sys.argv[1], "guard").write_text(f"{guard.pid} {guard.folder}")
    for number in map(int, sys.argv[2:]):
        os.kill(guard.pid, number)
    Processes(guard).run(command, os.environ, Path(sys.argv[1], "log"))
"""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder for this test only, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_the_folder_is_private_and_removed(temporary: Path) -> None:
    with guarded_folder() as guard:
        assert guard.folder.parent == temporary
        assert stat.S_IMODE(guard.folder.stat().st_mode) == 0o700
        assert is_alive(guard.pid)

    assert list(temporary.iterdir()) == []
    assert not is_alive(guard.pid)
    assert guard.warnings == []


def test_the_path_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with guarded_folder() as guard:
        assert len(str(guard.folder / "model.sock")) < 100


@pytest.mark.parametrize("lost", [[], [signal.SIGKILL], [signal.SIGTERM]])
def test_a_killed_run_leaves_no_process_and_no_folder(tmp_path: Path, temporary: Path, lost: list[int]) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), *map(str, map(int, lost))]) as run:
        assert until((tmp_path / "pids").exists)
        pids = list(map(int, (tmp_path / "pids").read_text().split()))
        first, folder = (tmp_path / "guard").read_text().split()
        assert all(map(is_alive, pids))
        assert not lost or until(lambda: not is_alive(int(first)))
        # The next guardian knows the folder and the group.
        assert until(lambda: len(children(run.pid, "guardian.py")) == 1)
        assert Path(folder).is_dir()
        run.kill()

    assert until(lambda: not any(map(is_alive, pids)))
    assert until(lambda: list(temporary.iterdir()) == [])


def children(parent: int, name: str) -> list[int]:
    """Return the child processes whose command line has a word that ends with `name`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            owner = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if owner == parent and any(word.endswith(name.encode()) for word in words):
            found.append(int(entry.name))
    return found


def test_a_run_killed_at_its_start_leaves_no_folder(temporary: Path) -> None:
    code = """
        import os, signal
        from pathlib import Path
        Path.mkdir = lambda self, mode=0o777, real=Path.mkdir: (real(self, mode), os.kill(os.getpid(), signal.SIGKILL))
        from tiffin.local.guarding import guarded_folder
        with guarded_folder():
            pass
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)

    assert run.returncode == -signal.SIGKILL
    assert until(lambda: list(temporary.iterdir()) == [])


def test_a_lost_guardian_is_replaced_and_reported() -> None:
    with guarded_folder() as guard:
        before = guard.pid
        os.kill(before, signal.SIGKILL)
        assert until(lambda: len(guard.warnings) == 1)
        after = guard.pid
        assert is_alive(after)
        # Lines for a guardian that is gone are not lost, and raise nothing.
        guard.add(999_999_999)
        guard.remove(999_999_999)

    assert str(before) in guard.warnings[0]
    assert str(after) in guard.warnings[0]
    assert not is_alive(after)
    assert not guard.folder.exists()


def test_guardians_are_not_replaced_for_ever() -> None:
    with guarded_folder() as guard:
        for count in range(1, 7):
            os.kill(guard.pid, signal.SIGKILL)
            assert until(lambda expected=count: len(guard.warnings) == expected)
        guard.add(999_999_999)

    assert str(guard.folder) in guard.warnings[-1]
    assert not guard.folder.exists()


def test_a_suspended_guardian_does_not_block_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded_folder() as guard:
        os.kill(guard.pid, signal.SIGSTOP)
        watcher = guard._watcher
        join = watcher.join
        monkeypatch.setattr(watcher, "join", lambda _timeout: join(0.1))

    assert until(lambda: not is_alive(guard.pid))
