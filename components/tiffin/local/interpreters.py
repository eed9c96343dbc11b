"""Warm interpreters: one process per environment that imports the heavy modules once and forks for each step.

`import tensorflow` takes longer than most steps. A warm interpreter imports it once per run, while earlier steps run.
This is transparent to a step: the first `python3` on its PATH hands the command over (`handover.py`) to the warm
interpreter (`zygote.py`). The interpreter's socket listens from the start, so that early steps wait for it.
"""

import contextlib
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
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


# environment -> modules that its steps wait for, and modules to import later, when the interpreter is idle.
MODULES = {name: _modules(name) for name in images.ENVIRONMENTS}


@dataclass(frozen=True)
class Interpreter:
    """A warm interpreter.

    Attributes:
        environment: Name of its virtualenv.
        process: The process.
        socket: Path of its socket.
        bin: Folder with the `python3` that hands over to it.
        log: Its log file.
    """

    environment: str
    process: subprocess.Popen[bytes]
    socket: Path
    bin: Path
    log: Path

    @property
    def is_ready(self) -> bool:
        """Whether it has imported the modules that its steps wait for."""
        return self.socket.with_suffix(".ready").exists()

    @property
    def is_idle(self) -> bool:
        """Whether it has imported the other modules too."""
        return self.socket.with_suffix(".idle").exists()

    def stop(self) -> None:
        """Kill it. While it is importing, it does not respond to anything else."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def warm_interpreters(
    environments: Iterable[str], folder: Path, logs: Path, variables: dict[str, str]
) -> Iterator[dict[str, Interpreter]]:
    """Start a warm interpreter for each environment; stop all of them when the block ends.

    Args:
        environments: Names of virtualenvs.
        folder: Private folder for sockets.
        logs: Folder for their logs.
        variables: Environment variables of the steps; some take effect at import.

    Yields:
        Environment -> interpreter, possibly still importing.
    """
    # Nothing is ever written to this pipe. When this process ends for any reason, the interpreters read end-of-file.
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
    # Listen here, not in the new process: a step may connect before that process is ready.
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
            # Ctrl-C in a terminal goes to the whole process group; only the runner should handle it.
            start_new_session=True,
            env={**os.environ, **variables},
        )
    return Interpreter(name, process, path, _write_shim(folder / f"bin-{name}", path, python), log)


def _write_shim(folder: Path, path: Path, python: str) -> Path:
    # A shell script: the path of the interpreter may be too long for a shebang, or contain spaces.
    folder.mkdir()
    command = shlex.join([sys.executable, "-ISE", handover.__file__, str(path), python])
    for name in ("python3", "python"):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        shim.chmod(0o755)
    return folder


def fork(interpreter: Interpreter, arguments: list[str]) -> int | None:
    """Run a module in a fork that ends with the interpreter, wait for its end, and return its wait status.

    Args:
        interpreter: The warm interpreter to fork; its log gets the output.
        arguments: Name of a module, followed by its arguments.

    Returns:
        A wait status of os.wait; None if the interpreter ended before.
    """
    with (
        contextlib.suppress(OSError),  # such as a folder of the run that was removed
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        open(os.devnull, "rb") as nothing,
        interpreter.log.open("ab") as log,
    ):
        connection.connect(str(interpreter.socket))
        handover.send_request(connection, arguments, (nothing.fileno(), log.fileno(), log.fileno()))
        if handover.receive_process(connection):
            status = connection.recv(4, socket.MSG_WAITALL)
            return struct.unpack("i", status)[0] if len(status) == 4 else None
    return None


def fork_detached(interpreter: Interpreter, arguments: list[str], files: tuple[int, ...], timeout: float = 60) -> int:
    """Run a module in a fork that outlives the run.

    Args:
        interpreter: The warm interpreter to fork.
        arguments: Name of a module, followed by its arguments.
        files: Standard input, output and error, and further files to keep open.
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
