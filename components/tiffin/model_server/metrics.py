"""Counters and histograms with TF Serving's names, and the page for Prometheus.

Names, labels and buckets are those of tensorflow/serving's servables/tensorflow/util.cc,
servables/tensorflow/saved_model_warmup_util.cc and batching/{batching_session.cc,batching_util.h}, and of tensorflow's
cc/saved_model/loader.cc; the page is that of util/prometheus_exporter.cc. As there, no label has the version.
"""

import bisect
import dataclasses
import re
import threading
from collections.abc import Iterable, Sequence

# Requests choose the names of models, also of those that are not served, and each name is kept.
_MAX_NAMES, _MAX_NAME, _OTHERS = 1000, 256, "(other)"
PATH = "/monitoring/prometheus/metrics"


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: Full name.
        labels: Names of the labels.
        limits: Upper limits of the buckets; empty for a counter.
    """

    name: str
    labels: tuple[str, ...]
    limits: tuple[float, ...] = ()


def _exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    return tuple(scale * growth**power for power in range(count))


_LATENCY = _exponential(10, 1.8, 33)
_BATCH_SIZES = _exponential(1, 2, 14)
METRICS = {
    metric.name.rsplit("/", 1)[-1]: metric
    for metric in (
        Metric("/tensorflow/cc/saved_model/load_attempt_count", ("model_path", "status")),
        Metric("/tensorflow/cc/saved_model/load_latency", ("model_path",)),
        Metric("/tensorflow/serving/batching_session/input_batch_size", (), _BATCH_SIZES),
        Metric("/tensorflow/serving/batching_session/padding_size", ("execution_batch_size",), _BATCH_SIZES),
        Metric("/tensorflow/serving/batching_session/processed_batch_size", (), _BATCH_SIZES),
        Metric(
            "/tensorflow/serving/batching_session/queuing_latency", ("thread_pool_name",), _exponential(100, 1.2, 52)
        ),
        Metric("/tensorflow/serving/batching_session/wrapped_run_count", ()),
        Metric("/tensorflow/serving/model_warmup_latency", ("model_path", "status"), _LATENCY),
        Metric("/tensorflow/serving/model_warmup_records_read", ("model_path", "status")),
        Metric("/tensorflow/serving/request_count", ("model_name", "status")),
        Metric("/tensorflow/serving/request_example_count_total", ("model",)),
        Metric("/tensorflow/serving/request_example_counts", ("model",), _exponential(1, 2, 15)),
        Metric("/tensorflow/serving/request_latency", ("model_name", "API", "entrypoint"), _LATENCY),
        Metric("/tensorflow/serving/runtime_latency", ("model_name", "API", "runtime"), _LATENCY),
    )
}


class Metrics:
    """The values of all metrics."""

    def __init__(self) -> None:
        # metric -> label values -> counts per bucket and the sum; only the count for a counter
        self._cells: dict[str, dict[tuple[str, ...], list[float]]] = {name: {} for name in METRICS}
        self._lock = threading.Lock()

    def count(self, name: str, labels: tuple[str, ...], step: float = 1) -> None:
        """Increase a counter."""
        with self._lock:
            self._cell(name, labels)[0] += step

    def observe(self, name: str, labels: tuple[str, ...], value: float) -> None:
        """Add a value to a histogram."""
        bucket = bisect.bisect_right(METRICS[name].limits, value)
        with self._lock:
            cell = self._cell(name, labels)
            cell[bucket] += 1
            cell[-1] += value

    def count_examples(self, model: str, examples: int) -> None:
        """Record the number of examples of a MultiInference request."""
        self.observe("request_example_counts", (model,), examples)
        self.count("request_example_count_total", (model,), examples)

    def count_request(self, model: str, status: str, api: str, entrypoint: str, micros: float) -> None:
        """Record a finished request; its latency is recorded only if it succeeded.

        A name of over 256 characters, and each new one after the first 1000, is counted as "(other)".
        """
        if status == "OK":
            self.observe("request_latency", (model, api, entrypoint), micros)
        names = self._cells["request_count"]
        if (model, status) not in names and (len(names) >= _MAX_NAMES or len(model) > _MAX_NAME):
            model = _OTHERS
        self.count("request_count", (model, status))

    def count_prediction(self, model: str, runtime_micros: float, micros: float) -> None:
        """Record a successful Predict over gRPC in all its metrics."""
        runtime = bisect.bisect_right(_LATENCY, runtime_micros)
        whole = bisect.bisect_right(_LATENCY, micros)
        with self._lock:
            cell = self._cell("runtime_latency", (model, "Predict", "TF1"))
            cell[runtime] += 1
            cell[-1] += runtime_micros
            cell = self._cell("request_latency", (model, "Predict", "GRPC"))
            cell[whole] += 1
            cell[-1] += micros
            self._cell("request_count", (model, "OK"))[0] += 1

    def first(self, name: str) -> int:
        """Return a counter's first value, as HandleReloadConfigRequest reports it; 0 if there is none."""
        metric = METRICS.get(name.rsplit("/", 1)[-1])
        if metric is None or metric.name != name or metric.limits:
            return 0
        with self._lock:
            cells = self._cells[name.rsplit("/", 1)[-1]]
            return int(cells[min(cells)][0]) if cells else 0

    def page(self) -> str:
        """Return the page for Prometheus."""
        lines: list[str] = []
        with self._lock:
            for key, metric in sorted(METRICS.items(), key=lambda item: item[1].name):
                name = re.sub("[^a-zA-Z0-9_]", ":", metric.name)
                lines.append(f"# TYPE {name} {'histogram' if metric.limits else 'counter'}")
                for labels, cell in sorted(self._cells[key].items()):
                    shown = [f'{label}="{_escaped(value)}"' for label, value in zip(metric.labels, labels, strict=True)]
                    lines.extend(_lines(name, shown, metric, cell))
        return "\n".join(lines) + "\n"

    def _cell(self, name: str, labels: tuple[str, ...]) -> list[float]:
        cells = self._cells[name]
        cell = cells.get(labels)
        if cell is None:
            limits = METRICS[name].limits
            cell = cells[labels] = [0] * (len(limits) + 2) if limits else [0]
        return cell


def _lines(name: str, labels: Sequence[str], metric: Metric, cell: Sequence[float]) -> Iterable[str]:
    if not metric.limits:
        yield f"{name}{{{','.join(labels)}}} {int(cell[0])}"
        return
    total = 0
    for limit, count in zip([*(f"{limit:g}" for limit in metric.limits), "+Inf"], cell[:-1], strict=True):
        total += int(count)
        limited = ",".join([*labels, f'le="{limit}"'])
        yield f"{name}_bucket{{{limited}}} {total}"
    yield f"{name}_sum{{{','.join(labels)}}} {cell[-1]:g}"
    yield f"{name}_count{{{','.join(labels)}}} {total}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
