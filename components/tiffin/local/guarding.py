"""A run's temporary folder and its guardian, a process that cleans up if the run is killed.

The guardian starts before the folder is created, so that a run killed at any moment leaves neither folder nor process. A
guardian that is killed itself is replaced.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tiffin.local import guardian

# The path of a Unix socket may have at most 108 bytes; the longest name in the folder takes 20.
_LONGEST_FOLDER = 80
# Something that ends every guardian would otherwise keep the run busy with starting new ones.
_MOST_RESTARTS = 5


class Guard:
    """The guardian of a run. Thread-safe.

    Args:
        folder: The run's temporary folder. It need not exist yet.

    Attributes:
        folder: The run's temporary folder.
        warnings: One line for each guardian that was lost.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        self._ended = False
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, name="guard", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def add(self, group: int) -> None:
        """Have a process group killed if this process is killed."""
        with self._lock:
            self._groups.add(group)
            self._send(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a process group that has ended."""
        with self._lock:
            self._groups.discard(group)
            self._send(f"-{group}\n")

    def end(self) -> None:
        """End the guardian, which then neither kills nor removes anything."""
        with self._lock:
            self._ended = True
            self._send(".\n")
            self._close()
        self._watcher.join(10)
        # Only a suspended guardian is still there.
        self._process.kill()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-ISE", guardian.__file__, str(self.folder)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        # A guardian that has just been killed; `_watch` starts the next one, with all groups.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line.encode())

    def _close(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _watch(self) -> None:
        while True:
            self._process.wait()
            with self._lock:
                if self._ended:
                    return
                self._close()
                if not self._replace():
                    return

    def _replace(self) -> bool:
        """Start another guardian, and return whether it started."""
        lost = f"The guardian of this run, process {self._process.pid}, was killed"
        if len(self.warnings) < _MOST_RESTARTS:
            with contextlib.suppress(OSError):
                self._process = self._start()
                self._send("".join(f"+{group}\n" for group in sorted(self._groups)))
                self.warnings.append(f"{lost}, and was replaced by process {self._process.pid}. The steps went on.")
                return True
        self.warnings.append(
            f"{lost}, and could not be replaced. The steps went on. If this run had been killed then, it would have left "
            f"processes and '{self.folder}'."
        )
        return False


@contextlib.contextmanager
def guarded_folder() -> Iterator[Guard]:
    """Yield the guard of a temporary folder that only this user can enter, with a path short enough for sockets.

    Raises:
        OSError: The folder cannot be created.
    """
    place = tempfile.gettempdir()
    name = f"tiffin-{os.urandom(8).hex()}"
    if len(os.fsencode(place)) > _LONGEST_FOLDER - len(f"/{name}"):
        place = "/tmp"  # noqa: S108 - the folder gets mode 0700
    guard = Guard(Path(place, name))
    try:
        guard.folder.mkdir(mode=0o700)
        yield guard
    finally:
        shutil.rmtree(guard.folder, ignore_errors=True)
        guard.end()
