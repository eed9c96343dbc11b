"""A step's process: started in a session of its own with its log as output, and ended with everything it started."""

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

# Waits for a line, so that nothing runs that the guardian does not know of; ends where the line never comes.
_WHEN_TOLD = 'read -r told && exec "$@" </dev/null'


class Processes:
    """The processes that are running now, so that one call can end them all. Safe to use from several threads.

    Args:
        watch: Standard input of the guardian.
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
            environment: All of its environment variables.
            log: File that its output is added to.
        """
        with log.open("ab") as output, self._lock:
            if self._stopped:
                return -signal.SIGTERM
            process = subprocess.Popen(
                ["sh", "-c", _WHEN_TOLD, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process.pid)
            self._tell("+", process.pid)
            assert process.stdin is not None  # noqa: S101 - for the type checker
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(b"\n")
        try:
            return process.wait()
        except KeyboardInterrupt:
            # `stop` has been called, so this ends within its grace.
            process.wait()
            raise
        finally:
            # sh ends at once; what it started may still be cleaning up.
            while self._stopped and _signal(process.pid, 0):
                time.sleep(0.02)
            self._running.discard(process.pid)
            self._tell("-", process.pid)

    def stop(self, grace_seconds: float = 10) -> None:
        """End every process and start no further one. Returns at once; safe in a signal handler.

        SIGINT comes first and lets Python remove its temporary files. What goes on for half of `grace_seconds` gets
        SIGTERM; what goes on to its end is killed, and so is everything that still runs at a second call: whoever
        presses Ctrl-C twice does not want to wait.

        Args:
            grace_seconds: How long a process may take to end. Defaults to 10, as `docker stop` gives a container.
        """
        # No lock: the handler may have interrupted the thread that holds it.
        groups = list(self._running)
        if self._stopped:
            for group in groups:
                _signal(group, signal.SIGKILL)
            return
        self._stopped = True
        for group in groups:
            _signal(group, signal.SIGINT)
        threading.Thread(target=_insist, args=(groups, grace_seconds), daemon=True).start()

    def _tell(self, sign: str, group: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._watch, f"{sign}{group}\n".encode())


@contextlib.contextmanager
def guarded_processes(folder: Path) -> Iterator[Processes]:
    """Yield processes that end with this one, even if it is killed: a guardian sees to it.

    Args:
        folder: A temporary folder that the guardian removes if this process is killed.
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
