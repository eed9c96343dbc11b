"""Metrics of the recorder for Prometheus, and one line per problem and minute in its log."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

import prometheus_client

from tiffin.printing import printable

_log = logging.getLogger("tiffin.recorder")
_SILENT_SECONDS = 60.0
_TEXTS = {
    "queue": "the queue was full",
    "throttled": "Envoy left requests out, since the machine is busy",
    "model_name": "the model's name is not valid",
    "models": "too many models",
    "failure": "the recorder failed to read an entry",
    "too_large": "a body was too large; the row has no values",
    "base64": "a body was not base64; the row has no values",
    "frame": "a body was not one gRPC message; the row has no values",
    "encoding": "a body was compressed in an unknown way; the row has no values",
    "compression": "a compressed body was broken; the row has no values",
    "message": "a body could not be parsed; the row has no values",
    "settings_unknown": "recording.json could not be read; the row has no values",
    "text": "text was not UTF-8; its bytes were replaced",
    "kind": "a value of a failed request does not fit the column, and is null",
    "columns": "a column was left out: too many, or its name is too long",
    "no_secret": "a column to hash was left out: TIFFIN_LOG_KEY is not set",
    "unnamed": "an input or output without a name was left out, since the model omits or hashes columns",
}


class Metrics:
    """Counters and gauges, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        make = self._counter
        self._requests = make("requests", "Requests received.", "model", "route")
        self._rows = make("rows", "Rows in stored files.", "model")
        self._files = make("files", "Files stored.", "model")
        self._bytes = make("bytes", "Bytes of stored files.", "model")
        self._dropped = make("dropped_requests", "Requests that are not in the log.", "reason")
        self._dropped_rows = make("dropped_rows", "Rows of files that could not be stored.")
        self._problems = make("problems", "Values or bodies replaced or left out.", "reason")
        self._ignored = make("ignored_requests", "Requests that are not for a prediction.")
        self._last_file = time.time()
        self._lock = threading.Lock()
        self._unreported: Counter[str] = Counter()
        self._reported: dict[str, float] = {}
        self.gauge("seconds_since_last_file", "Seconds since a file was stored, or since the start.",
                   lambda: time.time() - self._last_file)  # fmt: skip

    def _counter(self, name: str, text: str, *labels: str) -> prometheus_client.Counter:
        return prometheus_client.Counter(f"tiffin_recorder_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is what a function returns."""
        prometheus_client.Gauge(f"tiffin_recorder_{name}", text, registry=self.registry).set_function(value)

    def count_requests(self, numbers: Mapping[tuple[str, str], int], ignored: int) -> None:
        """Count received requests by model and route."""
        for (model, route), number in numbers.items():
            self._requests.labels(model, route).inc(number)
        self._ignored.inc(ignored)

    def count_file(self, model: str, size_bytes: int, rows: int) -> None:
        """Count a stored file."""
        self._files.labels(model).inc()
        self._bytes.labels(model).inc(size_bytes)
        self._rows.labels(model).inc(rows)
        self._last_file = time.time()

    def drop(self, numbers: Mapping[str, int]) -> None:
        """Count requests that are not in the log, by reason."""
        for reason, number in numbers.items():
            if number:
                self._dropped.labels(reason).inc(number)
                self.report(reason, _TEXTS[reason], number)

    def drop_rows(self, rows: int) -> None:
        """Count rows of a file that could not be stored."""
        self._dropped_rows.inc(rows)

    def count_problems(self, numbers: Mapping[str, int]) -> None:
        """Count what was replaced or left out, by reason."""
        for reason, number in numbers.items():
            if number:
                self._problems.labels(reason).inc(number)
                self.report(reason, _TEXTS[reason], number)

    def report(self, reason: str, text: str, number: int = 1) -> None:
        """Write a line to the log, at most one per reason and minute, with the number since the last one."""
        now = time.monotonic()
        with self._lock:
            self._unreported[reason] += number
            if now < self._reported.get(reason, -_SILENT_SECONDS) + _SILENT_SECONDS:
                return
            self._reported[reason] = now
            number = self._unreported.pop(reason)
        _log.warning("%s (%s, %d since the last line)", printable(text), reason, number)
