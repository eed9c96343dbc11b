"""The model server that a run or a command needs: started for it, and stopped unless another needs it too.

All of one state folder share the server. Each holds a shared lock on <state>/server/users while it needs it, so that one
that ends does not stop the server under another.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tiffin.local import serving
from tiffin.local.interpreters import Interpreter


@dataclass
class Companion:
    """The model server of a run.

    Attributes:
        server: Its address is known from the start.
        started: Whether this run started it.
    """

    server: serving.Server
    started: bool
    _users: int
    _thread: threading.Thread | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def call_off(self) -> None:
        """Start it no more if it has not started yet. Call this before the warm interpreters end."""
        self._over.set()

    def finish(self, stop: bool) -> None:
        """Wait for the start to end, and stop the server if this run started it, `stop` is true and no other needs it."""
        if self._thread is not None:
            self._thread.join()
        os.close(self._users)
        if self.started and stop:
            stop_unless_needed(self.server.state)


def accompany(state: Path, interpreter: Interpreter | None) -> Companion:
    """Find the server of the state folder, or reserve an address at once and start one in the background.

    Args:
        state: The state folder.
        interpreter: A warm interpreter of `model`, which may still be importing. None starts a new process.
    """
    users = _need(state)
    stack = contextlib.ExitStack()
    server, locks = stack.enter_context(serving.starting_server(state))
    if not locks:
        stack.close()
        return Companion(server, False, users)
    companion = Companion(server, True, users)

    def launch() -> None:
        # The lock is the server's from here on; this process lets go of it.
        with stack:
            try:
                serving.launch(server, locks, interpreter)
            except OSError:
                if not companion._over.is_set():
                    serving.launch(server, locks)

    companion._thread = threading.Thread(target=launch, name="companion", daemon=True)
    companion._thread.start()
    return companion


@contextlib.contextmanager
def running_server(state: str | Path) -> Iterator[str]:
    """Yield the address of a server for the state folder: the one that runs, or one for the block alone.

    Raises:
        ServingError: It did not start.
    """
    users, started = _need(state), False
    try:
        server, started = serving.start_server(state)
        serving.wait_until_open(server)
        yield server.address
    finally:
        os.close(users)
        if started:
            stop_unless_needed(state)


def stop_unless_needed(state: str | Path) -> None:
    """Stop the server of the state folder, unless a run or a command goes on needing it."""
    users = _open_users(state)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            serving.stop_server(state)
    finally:
        os.close(users)


def _need(state: str | Path) -> int:
    """Return a lock that keeps others from stopping the server until it is closed."""
    users = _open_users(state)
    # Waits while another that started the server stops it.
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _open_users(state: str | Path) -> int:
    folder = serving.server_folder(state)
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
