"""A step's processes: started in a session of their own with their output in the log, and ended together."""

import contextlib
import errno
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tiffin.errors import EXPLAINED
from tiffin.local import attempts
from tiffin.local.guarding import Guard
from tiffin.storage.files import write_bytes

# Waits for a line, so that the guardian knows every process before it runs; exits if the input ends first.
_WAIT_FOR_LINE = 'read -r line && exec "$@" </dev/null'
_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 10

# The system kills a process if memory runs out, and libraries such as TensorFlow abort.
_WITHOUT_MEMORY = ("SIGKILL", "SIGABRT", "SIGSEGV", "SIGBUS")


class Processes:
    """The running processes of a run, which one call can end. Thread-safe.

    Args:
        guard: Ends the processes if this process is killed.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._running: set[int] = set()
        self._count = 0
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def run(
        self,
        command: list[str],
        environment: Mapping[str, str],
        log: Path,
        find_problem: Callable[[], str] | None = None,
    ) -> int:
        """Run `command` to its end, end what it left running, and return its exit status, negative for a signal.

        An end by a signal is explained in the log.

        Args:
            command: The program and its arguments.
            environment: The complete environment of the process.
            log: File that the output is appended to.
            find_problem: Function that returns why the command cannot succeed any more, which ends it; empty while it can.
                Defaults to none.
        """
        with log.open("ab") as output, self._lock:
            if self._stopped:
                return -signal.SIGTERM
            self._count += 1
            attempt = self._guard.folder / f"attempt-{self._count}"
            attempt.touch()
            process = subprocess.Popen(
                ["sh", "-c", _WAIT_FOR_LINE, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**environment, attempts.VARIABLE: str(attempt)},
                start_new_session=True,
            )
            self._running.add(process.pid)
            self._guard.add(process.pid)
            assert process.stdin is not None  # noqa: S101 - for the type checker
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(b"\n")
        is_over = True
        try:
            status = process.wait() if find_problem is None else _wait(process, log, find_problem)
        except KeyboardInterrupt:
            # `stop` has been called, so the process ends within the grace period.
            process.wait()
            raise
        finally:
            # sh ends immediately; its children may still be cleaning up.
            while self._stopped and _signal(process.pid, 0):
                time.sleep(0.02)
            is_over = attempts.end(attempt, process.pid)
            self._running.discard(process.pid)
            self._guard.remove(process.pid)
        if not is_over:
            _write(
                log,
                f"Processes of the step {log.stem}, such as {process.pid}, could not be killed. Restart this machine.",
            )
            # A retry would run beside them.
            return EXPLAINED
        if (name := _signal_of(status)) and not self._stopped:
            memory = ", possibly because memory or threads ran out" if name in _WITHOUT_MEMORY else ""
            _write(log, f"The step {log.stem} was killed by {name}{memory}.")
        # kfp's command writes the component's source to a temporary file, and does not explain an error.
        if status and os.statvfs(folder := self._guard.folder).f_bavail == 0:
            _write(
                log, f"The disk of the temporary folder '{folder}' is full: {os.strerror(errno.ENOSPC)}. Set TMPDIR."
            )
        return status

    def stop(self, grace_seconds: float = 10) -> None:
        """End all processes and refuse new ones. Returns immediately; safe in a signal handler.

        Processes get SIGINT first, so that Python can remove temporary files, SIGTERM after half of `grace_seconds`, and
        SIGKILL after all of it. A second call kills them immediately.

        Args:
            grace_seconds: Seconds until processes are killed. Defaults to 10, as for `docker stop`.
        """
        # No lock: the signal handler may have interrupted the thread that holds it.
        groups = list(self._running)
        if self._stopped:
            for group in groups:
                _signal(group, signal.SIGKILL)
            return
        self._stopped = True
        for group in groups:
            _signal(group, signal.SIGINT)
        threading.Thread(target=_insist, args=(groups, grace_seconds), daemon=True).start()


def _wait(process: subprocess.Popen[bytes], log: Path, find_problem: Callable[[], str]) -> int:
    """Return the exit status of a process; end it, explain it in the log and return EXPLAINED if there is a problem."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)
        if problem := find_problem():
            # SIGINT, because the step may have changes to undo.
            before = log.stat().st_size
            _signal(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            _drop_interrupt(log, before)
            _write(log, problem)
            return EXPLAINED


def _drop_interrupt(log: Path, start: int) -> None:
    """Remove the traceback of a KeyboardInterrupt from the part of a log after `start` bytes: it explains nothing."""
    content = log.read_bytes()
    kept = re.sub(rb"(?s)Traceback \(most recent call last\):\n.*?\nKeyboardInterrupt\n", b"", content[start:])
    write_bytes(log, content[:start] + kept)


def _signal_of(status: int) -> str:
    """Return the name of the signal that ended a process, or a process that sh waited for; empty if none did."""
    number = -status if status < 0 else status - 128
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return ""


def _write(log: Path, problem: str) -> None:
    with log.open("a") as file:
        file.write(f"error: {problem}\n")


def _insist(groups: list[int], grace_seconds: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        time.sleep(grace_seconds / 2)
        for group in groups:
            _signal(group, number)


def _signal(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
