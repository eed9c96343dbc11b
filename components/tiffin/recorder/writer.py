"""The thread that turns entries of the access log into files of the prediction log."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tiffin.errors import traceback_of
from tiffin.printing import printable_lines
from tiffin.recorder.calls import protect_key, read_call
from tiffin.recorder.delivery import Delivery, Finished
from tiffin.recorder.entries import Call, count_throttled, read_entry
from tiffin.recorder.files import Content, OpenFile
from tiffin.recorder.inbox import Inbox
from tiffin.recorder.metrics import Metrics
from tiffin.recorder.settings import Settings
from tiffin.serving import prediction_log

_log = logging.getLogger(__name__)

# A client may invent names of models.
MAX_MODELS = 1000
_WAIT_SECONDS = 0.2
# Memory of all open files, about; the largest is closed above it.
_MEMORY_BYTES = 128 << 20
_HOUR_MICROS = 3600 * 1_000_000
# Entries of an hour that arrive after its end, since Envoy sends them in batches.
_LATE_SECONDS = 5


@dataclass(frozen=True)
class Limits:
    """When a file is closed.

    Attributes:
        file_bytes: Size above which a file is closed.
        file_seconds: Age at which a file is closed.
    """

    file_bytes: int
    file_seconds: float


class Writer:
    """Reads the inbox in a thread until it is closed.

    Args:
        root: Root of the log.
        name: Start of the names of files, which no other recorder has.
        limits: When a file is closed.
        inbox: Entries to write.
        delivery: Takes complete files.
        settings: Settings of the models.
        metrics: Counts requests and problems.
    """

    def __init__(
        self,
        root: str,
        name: str,
        limits: Limits,
        inbox: Inbox,
        delivery: Delivery,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._root, self._name, self._limits = root, name, limits
        self._inbox, self._delivery, self._settings, self._metrics = inbox, delivery, settings, metrics
        self._open: dict[tuple[str, int], OpenFile] = {}
        self._models: set[str] = set()
        self._number = 0
        self._problems: Counter[str] = Counter()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Write what is in the inbox and close all files; return after some seconds at most."""
        self._closing.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            entries = self._inbox.get(0.0 if self._closing.is_set() else _WAIT_SECONDS)
            if len(entries):
                self._add(entries)
            elif self._closing.is_set():
                break
            self._close_files(self._due())
        self._close_files(list(self._open))

    def _add(self, entries: Sequence[Any]) -> None:
        requests: Counter[tuple[str, str]] = Counter()
        dropped: Counter[str] = Counter()
        ignored = 0
        for entry in entries:
            try:
                dropped["throttled"] += count_throttled(entry)
                call = read_entry(entry)
                if call is None:
                    ignored += 1
                elif reason := self._refuse(call.model):
                    dropped[reason] += 1
                else:
                    requests[call.model, call.route] += 1
                    self._write(call)
            except Exception as error:  # noqa: BLE001 - no request of a client may end the recorder
                dropped["failure"] += 1
                self._report(error)
        self._metrics.count_requests(requests, ignored)
        self._metrics.drop(dropped)
        self._count_problems()

    def _refuse(self, model: str) -> str:
        """Return why requests of a model are not recorded; empty if they are."""
        if model in self._models:
            return ""
        if not prediction_log.is_model_name(model):
            return "model_name"
        if len(self._models) >= MAX_MODELS:
            return "models"
        self._models.add(model)
        return ""

    def _write(self, call: Call) -> None:
        policy = self._settings.policy(call.model)
        rows = read_call(call, policy, self._problems)
        place = (call.model, call.micros // _HOUR_MICROS)
        file = self._open.get(place)
        if file is None:
            file = self._open[place] = OpenFile(call.model, self._problems)
        file.add(call, protect_key(call.key, policy), rows)
        if file.is_full:
            self._take(place, file, file.flush)
        if file.size_bytes >= self._limits.file_bytes:
            self._close_files([place])

    def _due(self) -> list[tuple[str, int]]:
        """Return the files to close: by age, after their hour, or because all use too much memory."""
        now, hour = time.monotonic(), int(time.time() - _LATE_SECONDS) // 3600
        due = [
            place
            for place, file in self._open.items()
            if now - file.opened >= self._limits.file_seconds
            or (place[1] < hour and now - file.opened >= _LATE_SECONDS)
        ]
        memory = {place: file.memory for place, file in self._open.items() if place not in due}
        while sum(memory.values()) > _MEMORY_BYTES:
            largest = max(memory, key=lambda place: memory[place])
            del memory[largest]
            due.append(largest)
        return due

    def _close_files(self, places: list[tuple[str, int]]) -> None:
        for place in places:
            file = self._open.pop(place, None)
            if file is not None:
                self._take(place, file, file.close)
        if places:
            self._count_problems()

    def _take(self, place: tuple[str, int], file: OpenFile, take: Callable[[], list[Content]]) -> None:
        """Deliver the complete files that a call returns; if it fails, the open file is lost, and the next one begins."""
        try:
            contents = take()
        except Exception as error:  # noqa: BLE001 - no value of a client may end the recorder
            self._open.pop(place, None)
            self._metrics.drop_rows(file.rows)
            self._report(error)
            return
        for content in contents:
            self._deliver(place, *content)

    def _report(self, error: Exception) -> None:
        _log.debug("%s", printable_lines(traceback_of(error)))
        self._metrics.report("bug", f"{type(error).__name__}: {error}")

    def _deliver(self, place: tuple[str, int], content: bytes, rows: int) -> None:
        model, hour = place
        folder = prediction_log.hour_folder(self._root, model, datetime.fromtimestamp(0, UTC) + timedelta(hours=hour))
        self._number += 1
        uri = f"{folder}/{self._name}-{self._number}{prediction_log.SUFFIX}"
        self._delivery.put(Finished(model, uri, content, rows, time.monotonic()))

    def _count_problems(self) -> None:
        self._metrics.count_problems(self._problems)
        self._problems.clear()
