"""What every process is to do with a version: load it, or unload it.

An order is settled once every process has reported on it; only then does the manager hear of its end. A process
that starts later carries out what is in force, unsettled orders and settled ones alike, and is ready to serve once
it has all that is settled; what it cannot load it tries again.
"""

import dataclasses
import logging
import time

from tiffin.errors import ServingError
from tiffin.model_server.processes import Process, Processes

_log = logging.getLogger(__name__)
_AGAIN_SECONDS = 2.0


@dataclasses.dataclass
class _Order:
    """An order for all processes.

    Attributes:
        number: Tells its reports from those on an earlier order for the same version.
        path: The directory to load, None for an unload.
        reports: What came of it, by process.
        is_settled: Whether all that were there have loaded it.
    """

    number: int
    path: str | None
    reports: dict[Process, ServingError | None] = dataclasses.field(default_factory=dict)
    is_settled: bool = False


class Orders:
    """The order in force for each version, where there is one."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._orders: dict[tuple[str, int], _Order] = {}
        self._last = 0
        self._again_at = 0.0

    def load(self, model: str, version: int, path: str) -> None:
        """Tell all processes to load a version."""
        self._give(model, version, path)

    def unload(self, model: str, version: int) -> None:
        """Tell all processes to unload a version."""
        self._give(model, version, None)

    def catch_up(self, process: Process) -> None:
        """Tell a new process what is in force."""
        for (model, version), order in self._orders.items():
            if order.path is None:
                order.reports[process] = None  # it has nothing to unload
            else:
                _send_load(process, model, version, order)

    def report(self, process: Process, model: str, version: int, number: int, error: ServingError | None) -> None:
        """Take a process's report; one on an order that is no longer in force counts for nothing."""
        order = self._orders.get((model, version))
        if order is None or order.number != number:
            return
        order.reports[process] = error
        if order.is_settled and error is not None:
            # The version is there for all to ask, and the other processes have it.
            text = "Process %d does not serve yet, as it cannot load {name: %s version: %d}: %s: %s"
            _log.error(text, process.pid, model, version, error.code, error)

    def try_again(self) -> None:
        """Tell processes that came late to load what they could not, every few seconds."""
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        for (model, version), order in self._orders.items():
            for process, error in list(order.reports.items()):
                if order.is_settled and error is not None:
                    del order.reports[process]
                    _send_load(process, model, version, order)

    def settle(self) -> list[tuple[str, int, ServingError | None]]:
        """Return the loads and unloads that ended since the last call (model, version, error)."""
        ended = []
        running = set(self._processes)
        for (model, version), order in list(self._orders.items()):
            if order.is_settled or running - set(order.reports) or (order.path is not None and not running):
                continue
            error = next((error for error in order.reports.values() if error is not None), None)
            if order.path is not None and error is not None:
                self.unload(model, version)  # where it did load; nobody waits for its end
            if order.path is None or error is not None:
                del self._orders[model, version]
            order.is_settled = True
            ended.append((model, version, error))
        return ended

    def are_carried_out(self, process: Process) -> bool:
        """Return whether a process has all that can be asked."""
        settled = [order.reports for order in self._orders.values() if order.is_settled]
        return all(process in reports and reports[process] is None for reports in settled)

    def _give(self, model: str, version: int, path: str | None) -> None:
        self._last += 1
        self._orders[model, version] = order = _Order(self._last, path)
        if path is None:
            self._processes.tell(do="unload", model=model, version=version, number=self._last)
            return
        for process in self._processes:
            _send_load(process, model, version, order)


def _send_load(process: Process, model: str, version: int, order: _Order) -> None:
    process.channel.send(do="load", model=model, version=version, number=order.number, path=order.path)
