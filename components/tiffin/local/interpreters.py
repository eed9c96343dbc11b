"""Warm interpreters: one process per environment that has imported the heavy modules and forks for each step.

`import tensorflow` costs more than most steps. Here it happens once per run, while earlier steps work. A step needs to
know nothing of it: a `python3` comes first on its PATH that hands its work over (`handover.py`) to the warm
interpreter (`zygote.py`). That one listens from the start, so a step that comes too early simply waits for it.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tiffin import images
from tiffin.local import handover
from tiffin.local.environments import find_python
from tiffin.stages import find_components


def _modules(environment: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [row for row in find_components().values() if row.environment == environment]
    now = dict.fromkeys(module for row in rows for module in row.imports)
    later = dict.fromkeys(module for row in rows for module in row.late_imports)
    return (*now, "kfp.dsl.executor"), tuple(later)


# environment -> modules that its steps wait for, and modules that are worth having once there is time.
MODULES = {name: _modules(name) for name in images.ENVIRONMENTS}

# A unix socket's path may have 108 bytes; the longest name in the folder takes 20.
_LONGEST_FOLDER = 80


@dataclass(frozen=True)
class Interpreter:
    """A warm interpreter.

    Attributes:
        environment: The virtualenv it belongs to.
        process: It.
        socket: Path of the socket it listens at.
        bin: Folder with the `python3` that hands over to it.
        log: File with what it says.
    """

    environment: str
    process: subprocess.Popen[bytes]
    socket: Path
    bin: Path
    log: Path

    @property
    def is_ready(self) -> bool:
        """Whether it has imported what its steps wait for."""
        return self.socket.with_suffix(".ready").exists()

    def stop(self) -> None:
        """End it, wherever it is; in the middle of an import it does not listen."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter, with a path short enough for sockets; remove it at the end."""
    place = tempfile.gettempdir()
    if len(os.fsencode(place)) > _LONGEST_FOLDER - len("/tiffin-12345678"):
        place = "/tmp"  # noqa: S108 - mkdtemp gives the folder mode 0700
    folder = Path(tempfile.mkdtemp(prefix="tiffin-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def warm_interpreters(
    environments: Iterable[str], folder: Path, logs: Path, variables: dict[str, str]
) -> Iterator[dict[str, Interpreter]]:
    """Start a warm interpreter for each environment; end them all at the end, whatever happens.

    Args:
        environments: Names of virtualenvs.
        folder: Private folder for sockets.
        logs: Folder for their logs.
        variables: Environment variables of the steps, some of which matter at import.

    Yields:
        environment -> interpreter. It may still be importing.
    """
    # Nothing is ever written here. When this process ends, in whatever way, each interpreter reads the end of it.
    lifeline, held = os.pipe()
    started: dict[str, Interpreter] = {}
    try:
        for name in environments:
            started[name] = _start(name, folder, logs, variables, lifeline)
        yield started
    finally:
        os.close(held)
        os.close(lifeline)
        for interpreter in started.values():
            interpreter.stop()


def _start(name: str, folder: Path, logs: Path, variables: dict[str, str], lifeline: int) -> Interpreter:
    python = find_python(name)
    path = folder / f"{name}.sock"
    log = logs / f"interpreter-{name}.log"
    now, later = MODULES[name]
    # Listening starts here, not in the new process: a step may connect before that one is ready.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, log.open("wb") as output:
        listener.bind(str(path))
        listener.listen(64)
        command = [python, "-m", "tiffin.local.zygote", f"--socket={listener.fileno()}", f"--lifeline={lifeline}"]
        ready = path.with_suffix(".ready")
        process = subprocess.Popen(
            [*command, f"--ready={ready}", *(f"--then={module}" for module in later), *now],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(listener.fileno(), lifeline),
            # A terminal's Ctrl-C reaches a whole group; the runner decides what becomes of a step.
            start_new_session=True,
            env={**os.environ, **variables},
        )
    return Interpreter(name, process, path, _write_shim(folder / f"bin-{name}", path, python), log)


def _write_shim(folder: Path, path: Path, python: str) -> Path:
    # sh, not a shebang that names the interpreter: its path may be long or hold spaces.
    folder.mkdir()
    command = shlex.join([sys.executable, "-ISE", handover.__file__, str(path), python])
    for name in ("python3", "python"):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        shim.chmod(0o755)
    return folder


def fork_detached(interpreter: Interpreter, arguments: list[str], files: tuple[int, ...], timeout: float = 60) -> int:
    """Run a module in a fork that outlives the run.

    Args:
        interpreter: The warm interpreter to fork.
        arguments: The module's name and its arguments.
        files: Standard input, output and error, and further files to hold open.
        timeout: Seconds to wait for the interpreter. Defaults to 60.

    Returns:
        The process id.

    Raises:
        OSError: The interpreter did not start.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(interpreter.socket))
        handover.send_request(connection, arguments, files, detached=True)
        process = handover.receive_process(connection)
    if not process:
        raise OSError(f"the warm interpreter ended; see {interpreter.log}")
    return process
