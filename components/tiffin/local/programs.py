"""Programs that run in the background of a state folder, at most one of each: the model server and the gateway.

    <state>/<folder>/<name>.json     {"address", "pid", "started", "state"} of the running program
    <state>/<folder>/lock            locked by the program until it ends
    <state>/<folder>/<name>.log      its log

The lock decides whether a program is running. The kernel releases it however the program ends, so that the record of a
killed program, whose process id may belong to another process by now, is recognised as stale.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiffin.errors import ServingError, TiffinError
from tiffin.local.environments import find_python
from tiffin.local.interpreters import Interpreter, fork_detached
from tiffin.local.ports import find_port
from tiffin.storage.files import write_json

_BACKGROUND: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Program:
    """A program of which a state folder runs at most one.

    Attributes:
        title: What messages call it, such as `model server`.
        folder: Folder of its files in the state folder; also the name of its record and its log.
        module: Module that runs it, with the options --state, --host and --port.
        environment: Virtualenv that it runs in.
        port: Port that it listens on if that is free.
    """

    title: str
    folder: str
    module: str
    environment: str
    port: int


@dataclass(frozen=True)
class Server:
    """A running or starting program of a state folder.

    Attributes:
        program: The program.
        state: The state folder.
        address: Address as host:port.
        pid: Process id; None while it starts.
    """

    program: Program
    state: Path
    address: str
    pid: int | None

    @property
    def log(self) -> Path:
        """Its log file."""
        return find_folder(self.program, self.state) / f"{self.program.folder}.log"


def find_folder(program: Program, state: str | Path) -> Path:
    """Return the folder for the files of a program."""
    return Path(state).absolute() / program.folder


def make_folder(program: Program, state: str | Path) -> Path:
    """Create and return the folder for the files of a program, which only its user may read and change.

    Whoever can write the model config there can load a model that reads and writes the user's files.
    """
    folder = find_folder(program, state)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    return folder


def record_path(program: Program, state: str | Path) -> Path:
    """Return the path of the record of the running program."""
    return find_folder(program, state) / f"{program.folder}.json"


def find(program: Program, state: str | Path) -> Server | None:
    """Return the running or starting program of the state folder; None if there is none."""
    # A process that holds the lock without a record is about to write it, or has removed it and is about to end.
    for _ in range(40):
        if not is_running(program, state):
            return None
        with contextlib.suppress(OSError, ValueError):
            record: dict[str, Any] = json.loads(record_path(program, state).read_bytes())
            return Server(program, Path(state).absolute(), record["address"], record["pid"])
        time.sleep(0.05)
    return None


def is_running(program: Program, state: str | Path) -> bool:
    """Return whether a program of the state folder runs or starts."""
    try:
        lock = os.open(find_folder(program, state) / "lock", os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _take(lock)
    finally:
        os.close(lock)


@contextlib.contextmanager
def starting(
    program: Program, state: str | Path, host: str = "127.0.0.1", port: int | None = None
) -> Iterator[tuple[Server, tuple[int, ...]]]:
    """Reserve a program of a state folder, so that no other process can start one during the block.

    Args:
        program: The program.
        state: The state folder.
        host: Address to listen on. Defaults to `127.0.0.1`.
        port: Port to listen on. Defaults to that of the program, or a free one if it is taken.

    Yields:
        The server, and the descriptors of the locks on the state folder and the port, which the server's process must
        inherit; no descriptors if a server is already running.

    Raises:
        TiffinError: The requested port is taken.
    """
    folder = make_folder(program, state)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, lock)
        # `find` of another process holds the lock for a moment.
        for _ in range(10):
            if _take(lock):
                break
            running = find(program, state)
            if running:
                yield running, ()
                return
            time.sleep(0.02)
        number, hold = _choose_port(program, host, port)
        stack.enter_context(hold)
        server = Server(program, Path(state).absolute(), f"{_reachable(host)}:{number}", None)
        yield _write_record(server), (lock, hold.fileno())


def start(program: Program, state: str | Path, options: Sequence[str] = ()) -> tuple[Server, bool]:
    """Start a program in the background unless it is running.

    Args:
        program: The program.
        state: The state folder.
        options: Further options of the program.

    Returns:
        The program, which may not answer yet, and whether this call started it.
    """
    with starting(program, state) as (server, locks):
        if not locks:
            return server, False
        return launch(server, locks, options=options), True


def launch(
    server: Server, locks: tuple[int, ...], interpreter: Interpreter | None = None, options: Sequence[str] = ()
) -> Server:
    """Start the process of a reserved program, which outlives this process.

    Args:
        server: The server that `starting` yields.
        locks: The descriptors that `starting` yields. The caller may close them afterwards.
        interpreter: A warm interpreter of its environment to fork once it is ready. Defaults to a new process.
        options: Further options of the program.

    Raises:
        OSError: The interpreter did not start.
    """
    if interpreter is None:
        process = spawn(server, locks, options=options)
        # A reference prevents Python's ResourceWarning about a process that nobody waits for.
        _BACKGROUND.append(process)
        return replace(server, pid=process.pid)
    with server.log.open("ab") as log, open(os.devnull, "rb") as nothing:
        pid = fork_detached(
            interpreter, [*_command(server), *options], (nothing.fileno(), log.fileno(), log.fileno(), *locks)
        )
    return _write_record(replace(server, pid=pid))


def spawn(
    server: Server, locks: tuple[int, ...], host: str = "127.0.0.1", options: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a new process for a reserved program, and return it.

    Args:
        server: The server that `starting` yields.
        locks: The descriptors that `starting` yields. The caller may close them afterwards.
        host: Address to listen on. Defaults to `127.0.0.1`.
        options: Further options of the program.
    """
    with server.log.open("ab") as log:
        process = subprocess.Popen(
            [find_python(server.program.environment), "-m", *_command(server, host), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=locks,
            # Ctrl-C in a terminal should not end it.
            start_new_session=True,
        )
    _write_record(replace(server, pid=process.pid))
    return process


def _command(server: Server, host: str = "127.0.0.1") -> list[str]:
    """Return the module and arguments of the program's process."""
    port = server.address.rpartition(":")[2]
    return [server.program.module, f"--state={server.state}", f"--host={host}", f"--port={port}"]


def _write_record(server: Server) -> Server:
    """Write the record of the running program, and return the program."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(
        record_path(server.program, server.state),
        {"address": server.address, "pid": server.pid, "started": now, "state": str(server.state)},
    )
    return server


def stop(program: Program, state: str | Path, timeout: float = 30) -> Server | None:
    """Stop a program of the state folder and return it; return None if it is not running.

    Args:
        program: The program.
        state: The state folder.
        timeout: Seconds to wait; after half of them it is killed. Defaults to 30.

    Raises:
        ServingError: It did not end within `timeout` seconds.
    """
    server = find(program, state)
    deadline = time.monotonic() + timeout
    number = signal.SIGTERM
    while (running := find(program, state)) is not None:
        if running.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)
        if time.monotonic() > deadline:
            raise ServingError(
                f"The {program.title} of '{state}' did not end within {timeout:g} s. Kill its process {running.pid}; "
                f"see {running.log}."
            )
        if time.monotonic() > deadline - timeout / 2:
            number = signal.SIGKILL
        time.sleep(0.05)
    record_path(program, state).unlink(missing_ok=True)
    # Reap it if it was a child of this process.
    _BACKGROUND[:] = [process for process in _BACKGROUND if process.poll() is None]
    return server


def wait_until_open(server: Server, timeout: float = 90) -> None:
    """Wait until a program accepts connections; a model server does once its models are loaded.

    Args:
        server: The program.
        timeout: Seconds to wait. Defaults to 90.

    Raises:
        ServingError: It ended, or did not answer within `timeout` seconds.
    """
    deadline, title = time.monotonic() + timeout, server.program.title
    while not is_open(server.address):
        if find(server.program, server.state) is None:
            raise ServingError(f"The {title} at {server.address} ended before it answered. See {server.log}.")
        if time.monotonic() > deadline:
            raise ServingError(
                f"No response from the {title} at {server.address} within {timeout:g} s. See {server.log}."
            )
        time.sleep(0.05)


def is_open(address: str) -> bool:
    """Return whether host:port accepts connections."""
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
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - an address to connect to


def _choose_port(program: Program, host: str, port: int | None) -> tuple[int, socket.socket]:
    """Return a free port, and a socket that reserves it among the programs of this module.

    A model server binds its port only after importing TensorFlow. Until it ends, a Unix socket with an abstract name that
    contains the port number reserves the port: such names are unique in a network namespace, like ports.
    """
    reason = "used by another local server"
    for wanted in [program.port, *[0] * 20] if port is None else [port]:
        try:
            number = find_port(host, wanted)
        except OSError as error:
            reason = str(error.strerror)
            continue
        hold = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            hold.bind(f"\0tiffin-model-server-{number}")
        except OSError:
            hold.close()
            continue
        return number, hold
    raise TiffinError(
        f"Port {port} on {host} is not available: {reason}. Choose another port with --port, or stop its server."
    )
