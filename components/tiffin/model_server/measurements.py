"""The metrics of all processes together, for the one that was asked for them."""

import dataclasses
from typing import Any

from tiffin.model_server.metrics import Metrics
from tiffin.model_server.processes import Process, Processes


@dataclasses.dataclass
class _Measurement:
    asker: Process
    number: int
    waiting: set[Process]


class Measurements:
    """Those that are under way, and what each process counted when it was last measured."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._under_way: dict[int, _Measurement] = {}
        self._exported: dict[Process, list[Any]] = {}
        self._retired = Metrics()
        self._last = 0

    def begin(self, asker: Process, number: int) -> None:
        """Ask all processes for their metrics.

        Args:
            asker: Who gets the answer.
            number: The asker's number for it.
        """
        self._last += 1
        self._under_way[self._last] = _Measurement(asker, number, set(self._processes))
        self._processes.tell(do="measure", number=self._last)

    def take(self, process: Process, number: int, metrics: list[Any]) -> None:
        """Take a process's metrics."""
        self._exported[process] = metrics
        if number in self._under_way:
            self._under_way[number].waiting.discard(process)

    def answer(self) -> None:
        """Answer where all have said theirs; those that are gone are not waited for."""
        running = set(self._processes)
        for number, one in list(self._under_way.items()):
            if not one.waiting & running:
                del self._under_way[number]
                one.asker.channel.send(do="answer", number=one.number, metrics=self._merged(running))

    def _merged(self, running: set[Process]) -> list[Any]:
        # A counter never falls: what a lost process had counted stays.
        for process in set(self._exported) - running:
            self._retired.merge(self._exported.pop(process))
        merged = Metrics()
        for exported in (self._retired.exported(), *self._exported.values()):
            merged.merge(exported)
        return merged.exported()
