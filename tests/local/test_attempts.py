"""Attempts of steps in a warm interpreter that is busy, simulated by a stopped process."""

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import is_alive, until
from tiffin.local import attempts, interpreters
from tiffin.local.guarding import Guard, guarded_folder
from tiffin.local.interpreters import Interpreter, warm_interpreters
from tiffin.local.processes import Processes

# The executor runs this function; its argument is a file for its process id.
SOURCE = """
import os, time
from pathlib import Path
def step(note: str):
    Path(note + ".part").write_text(f"{os.getpid()} {os.environ.get('TIFFIN_ATTEMPT')}")
    os.rename(note + ".part", note)
    time.sleep(60)
"""


@pytest.fixture
def guard() -> Iterator[Guard]:
    with guarded_folder() as made:
        yield made


@pytest.fixture
def interpreter(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    monkeypatch.setattr(interpreters, "MODULES", {"model": ((), ())})
    with warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        assert until(lambda: started["model"].is_ready)
        yield started["model"]


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


class Step:
    """A step that runs in a thread."""

    def __init__(self, guard: Guard, interpreter: Interpreter, folder: Path) -> None:
        self.note = folder / "note"
        self.processes = Processes(guard)
        (folder / "step.py").write_text(SOURCE)
        request = '{"inputs": {"parameterValues": {"note": "%s"}}, "outputs": {"outputFile": "%s"}}'
        command = ["python3", "-m", "kfp.dsl.executor_main", "--component_module_path", f"{folder}/step.py"]
        command += ["--function_to_execute", "step", "--executor_input", request % (self.note, folder / "out.json")]
        environment = {**os.environ, "PATH": f"{interpreter.bin}:{os.environ['PATH']}"}
        self.statuses: list[int] = []
        # `sh` waits for python3, as in kfp's command.
        command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
        self.thread = threading.Thread(
            target=lambda: self.statuses.append(self.processes.run(command, environment, folder / "log"))
        )
        self.thread.start()

    def kill_leader(self) -> None:
        (leader,) = self.processes._running
        os.kill(leader, signal.SIGKILL)

    def finish(self) -> int:
        self.thread.join(60)
        return self.statuses[0]


def test_the_worker_is_gone_when_its_attempt_returns(guard: Guard, interpreter: Interpreter, tmp_path: Path) -> None:
    step = Step(guard, interpreter, tmp_path)
    assert until(step.note.exists)
    worker, variable = step.note.read_text().split()
    with stopped(interpreter.process.pid):
        step.kill_leader()

        assert step.finish() == -signal.SIGKILL
        assert not is_alive(int(worker))
    assert variable == "None"
    assert not list(guard.folder.glob("attempt-*"))


def test_a_worker_that_starts_late_does_not_run(guard: Guard, interpreter: Interpreter, tmp_path: Path) -> None:
    with stopped(interpreter.process.pid):
        step = Step(guard, interpreter, tmp_path)
        # The request waits in the interpreter's socket.
        assert until(lambda: bool(step.processes._running))
        (leader,) = step.processes._running
        assert until(lambda: any(b"handover" in line for line in command_lines(leader)))
        assert until(lambda: any(is_waiting(pid) for pid in group(leader)))
        step.kill_leader()
        assert step.finish() == -signal.SIGKILL
    # The interpreter serves another request after the late one.
    (tmp_path / "second").mkdir()
    second = Step(guard, interpreter, tmp_path / "second")
    assert until(second.note.exists)
    second.kill_leader()
    second.finish()

    assert not step.note.exists()


def group(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[2]) == leader:
                found.append(int(entry.name))
    return found


def command_lines(leader: int) -> list[bytes]:
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in group(leader)]


def is_waiting(pid: int) -> bool:
    """Return whether a process has sent its request: it is connected to a Unix socket and sleeps."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        files = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
        return b"handover" in words and any(name.startswith("socket:") for name in files)
    return False


def test_an_attempt_that_cannot_be_ended_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "attempt"
    file.touch()
    # This process holds the lock, and is not the leader of a group.
    held = os.open(file, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_SH)
    assert attempts.end(file, 999_999_999, timeout=0.1) is False
    os.close(held)
    assert not file.exists()


def test_an_attempt_that_has_ended_cannot_be_joined(tmp_path: Path) -> None:
    assert attempts.join(str(tmp_path / "none")) is False
