"""A model server that is started for the evaluation only, as a process of its own that ends with this one.

<folder>/models.config      without models: they are added once the server answers, so that loading is timed by itself
<folder>/model/1/           the SavedModel as links, and its warm-up requests as a deployment writes them
<folder>/server.sock        a Unix socket: no free port to find, and no other user of the machine can connect
<folder>/server.log         the server's output
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
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, ServingError
from tiffin.serving import Client, model_config, warmup
from tiffin.stages.evaluate import leash

VARIABLE = "TIFFIN_MODEL_SERVER"
NAME, VERSION = "model", 1
# The stand-in must be allowed what TensorFlow Serving allows by default.
_DEFAULT = (sys.executable, "-m", "tiffin.model_server", "--allow_reload_config")
# The path of a Unix socket may have at most 108 bytes.
_LONGEST_FOLDER = 80
_LOOK_SECONDS = 0.02
_LOG_LINES = 3
_LOG_CHARACTERS = 300


@dataclass(frozen=True)
class Sandbox:
    """A model server that starts, or runs.

    Attributes:
        server: Its program.
        folder: Its folder.
        process: The process that holds it.
        deadline_seconds: Seconds that it may take to start, and again to load a model.
    """

    server: str
    folder: Path
    process: subprocess.Popen[bytes]
    deadline_seconds: float

    @property
    def address(self) -> str:
        """Address of its gRPC API."""
        return f"unix:{self.folder / 'server.sock'}"

    def load(self, saved_model: Path, rows: Sequence[dict[str, Any]]) -> float:
        """Load a SavedModel, and return the seconds that it took, with its warm-up requests.

        Args:
            saved_model: Folder of the SavedModel.
            rows: Real rows for the warm-up requests.

        Raises:
            ServingError: The server ended, did not answer in time, or could not load the model.
            InputError: The rows are not those of the model.
        """
        base = self.folder / NAME
        _link(saved_model, base / str(VERSION))
        warmup.write_warmup(base / str(VERSION), NAME, rows, signature_names=warmup.find_names(saved_model))
        self._wait_until_open()
        config = model_config.make_config([model_config.make_model(NAME, str(base), [VERSION])])
        start = time.monotonic()
        with Client(self.address, timeout_seconds=self.deadline_seconds) as client:
            client.reload_config(config)
        return time.monotonic() - start

    def problem(self, error: Exception) -> str:
        """Return why the server failed: its end with its last log lines, or else the error of the call."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            # A connection is lost just before the process has ended.
            status = self.process.wait(1 if getattr(error, "code", "") == "UNAVAILABLE" else 0)
            return f"ended with {_describe(status)}: {self._last_lines() or 'its log is empty'}"
        return f"failed: {' '.join(str(error).split())}".rstrip(".")

    def _wait_until_open(self) -> None:
        deadline = time.monotonic() + self.deadline_seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.address.removeprefix("unix:"))
                return
            time.sleep(_LOOK_SECONDS)
        text = (
            f"it did not open its socket within {self.deadline_seconds:g} s: {self._last_lines() or 'its log is empty'}"
        )
        raise ServingError(text, "DEADLINE_EXCEEDED")

    def _last_lines(self) -> str:
        lines = [line.strip() for line in (self.folder / "server.log").read_text(errors="replace").splitlines()]
        return "; ".join(line[:_LOG_CHARACTERS] for line in list(filter(None, lines))[-_LOG_LINES:]).rstrip(".")


def server_command() -> tuple[str, ...]:
    """Return the command of the model server, from TIFFIN_MODEL_SERVER; the default is Tiffin's.

    Raises:
        InputError: The variable names no program.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return _DEFAULT
    try:
        command = tuple(shlex.split(text))
    except ValueError:
        command = ()
    if not command or shutil.which(command[0]) is None:
        raise InputError(
            f"{VARIABLE} should be a command, such as 'tensorflow_model_server'. Received: {text!r}, which is not found. "
            "Correct the environment of the step, or unset it for Tiffin's model server."
        )
    return command


@contextlib.contextmanager
def starting(command: Sequence[str], deadline_seconds: float = 120.0) -> Iterator[Sandbox]:
    """Start a model server for the duration of the block.

    Args:
        command: Command of a server with the flags of TensorFlow Serving.
        deadline_seconds: Seconds that it may take to start, and again to load a model. Defaults to 120.

    Yields:
        The server, which may not answer yet.
    """
    folder = Path(tempfile.mkdtemp(prefix="tiffin-server-"))
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="tiffin-server-", dir="/tmp"))
    config = folder / "models.config"
    config.write_text(model_config.format_config(model_config.make_config()))
    flags = ("--port=0", f"--grpc_socket_path={folder / 'server.sock'}", f"--model_config_file={config}")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-ISE", leash.__file__, folder, *command, *flags, "--max_num_load_retries=0"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101 - for the type checker
    try:
        yield Sandbox(_program(command), folder, process, deadline_seconds)
    finally:
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _program(command: Sequence[str]) -> str:
    """Return the name of a program: the module, for `python -m MODULE`."""
    return command[2] if command[1:2] == ("-m",) and len(command) > 2 else Path(command[0]).name


def _link(saved_model: Path, folder: Path) -> None:
    """Make a folder like a SavedModel without a copy of its files, whose assets.extra can be changed."""
    extra = folder / "assets.extra"
    extra.mkdir(parents=True)
    for file in saved_model.iterdir():
        if file.name != extra.name:
            (folder / file.name).symlink_to(file.resolve())
    for file in (saved_model / extra.name).glob("*"):
        (extra / file.name).symlink_to(file.resolve())


def _describe(status: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(status - 128).name
    return f"exit status {status}"
