"""The model server of a run or a command: started on demand, restarted once if it ends, and stopped when nothing uses it.

All runs and commands of a state folder share one server. Each holds a shared lock on <state>/server/users while it uses
the server, so that none stops it while another needs it.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tiffin.errors import TiffinError
from tiffin.local import serving
from tiffin.local.interpreters import Interpreter

_LOOK_SECONDS = 0.2


@dataclass
class Companion:
    """The model server of a run.

    Attributes:
        server: The server; its address is known before it answers.
        started: Whether this run started it.
        problem: Why no server will run any more; empty while one runs or starts.
        warnings: One line for each restart.
    """

    server: serving.Server
    started: bool
    _users: int
    problem: str = ""
    warnings: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def call_off(self) -> None:
        """Cancel the start if it is still pending. Call this before the warm interpreters end."""
        self._over.set()

    def finish(self, stop: bool) -> None:
        """Wait until the server is started or cancelled; stop it if `stop`, this run started it, and it is unused.

        Args:
            stop: Whether to stop a server that this run started.
        """
        self._over.set()
        for thread in self._threads:
            thread.join()
        os.close(self._users)
        if self.started and stop:
            stop_unless_needed(self.server.state)

    def watch(self) -> None:
        """Restart the server at its address if it ends before the run; set `problem` if it ends again."""
        while not self._over.wait(_LOOK_SECONDS):
            if serving.is_running(self.server.state):
                continue
            if self._over.is_set():
                return
            ended = f"The model server at {self.server.address} ended"
            if self.warnings:
                self.problem = f"{ended} twice during this run. See {self.server.log}."
                return
            if not self.server.log.parent.is_dir():
                self.problem = f"{ended} because '{self.server.log.parent}' was removed."
                return
            try:
                self._restart()
            except (TiffinError, OSError) as error:
                self.problem = f"{ended} during this run, and could not be restarted: {error} See {self.server.log}."
                return
            self.warnings.append(f"{ended} during this run, and was restarted. See {self.server.log}.")

    def start(self, run: Callable[[], None]) -> None:
        """Run a function in a thread that `finish` waits for."""
        self._threads.append(threading.Thread(target=run, name="companion", daemon=True))
        self._threads[-1].start()

    def _restart(self) -> None:
        host, _, port = self.server.address.rpartition(":")
        with serving.starting_server(self.server.state, host.strip("[]"), int(port)) as (server, locks):
            # Without locks, another run has just restarted it.
            if locks:
                serving.launch(server, locks)
                self.started = True


def accompany(state: Path, interpreter: Interpreter | None) -> Companion:
    """Return the server of the state folder; if none is running, reserve an address and start one in the background.

    Args:
        state: The state folder.
        interpreter: A warm interpreter of `model`, possibly still importing; None to start a new process.
    """
    users = _need(state)
    stack = contextlib.ExitStack()
    server, locks = stack.enter_context(serving.starting_server(state))
    if not locks:
        stack.close()
        companion = Companion(server, False, users)
        companion.start(companion.watch)
        return companion
    companion = Companion(server, True, users)

    def launch() -> None:
        # The server has inherited the lock; close it in this process.
        with stack:
            try:
                serving.launch(server, locks, interpreter)
            except OSError:
                if not companion._over.is_set():
                    serving.launch(server, locks)

    companion.start(launch)
    companion.start(companion.watch)
    return companion


@contextlib.contextmanager
def running_server(state: str | Path) -> Iterator[str]:
    """Yield the address of the state folder's server; if none is running, start one for the duration of the block.

    Raises:
        ServingError: The server did not start.
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
    """Stop the server of the state folder, unless a run or a command still uses it."""
    users = _open_users(state)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            serving.stop_server(state)
    finally:
        os.close(users)


@contextlib.contextmanager
def needing(state: str | Path) -> Iterator[None]:
    """Prevent others from stopping the server of the state folder during the block."""
    users = _need(state)
    try:
        yield
    finally:
        os.close(users)


def _need(state: str | Path) -> int:
    """Return the descriptor of a lock that prevents others from stopping the server until it is closed."""
    users = _open_users(state)
    # Blocks while another process stops the server.
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _open_users(state: str | Path) -> int:
    folder = serving.make_server_folder(state)
    return os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
