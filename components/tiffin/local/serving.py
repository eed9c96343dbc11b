"""The model server of a state folder: found, started in the background, and stopped.

    <state>/serving/                 the serving root: what deployments fill
    <state>/server/server.json       {"address", "pid", "started", "state"} of the server that runs
    <state>/server/lock              held by that server for as long as it lives
    <state>/server/server.log        what it says
    <state>/server/models.config     the models of the serving root, for the server to follow

The lock tells whether a server runs. The kernel lets go of it however the server ends, so a record left behind by one
that was killed, with a process id that is somebody else's by now, is seen for what it is.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiffin.errors import ServingError, TiffinError
from tiffin.local.environments import find_python
from tiffin.local.interpreters import Interpreter, fork_detached
from tiffin.storage.files import write_json

DEFAULT_PORT = 8500

_MODULE = "tiffin.local.server_process"
_BACKGROUND: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Server:
    """The model server of a state folder.

    Attributes:
        state: The state folder.
        address: Where it answers, as host:port.
        pid: Its process id; None while it starts.
    """

    state: Path
    address: str
    pid: int | None

    @property
    def log(self) -> Path:
        """The file with what it says."""
        return server_folder(self.state) / "server.log"


def serving_root(state: str | Path) -> Path:
    """Return the folder of a state folder that deployed models lie in."""
    return Path(state).absolute() / "serving"


def server_folder(state: str | Path) -> Path:
    """Return the folder of a state folder that its model server keeps its files in."""
    return Path(state).absolute() / "server"


def record_path(state: str | Path) -> Path:
    """Return the file that says which server runs."""
    return server_folder(state) / "server.json"


def find_server(state: str | Path) -> Server | None:
    """Return the server that runs or starts for the state folder; None if there is none."""
    try:
        lock = os.open(server_folder(state) / "lock", os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if _take(lock):
            return None
    finally:
        os.close(lock)
    # Whoever takes the lock writes the record next.
    for _ in range(40):
        with contextlib.suppress(OSError, ValueError):
            record: dict[str, Any] = json.loads(record_path(state).read_bytes())
            return Server(Path(state).absolute(), record["address"], record["pid"])
        time.sleep(0.05)
    return None


@contextlib.contextmanager
def starting_server(
    state: str | Path, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[tuple[Server, tuple[int, ...]]]:
    """Reserve the server of a state folder: while the block runs nobody else can start one.

    Args:
        state: The state folder.
        host: Interface to serve on. Defaults to `127.0.0.1`.
        port: Defaults to 8500, or a free one where that is taken.

    Yields:
        The server, and the open locks, of the state folder and of the port, that its process has to inherit; none where
        a server runs already.

    Raises:
        TiffinError: The port that was asked for is taken.
    """
    folder = server_folder(state)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, lock)
        # Somebody who only looks whether the lock is held holds it for a moment.
        for _ in range(10):
            if _take(lock):
                break
            running = find_server(state)
            if running:
                yield running, ()
                return
            time.sleep(0.02)
        number, hold = _choose_port(host, port)
        stack.enter_context(hold)
        server = Server(Path(state).absolute(), f"{_reachable(host)}:{number}", None)
        yield _write_record(server), (lock, hold.fileno())


def start_server(state: str | Path) -> tuple[Server, bool]:
    """Start a server in the background unless one runs.

    Returns:
        The server, and whether this call started it. It need not answer yet.
    """
    with starting_server(state) as (server, locks):
        if not locks:
            return server, False
        return launch(server, locks), True


def launch(server: Server, locks: tuple[int, ...], interpreter: Interpreter | None = None) -> Server:
    """Start the process of a reserved server, which outlives this one.

    Args:
        server: What `starting_server` yields.
        locks: The open locks. They may be closed here afterwards.
        interpreter: A warm interpreter of `model` to fork, once it is ready. Defaults to a new process.

    Raises:
        OSError: The interpreter did not start.
    """
    if interpreter is None:
        process = spawn(server, locks)
        # Nobody here waits for it, which is no mistake to warn of.
        _BACKGROUND.append(process)
        return replace(server, pid=process.pid)
    with server.log.open("ab") as log, open(os.devnull, "rb") as nothing:
        pid = fork_detached(interpreter, _command(server), (nothing.fileno(), log.fileno(), log.fileno(), *locks))
    return _write_record(replace(server, pid=pid))


def spawn(server: Server, locks: tuple[int, ...], host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
    """Start a new process for a reserved server, and return it.

    Args:
        server: What `starting_server` yields.
        locks: The open locks. They may be closed here afterwards.
        host: Interface to serve on. Defaults to `127.0.0.1`.
    """
    with server.log.open("ab") as log:
        process = subprocess.Popen(
            [find_python("model"), "-m", *_command(server, host)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=locks,
            # A terminal's Ctrl-C is not meant for it.
            start_new_session=True,
        )
    _write_record(replace(server, pid=process.pid))
    return process


def _command(server: Server, host: str = "127.0.0.1") -> list[str]:
    """Return module and arguments of the server's process."""
    port = server.address.rpartition(":")[2]
    return [_MODULE, f"--state={server.state}", f"--host={host}", f"--port={port}"]


