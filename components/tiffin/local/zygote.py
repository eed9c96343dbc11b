"""A warm interpreter: imports the heavy modules once, then forks for every step.

`interpreters.py` runs it as `python -m tiffin.local.zygote --socket FD --lifeline FD --ready FILE MODULE...`.
A step's process has the semantics of `python -m MODULE`: its own arguments, environment, working directory, standard
files, session, random numbers and exit status. It inherits only the imported modules.

This process must not start a thread, run a TensorFlow op or open a gRPC channel: none of these survives a fork.
"""

import argparse
import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import selectors
import signal
import socket
import struct
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from tiffin.local import attempts, forks
from tiffin.local.handover import FORWARDED

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Import the modules, then serve requests until the process at the other end of the lifeline ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--ready", required=True)
    parser.add_argument("--then", action="append", default=[])
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    die_with_parent()
    listener = socket.socket(fileno=options.socket)
    before = dict(os.environ)
    import_quietly(options.modules)
    Path(options.ready).touch()
    serve(listener, options.lifeline, options.then, before, Path(options.ready).with_suffix(".idle"))


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def import_quietly(modules: list[str]) -> None:
    """Import `modules` and reset the root logger. A module that cannot be imported is logged."""
    os.environ["_KFP_RUNTIME"] = "true"
    for module in modules:
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - the step that needs the module fails with its own error
            _log(f"could not import {module}: {type(error).__name__}: {error}")
        else:
            _log(f"imported {module} in {time.monotonic() - started:.1f} s")
    # absl adds a handler to the root logger, which would disable the executor's basicConfig.
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    # The garbage collector does not touch objects in the permanent generation, so their pages stay shared.
    gc.freeze()


def serve(listener: socket.socket, lifeline: int, later: list[str], before: dict[str, str], idle: Path) -> None:
    """Fork for every request; import the modules of `later` one by one while idle.

    Args:
        listener: Socket for requests.
        lifeline: A pipe that carries no data; end-of-file means that the runner has ended.
        later: Modules that save time but that no step should wait for.
        before: The environment before the imports, to determine the variables that the imports set.
        idle: File to create once all modules are imported.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(lifeline, selectors.EVENT_READ)
    selector.register(wake_read, selectors.EVENT_READ)
    children: dict[int, socket.socket] = {}
    own = [listener.fileno(), lifeline, wake_read, wake_write, selector.fileno()]

    while True:
        ready = [key.fileobj for key, _ in selector.select(0 if later else None)]
        if not ready and later:
            import_quietly([later.pop(0)])
        if not later:
            idle.touch()
        for file in ready:
            if isinstance(file, socket.socket) and file is not listener:
                # Clients send nothing more, so this is end-of-file: the step's `python3` has ended. End its process too.
                _kill(next(process for process, other in children.items() if other is file))
            elif file is listener:
                connection, _ = listener.accept()
                imported = {name: value for name, value in os.environ.items() if name not in before}
                process = _start(connection, imported, [*own, *(other.fileno() for other in children.values())])
                if process:
                    children[process] = connection
                    selector.register(connection, selectors.EVENT_READ)
            elif file == lifeline:
                for process in children:
                    _kill(process)
                os._exit(0)
            else:
                os.read(wake_read, 4096)
        for process in _ended(children):
            selector.unregister(children.pop(process))


def _ended(children: dict[int, socket.socket]) -> list[int]:
    """Return the children that have ended, after sending their status to their clients."""
    ended = []
    for process, connection in children.items():
        finished, status = os.waitpid(process, os.WNOHANG)
        if finished:
            with contextlib.suppress(OSError):
                connection.sendall(struct.pack("i", status))
            ended.append(process)
    return ended


def _start(connection: socket.socket, imported: dict[str, str], own: list[int]) -> int:
    """Fork for one request; return the child's process id, or 0 if there is none to wait for."""
    connection.settimeout(10)
    try:
        request, files = _receive(connection)
    except (OSError, ValueError, struct.error) as error:
        _log(f"dropped an incomplete request: {error}")
        connection.close()
        return 0
    connection.settimeout(None)
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        _become(request, files, connection, imported, own)
    for file in files:
        os.close(file)
    if request["detached"]:
        # The child forked once more and ended, so the detached process is not a child of this one.
        os.waitpid(process, 0)
        connection.close()
        return 0
    with contextlib.suppress(OSError):
        connection.sendall(struct.pack("i", process))
    return process


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, files, _flags, _address = socket.recv_fds(connection, 4, 16)
    size = struct.unpack("I", head)[0]
    payload = bytearray()
    while len(payload) < size:
        part = connection.recv(size - len(payload))
        if not part:
            raise ValueError(f"received {len(payload)} of {size} bytes")
        payload += part
    return json.loads(payload), files


def _become(
    request: dict[str, Any], files: list[int], connection: socket.socket, imported: dict[str, str], own: list[int]
) -> None:
    """Turn this fork into the requested process. Never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if request["detached"]:
            if os.fork():
                os._exit(0)
            connection.sendall(struct.pack("i", os.getpid()))
        else:
            die_with_parent()
        for number in FORWARDED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for standard, file in enumerate(files[:3]):
            os.dup2(file, standard)
        for file in [*files[:3], connection.fileno(), *own]:
            os.close(file)
        connection.detach()
        os.umask(request["umask"])
        os.chdir(request["folder"])
        environment = {**imported, **request["environment"]}
        os.environ.clear()
        os.environ.update(environment)
        attempt = os.environ.pop(attempts.VARIABLE, None)
        # If it has ended, a retry may be running already.
        if attempt and not request["detached"] and not attempts.join(attempt):
            os._exit(1)
    except BaseException as error:  # noqa: BLE001 - a fork must not return to the loop of `serve`
        _log(f"could not start a step: {error}")
        os._exit(1)
    forks.run_module(request["arguments"])


def _kill(process: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process, signal.SIGKILL)


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
