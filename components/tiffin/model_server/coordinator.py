"""--processes N: one owner of the model state, and N processes that serve on the same ports (SO_REUSEPORT).

A version is available once every process has loaded it; a process opens the ports once it has all that is
available.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import configs, flags
from tiffin.model_server.channel import Channel
from tiffin.model_server.codes import invalid
from tiffin.model_server.manager import Manager
from tiffin.model_server.measurements import Measurements
from tiffin.model_server.orders import Orders
from tiffin.model_server.processes import Process, Processes

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.2  # signals are looked at so often
_AFTER_BUG_SECONDS = 1.0  # a bug that comes again with each turn must not fill the log at full speed


class Coordinator:
    """The owner of the model state, and its conversations with the processes."""

    def __init__(self, options: Any, run: Callable[[Channel, Any], None]) -> None:
        """Prepare; `serve` begins.

        Args:
            options: The flags.
            run: Is the worker, in a new process.
        """
        self._options = options
        self._processes = Processes(options.processes, lambda channel: run(channel, options))
        self._orders = Orders(self._processes)
        self._measurements = Measurements(self._processes)
        self._manager = Manager(options, self._orders.load, self._orders.unload, self._publish)
        self._states: dict[str, Any] = {"models": {}, "labels": {}}
        self._number = 0
        self._after: list[tuple[int, Callable[[], None]]] = []
        self._has_models = self._has_served = self._is_stopping = False
        self._failure: ServingError | None = None
        self._look_at: float | None = None

    def serve(self, config: Any) -> int:
        """Serve until a signal; return the exit status.

        Raises:
            ServingError: The server cannot start.
        """
        _check_ports(self._options)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "_is_stopping", True))
        self._manager.reload(config, self._started)
        try:
            while not self._is_stopping:
                try:
                    self._turn()
                except Exception:  # noqa: BLE001 - what serves goes on serving
                    _log.exception("A bug of this server:")
                    time.sleep(_AFTER_BUG_SECONDS)
                if self._failure is not None:
                    raise self._failure
        finally:
            _log.info("Stopping")
            self._processes.stop()
        return 0

    def _turn(self) -> None:
        """Do all that is due, then wait for what the processes say."""
        while (new := self._processes.spawn()) is not None:
            self._orders.catch_up(new)
            new.channel.send(do="states", number=self._number, states=self._states)
        wait = self._manager.step()
        self._orders.try_again()
        self._admit()
        for process, message in self._processes.hear(min(wait, _TICK_SECONDS)):
            getattr(self, f"_{message.pop('did')}")(process, **message)
        for model, version, error in self._orders.settle():
            self._manager.finished(model, version, error)
        self._measurements.answer()
        self._run_after()
        if self._look_at is not None and time.monotonic() >= self._look_at:
            self._look_at_file()

    def _started(self, error: ServingError | None) -> None:
        self._failure = error
        self._has_models = error is None
        self._look_later()

    def _look_later(self) -> None:
        wait = self._options.model_config_file_poll_wait_seconds
        if self._options.model_config_file and wait > 0:
            self._look_at = time.monotonic() + wait

    def _look_at_file(self) -> None:
        """Put the configuration file in force where it has changed; the next look is after this one's end."""
        self._look_at = None
        path = self._options.model_config_file
        try:
            config = configs.read_text(path, configs.new_config())
        except ServingError as error:
            _log.error("Failed to read ModelServerConfig file: %s", error)
            self._look_later()
            return
        if self._manager.is_in_force(config):
            self._look_later()
            return

        def done(error: ServingError | None) -> None:
            if error is not None:
                _log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error)
            self._look_later()

        self._manager.reload(config, done)

    def _admit(self) -> None:
        for process in self._processes:
            if self._has_models and not process.is_admitted and self._orders.are_carried_out(process):
                process.is_admitted = True
                process.channel.send(do="open")

    def _publish(self, states: dict[str, Any]) -> None:
        if states != self._states:
            self._number += 1
            self._states = states
            self._processes.tell(do="states", number=self._number, states=states)

    def _run_after(self) -> None:
        """Run what waits for all processes to know the states of its time."""
        reached = min((process.stated for process in self._processes), default=self._number)
        due = [call for number, call in self._after if number <= reached]
        self._after = [(number, call) for number, call in self._after if number > reached]
        for call in due:
            call()

    def _reported(self, process: Process, model: str, version: int, number: int, error: list[str] | None) -> None:
        self._orders.report(
            process, model, version, number, None if error is None else ServingError(error[1], error[0])
        )

    def _stated(self, process: Process, number: int) -> None:
        process.stated = number

    def _opened(self, process: Process) -> None:
        self._has_served = True
        self._processes.opened(process)

    def _failed(self, process: Process, error: list[str]) -> None:
        """Take note that a process cannot serve: at the start nobody can, later the others go on."""
        if not self._has_served:
            self._failure = ServingError(error[1], error[0])
            return
        _log.error("Process %d cannot serve: %s: %s", process.pid, error[0], error[1])
        self._processes.end(process)

    def _reload(self, process: Process, number: int, config: str) -> None:
        def done(error: ServingError | None) -> None:
            plain = None if error is None else [error.code, str(error)]
            # Whoever hears of the end may ask any process: all must know the new states first.
            self._after.append((self._number, lambda: process.channel.send(do="answer", number=number, error=plain)))

        self._manager.reload(configs.new_config().FromString(bytes.fromhex(config)), done)

    def _collect(self, process: Process, number: int) -> None:
        self._measurements.begin(process, number)

    def _measured(self, process: Process, number: int, metrics: list[Any]) -> None:
        self._measurements.take(process, number, metrics)


def _check_ports(options: Any) -> None:
    """Refuse ports where somebody else listens: with SO_REUSEPORT they would share the requests.

    As in one process, nothing starts without the gRPC port, and a REST port that cannot be had is left out.

    Raises:
        ServingError: The gRPC port cannot be had.
    """
    if options.port and (reason := _refusal(options.host, options.port)):
        raise invalid(f"Failed to BuildAndStart gRPC server: {flags.address(options.host, options.port)}: {reason}")
    if options.rest_api_port and (reason := _refusal(options.host, options.rest_api_port)):
        _log.error("Failed to start HTTP Server at %s: %s", flags.address(options.host, options.rest_api_port), reason)
        options.rest_api_port = 0


def _refusal(host: str, port: int) -> str:
    """Return why a port cannot be had, an empty string where it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return ""
