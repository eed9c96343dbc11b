"""A step's process: started in a session of its own with its output in the log, and ended with all its children."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiffin.local import guardian

# Waits for a line, so that the guardian knows every process before it runs; exits if the input ends first.
_WAIT_FOR_LINE = 'read -r line && exec "$@" </dev/null'


class Processes:
    """The running processes of a run, which one call can end. Thread-safe.

    Args:
        watch: File descriptor of the guardian's standard input.
    """

    def __init__(self, watch: int) -> None:
        self._watch = watch
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def run(self, command: list[str], environment: Mapping[str, str], log: Path) -> int:
        """Run `command` to its end and return its exit status, negative for a signal.

        Args:
            command: The program and its arguments.
            environment: The complete environment of the process.
            log: File that the output is appended to.
        """
        with log.open("ab") as output, self._lock:
            if self._stopped:
                return -signal.SIGTERM
            process = subprocess.Popen(
                ["sh", "-c", _WAIT_FOR_LINE, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process.pid)
            self._notify("+", process.pid)
            assert process.stdin is not None  # noqa: S101 - for the type checker
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(b"\n")
        try:
            return process.wait()
        except KeyboardInterrupt:
            # `stop` has been called, so the process ends within the grace period.
            process.wait()
            raise
        finally:
            # sh ends immediately; its children may still be cleaning up.
            while self._stopped and _signal(process.pid, 0):
                time.sleep(0.02)
            self._running.discard(process.pid)
            self._notify("-", process.pid)

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

    def _notify(self, sign: str, group: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._watch, f"{sign}{group}\n".encode())


@contextlib.contextmanager
def guarded_processes(folder: Path) -> Iterator[Processes]:
    """Yield processes that a guardian kills if this process is killed.

    Args:
        folder: Temporary folder that the guardian removes if this process is killed.
    """
    command = [sys.executable, "-ISE", guardian.__file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        assert watcher.stdin is not None  # noqa: S101 - for the type checker
        yield Processes(watcher.stdin.fileno())
        with contextlib.suppress(BrokenPipeError):
            watcher.stdin.write(b".\n")
            watcher.stdin.flush()


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
