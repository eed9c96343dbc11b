"""--processes N: one owner of the model state, and N processes that serve on the same ports (SO_REUSEPORT).

The owner has no threads and runs no TensorFlow, so it can fork a process whenever one is lost. A version is
available once every process has loaded it; a process opens the ports once it has all that is available.
"""

import dataclasses
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError
from tiffin.local.server import channel, configs, metrics
from tiffin.local.server.codes import invalid
from tiffin.local.server.manager import Manager
from tiffin.local.server.states import AVAILABLE, LOADING

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.2  # signals are looked at so often
_RESPAWN_SECONDS = 1.0
_GRACE_SECONDS = 10.0


@dataclasses.dataclass(eq=False)
class _Process:
    pid: int
    channel: channel.Channel
    stated: int = 0
    exported: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Operation:
    waiting: set[_Process]
    path: str = ""
    error: ServingError | None = None


@dataclasses.dataclass
class _Collection:
    asker: _Process
    number: int
    waiting: set[_Process]


class Owner:
    """The owner of the model state, and the processes it keeps."""

    def __init__(self, options: Any, run: Callable[[channel.Channel, Any], None]) -> None:
        """Prepare.

        Args:
            options: The flags.
            run: Is the worker, in a new process.
        """
        self._options, self._run_worker = options, run
        self._manager = Manager(options, self._load, self._unload, self._publish)
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._operations: dict[tuple[str, int], _Operation] = {}
        self._paths: dict[tuple[str, int], str] = {}
        self._states: dict[str, Any] = {"models": {}, "labels": {}}
        self._number = 0
        self._after: list[tuple[int, Callable[[], None]]] = []
        self._collections: dict[int, _Collection] = {}
        self._retired = metrics.Metrics()
        self._respawn_at = 0.0
        self._is_open = self._is_stopping = False
        self._failure: ServingError | None = None
        self._follows = False

    def serve(self, config: Any) -> int:
        """Serve until a signal; return the exit status.

        Raises:
            ServingError: The server cannot start.
        """
        _check_port(self._options)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_is_stopping", True))
        try:
            for _ in range(self._options.processes):
                self._spawn()
            self._manager.reload(config, self._started)
            wait = self._options.model_config_file_poll_wait_seconds
            config_at = time.monotonic() + wait
            while not self._is_stopping:
                if self._failure is not None:
                    raise self._failure
                timeout = min(self._manager.step(), _TICK_SECONDS)
                for key, _ in self._selector.select(timeout):
                    self._hear(key.data)
                if self._follows and time.monotonic() >= config_at:
                    config_at = time.monotonic() + wait
                    self._follow_file()
                if len(self._processes) < self._options.processes and time.monotonic() >= self._respawn_at:
                    self._spawn()
        finally:
            self._stop()
        return 0

    def _started(self, error: ServingError | None) -> None:
        self._failure = error
        if error is None:
            self._is_open = True
            options = self._options
            self._follows = bool(options.model_config_file) and options.model_config_file_poll_wait_seconds > 0
            self._tell(do="open")

    def _follow_file(self) -> None:
        path = self._options.model_config_file
        try:
            config = configs.read_text(path, configs.new_config())
        except ServingError as error:
            _log.error("Failed to read ModelServerConfig file: %s", error)
            return
        if self._manager.is_in_force(config):
            return
        self._follows = False  # one at a time: the next look is after this one's end

        def done(error: ServingError | None) -> None:
            self._follows = True
            if error is not None:
                _log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error)

        self._manager.reload(config, done)

    def _spawn(self) -> None:
        self._respawn_at = time.monotonic() + _RESPAWN_SECONDS
        ours, theirs = channel.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                for process in self._processes:
                    process.channel.close()
                self._selector.close()
                self._run_worker(theirs, self._options)
                status = 0
            except BaseException:  # noqa: BLE001 - nothing may leave this frame: it is the parent's
                _log.exception("A serving process ends:")
            finally:
                os._exit(status)
        theirs.close()
        process = _Process(pid, ours)
        self._processes.append(process)
        self._selector.register(ours.socket, selectors.EVENT_READ, process)
        self._catch_up(process)

    def _catch_up(self, process: _Process) -> None:
        """Tell a new process what the others know."""
        for model, versions in self._states["models"].items():
            for version, state, _, _ in versions:
                if state == AVAILABLE:
                    process.channel.send(do="load", model=model, version=version, path=self._paths[model, version])
                elif state == LOADING and (model, version) in self._operations:
                    operation = self._operations[model, version]
                    operation.waiting.add(process)
                    process.channel.send(do="load", model=model, version=version, path=operation.path)
        process.channel.send(do="states", number=self._number, states=self._states)
        if self._is_open:
            process.channel.send(do="open")

    def _tell(self, **message: Any) -> None:
        for process in self._processes:
            process.channel.send(**message)

    def _load(self, model: str, version: int, path: str) -> None:
        self._paths[model, version] = path
        self._operations[model, version] = _Operation(set(self._processes), path)
        self._tell(do="load", model=model, version=version, path=path)

    def _unload(self, model: str, version: int) -> None:
        self._operations[model, version] = _Operation(set(self._processes))
        self._tell(do="unload", model=model, version=version)

    def _publish(self, states: dict[str, Any]) -> None:
        if states != self._states:
            self._number += 1
            self._states = states
            self._tell(do="states", number=self._number, states=states)

    def _hear(self, process: _Process) -> None:
        messages = process.channel.receive()
        if messages is None:
            self._lose(process)
            return
        for message in messages:
            getattr(self, f"_{message.pop('did')}")(process, **message)

    def _loaded(self, process: _Process, model: str, version: int, error: list[str] | None) -> None:
        operation = self._operations.get((model, version))
        if operation is None or process not in operation.waiting:
            if error is not None:
                _log.error("A new process cannot load {name: %s version: %d}: %s", model, version, error[1])
            return
        if error is not None and operation.error is None:
            operation.error = ServingError(error[1], error[0])
        self._advance(process, model, version)

    def _unloaded(self, process: _Process, model: str, version: int) -> None:
        self._advance(process, model, version)

    def _advance(self, process: _Process, model: str, version: int) -> None:
        operation = self._operations.get((model, version))
        if operation is None:
            return
        operation.waiting.discard(process)
        if operation.waiting or not self._processes:
            return
        del self._operations[model, version]
        if operation.error is not None:
            self._tell(do="unload", model=model, version=version)  # where it did load
        self._manager.finished(model, version, operation.error)

    def _stated(self, process: _Process, number: int) -> None:
        process.stated = number
        self._run_after()

    def _run_after(self) -> None:
        reached = min((process.stated for process in self._processes), default=self._number)
        due = [call for number, call in self._after if number <= reached]
        self._after = [(number, call) for number, call in self._after if number > reached]
        for call in due:
            call()

    def _reload(self, process: _Process, number: int, config: str) -> None:
        def done(error: ServingError | None) -> None:
            plain = None if error is None else [error.code, str(error)]
            # Whoever hears of the end may ask any process: all must know the new states first.
            self._after.append((self._number, lambda: process.channel.send(do="answer", number=number, error=plain)))
            self._run_after()

        self._manager.reload(configs.new_config().FromString(bytes.fromhex(config)), done)

    def _collect(self, process: _Process, number: int) -> None:
        key = max(self._collections, default=0) + 1
        self._collections[key] = _Collection(process, number, set(self._processes))
        self._tell(do="measure", number=key)

    def _measured(self, process: _Process, number: int, metrics: list[Any]) -> None:
        process.exported = metrics
        self._gather(number, process)

    def _gather(self, key: int, process: _Process) -> None:
        collection = self._collections.get(key)
        if collection is None:
            return
        collection.waiting.discard(process)
        if collection.waiting:
            return
        del self._collections[key]
        merged = metrics.Metrics()
        merged.merge(self._retired.exported())
        for one in self._processes:
            merged.merge(one.exported)
        collection.asker.channel.send(do="answer", number=collection.number, metrics=merged.exported())

    def _opened(self, process: _Process, error: list[str] | None) -> None:
        if error is not None:
            self._failure = ServingError(error[1], error[0])

    def _lose(self, process: _Process) -> None:
        self._selector.unregister(process.channel.socket)
        process.channel.close()
        self._processes.remove(process)
        _, status = os.waitpid(process.pid, 0)
        if not self._is_stopping:
            _log.error("Process %d is gone (status %d); another takes its place", process.pid, status)
        self._retired.merge(process.exported)
        if not self._processes:
            self._spawn()
        for model, version in list(self._operations):
            self._advance(process, model, version)
        for key in list(self._collections):
            self._gather(key, process)
        self._run_after()

    def _stop(self) -> None:
        self._is_stopping = True
        _log.info("Stopping")
        self._tell(do="stop")
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self._processes:
            while os.waitpid(process.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(process.pid, signal.SIGKILL)
                time.sleep(0.02)


def _check_port(options: Any) -> None:
    """Raise a ServingError where somebody else listens: with SO_REUSEPORT they would share the requests."""
    for port in filter(None, (options.port, options.rest_api_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((options.host, port))
            except OSError as error:
                raise invalid(
                    f"Failed to BuildAndStart gRPC server: {options.host}:{port}: {error.strerror}"
                ) from error