def _write_record(server: Server) -> Server:
    """Write which server runs, and return it."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(
        record_path(server.state),
        {"address": server.address, "pid": server.pid, "started": now, "state": str(server.state)},
    )
    return server


def stop_server(state: str | Path, timeout: float = 30) -> Server | None:
    """Stop the server of the state folder and return it; None if none runs.

    Raises:
        ServingError: It does not end within `timeout` seconds.
    """
    server = find_server(state)
    deadline = time.monotonic() + timeout
    number = signal.SIGTERM
    while (running := find_server(state)) is not None:
        if running.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)
        if time.monotonic() > deadline:
            raise ServingError(
                f"The model server of '{state}' should end within {timeout:g} s. Its process {running.pid} goes on; "
                f"see {running.log}, or kill it."
            )
        if time.monotonic() > deadline - timeout / 2:
            number = signal.SIGKILL
        time.sleep(0.05)
    record_path(state).unlink(missing_ok=True)
    # If it was a child of this process, its exit status has been waiting to be read.
    _BACKGROUND[:] = [process for process in _BACKGROUND if process.poll() is None]
    return server


def wait_until_open(server: Server, timeout: float = 90) -> None:
    """Wait until the server answers at its port, which it opens once its models are loaded.

    Raises:
        ServingError: It ends, or does not answer within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not is_open(server.address):
        if find_server(server.state) is None:
            raise ServingError(f"The model server at {server.address} ended before it answered. See {server.log}.")
        if time.monotonic() > deadline:
            raise ServingError(
                f"The model server should answer at {server.address} within {timeout:g} s, and did not. "
                f"See {server.log}."
            )
        time.sleep(0.05)


def is_open(address: str) -> bool:
    """Return whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - to ask a server there, not to be one


def _choose_port(host: str, port: int | None) -> tuple[int, socket.socket]:
    """Return a free port, and what keeps other servers of this kind off it from now on.

    A server binds its port only once it has imported TensorFlow. Until then, and as long as it lives, a socket with an
    abstract name that holds the port's number stands for it: names are as unique in a network namespace as ports are.
    """
    reason = "another model server of Tiffin's holds it"
    for wanted in [DEFAULT_PORT, *[0] * 20] if port is None else [port]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # A port that was closed a moment ago is free; one that somebody listens at is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, wanted))
            except OSError as error:
                reason = str(error.strerror)
                continue
            number = int(probe.getsockname()[1])
        hold = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            hold.bind(f"\0tiffin-model-server-{number}")
        except OSError:
            hold.close()
            continue
        return number, hold
    raise TiffinError(
        f"--port should be free on {host}. Received: {port} ({reason}). "
        "Choose another with --port, or stop what listens there."
    )
