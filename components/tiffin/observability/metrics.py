"""The page of metrics: gauges made of the statuses of monitoring and of the serving root.

The values are in the state that is kept anyway, so they survive the pods that found them, and a version or a model that is gone
has no series any more.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tiffin.artifacts.monitoring import FOLDER, Verdict
from tiffin.artifacts.monitoring_status import Status
from tiffin.artifacts.retraining import Outcome as Ended
from tiffin.artifacts.retraining import RetrainingState
from tiffin.errors import TiffinError
from tiffin.observability.faults import Faults
from tiffin.observability.served import Production, find_production
from tiffin.observability.statuses import find_retrainings, find_statuses
from tiffin.rollout.document import Outcome, Phase, Rollout

# Name to its labels and its help.
METRICS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "tiffin_monitoring_verdict": (("model", "version", "verdict"), "1 for the last verdict, 0 for the others."),
    "tiffin_monitoring_verdict_since_timestamp_seconds": (
        ("model", "version"),
        "End of the first window with this verdict.",
    ),
    "tiffin_monitoring_last_run_timestamp_seconds": (("model", "version"), "Time of the last run of the monitoring."),
    "tiffin_monitoring_window_end_timestamp_seconds": (("model", "version"), "End of the last window."),
    "tiffin_monitoring_window_requests": (("model", "version"), "Recorded requests in the window, without copies."),
    "tiffin_monitoring_window_failed_requests": (("model", "version"), "Those of them that failed."),
    "tiffin_monitoring_window_rows": (("model", "version"), "Rows in the window."),
    "tiffin_monitoring_window_p99_seconds": (("model", "version"), "99th percentile of the latency in the window."),
    "tiffin_monitoring_column_distance": (
        ("model", "version", "column", "measure"),
        "Distance of an input from the training data.",
    ),
    "tiffin_monitoring_column_limit": (
        ("model", "version", "column", "measure"),
        "Distance above which an input may have drifted: by chance, plus the threshold.",
    ),
    "tiffin_monitoring_column_drifted": (("model", "version", "column"), "1 if the input drifted and counts."),
    "tiffin_monitoring_columns_left_out": (("model", "version"), "Inputs beyond the 50 that have series."),
    "tiffin_monitoring_quality": (
        ("model", "version", "metric", "source"),
        "Metric of the answers: measured with labels, estimated without, or its value at training.",
    ),
    "tiffin_monitoring_labelled_rows": (("model", "version"), "Answers with a label."),
    "tiffin_retraining_paused": (("model",), "1 while a person has paused the retrainings."),
    "tiffin_retraining_running": (("model",), "1 while a retraining runs."),
    "tiffin_retraining_last_start_timestamp_seconds": (("model",), "Time at which the last retraining started."),
    "tiffin_retraining_attempts": (("model", "outcome"), "Retrainings among the last 60, by how they ended."),
    "tiffin_serving_version_info": (("model", "version", "role"), "1 for a version that gets requests or copies."),
    "tiffin_serving_weight": (("model", "version", "role"), "Share of the requests that the version answers."),
    "tiffin_serving_mirror_share": (("model", "version"), "Share of the requests that are copied to the candidate."),
    "tiffin_serving_last_change_timestamp_seconds": (("model",), "Time of the last change of what is served."),
    "tiffin_rollout_state": (("model", "version", "state"), "1 for the state of the last rollout, 0 for the others."),
    "tiffin_rollout_outcome": (("model", "version", "outcome"), "1 for how the last rollout ends, 0 for the others."),
    "tiffin_rollout_step": (("model", "version"), "Step of the last rollout, from 1; 0 without steps."),
    "tiffin_rollout_steps": (("model", "version"), "Number of its steps."),
    "tiffin_rollout_start_timestamp_seconds": (("model", "version"), "Time at which it started."),
    "tiffin_rollout_state_since_timestamp_seconds": (("model", "version"), "Time at which its state or step began."),
    "tiffin_rollout_requests": (("model", "version", "role"), "Requests since its start, also copies."),
    "tiffin_rollout_failed_requests": (("model", "version", "role"), "Those of them that count as errors."),
    "tiffin_observability_unreadable": (("source",), "Documents that could not be read, and are left out."),
    "tiffin_observability_last_read_timestamp_seconds": ((), "Time at which the documents were read."),
}  # fmt: skip


class Sample(NamedTuple):
    """A value of a metric: its name, the values of its labels, and the value."""

    name: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Places:
    """Where the documents are.

    Attributes:
        statuses: Path or URI with a folder for each model; empty for none.
        folder: Folder of a model that has its status; empty for the model's own. Defaults to that in a prediction log.
        serving_root: The serving root, as `resolve_root` returns it; empty for none.
    """

    statuses: str
    folder: str = FOLDER
    serving_root: str = ""


@dataclass(frozen=True)
class Reading:
    """What the documents had at a time.

    Attributes:
        time: The time; None before the first reading.
        samples: The values.
        faults: What could not be read.
    """

    time: datetime | None = None
    samples: tuple[Sample, ...] = ()
    faults: Faults = field(default_factory=Faults)


def read_documents(places: Places) -> Reading:
    """Read the documents.

    A document that cannot be read is a fault of the reading, and never raised.

    Args:
        places: Where they are.
    """
    faults = Faults()
    samples: list[Sample] = []
    for model, status in _find_statuses(places, faults).items():
        try:
            samples += list(_describe_status(model, status))
        except (ValueError, OverflowError) as error:  # a time that is none, a number that is too large
            faults.note("status", f"The status of '{model}': {error}")
    for model, state in _find_retrainings(places, faults).items():
        try:
            samples += list(_describe_retrainings(model, state))
        except (ValueError, OverflowError) as error:
            faults.note("retraining", f"The retrainings of '{model}': {error}")
    if places.serving_root:
        for found in find_production(places.serving_root, faults):
            samples += _describe_production(found)
            try:
                samples += list(_describe_rollout(found.model, found.rollout)) if found.rollout else []
            except (ValueError, OverflowError) as error:
                faults.note("rollout", f"The rollout of '{found.model}': {error}")
    return Reading(datetime.now(UTC), tuple(samples), faults)


def _find_statuses(places: Places, faults: Faults) -> dict[str, Status]:
    if not places.statuses:
        return {}
    try:
        return find_statuses(places.statuses, places.folder, lambda error: faults.note("status", error))
    except TiffinError as error:
        faults.note("log_root", error)
        return {}


def _find_retrainings(places: Places, faults: Faults) -> dict[str, RetrainingState]:
    if not places.statuses:
        return {}
    try:
        return find_retrainings(places.statuses, places.folder, lambda error: faults.note("retraining", error))
    except TiffinError:  # told by the statuses, which are in the same place
        return {}


def make_registry(page: "Page") -> CollectorRegistry:
    """Return the registry of a page, for the functions of prometheus_client."""
    registry = CollectorRegistry()
    registry.register(page)
    return registry


@dataclass(eq=False)  # registries hash collectors
class Page(Collector):
    """The collector of prometheus_client for the last reading.

    Attributes:
        reading: The reading, which may be replaced at any time.
    """

    reading: Reading

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing: the names are no others than those of `METRICS`."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics in the order of `METRICS`, each with its values by labels."""
        reading = self.reading
        values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in METRICS}
        for sample in (*reading.samples, *_describe_reading(reading)):
            values[sample.name][tuple(map(_encodable, sample.labels))] = sample.value
        for name, (labels, text) in METRICS.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for of, value in sorted(values[name].items()):
                family.add_metric(of, value)
            yield family


def _encodable(text: str) -> str:
    # JSON may have half of a pair of surrogates, which UTF-8 does not have.
    return text.encode(errors="replace").decode()


def _describe_reading(reading: Reading) -> Iterator[Sample]:
    for source, number in reading.faults.counts.items():
        yield Sample("tiffin_observability_unreadable", (source,), number)
    if reading.time:
        yield Sample("tiffin_observability_last_read_timestamp_seconds", (), reading.time.timestamp())


def _describe_status(model: str, status: Status) -> Iterator[Sample]:
    of = (model, str(status.version))

    def sample(name: str, value: float | None, *labels: str) -> Iterator[Sample]:
        if value is not None:
            yield Sample(f"tiffin_monitoring_{name}", (*of, *labels), float(value))

    for verdict in get_args(Verdict):
        yield from sample("verdict", verdict == status.verdict, verdict)
    yield from sample("verdict_since_timestamp_seconds", _seconds(status.since))
    yield from sample("last_run_timestamp_seconds", _seconds(status.made))
    yield from sample("window_end_timestamp_seconds", _seconds(status.end))
    yield from sample("window_requests", status.requests)
    yield from sample("window_failed_requests", status.failed)
    yield from sample("window_rows", status.rows)
    yield from sample("window_p99_seconds", status.p99_seconds)
    for column in status.columns:
        yield from sample("column_drifted", column.drifted, column.column)
        for figure in column.figures:
            yield from sample("column_distance", figure.value, column.column, figure.measure)
            yield from sample("column_limit", figure.limit, column.column, figure.measure)
    yield from sample("columns_left_out", status.columns_left_out)
    for metric in status.metrics:
        for source in ("measured", "estimated", "training"):
            yield from sample("quality", getattr(metric, source), metric.metric, source)
    yield from sample("labelled_rows", status.labelled)


def _describe_retrainings(model: str, state: RetrainingState) -> Iterator[Sample]:
    yield Sample("tiffin_retraining_paused", (model,), state.paused is not None)
    yield Sample("tiffin_retraining_running", (model,), any(one.outcome == "running" for one in state.attempts))
    if state.attempts:
        yield Sample("tiffin_retraining_last_start_timestamp_seconds", (model,), _seconds(state.attempts[-1].started))
    for outcome in get_args(Ended):
        number = sum(one.outcome == outcome for one in state.attempts)
        yield Sample("tiffin_retraining_attempts", (model, outcome), number)


def _describe_production(found: Production) -> Iterator[Sample]:
    if found.changed:
        yield Sample("tiffin_serving_last_change_timestamp_seconds", (found.model,), _seconds(found.changed))
    traffic = found.traffic
    candidate = traffic.candidate if traffic else None
    weights = {"stable": 1.0, "candidate": 0.0}
    if traffic:
        weights = {"stable": (100 - traffic.weight) / 100, "candidate": traffic.weight / 100}
    for role, version in (("stable", found.version), ("candidate", candidate)):
        if version is not None:
            of = (found.model, str(version), role)
            yield Sample("tiffin_serving_version_info", of, 1)
            if traffic:
                yield Sample("tiffin_serving_weight", of, weights[role])
    if traffic and candidate is not None:
        yield Sample("tiffin_serving_mirror_share", (found.model, str(candidate)), traffic.mirror / 100)


def _describe_rollout(model: str, rollout: Rollout) -> Iterator[Sample]:
    of = (model, str(rollout.version))
    for phase in get_args(Phase):
        yield Sample("tiffin_rollout_state", (*of, phase), phase == rollout.phase)
    for outcome in filter(None, get_args(Outcome)):
        yield Sample("tiffin_rollout_outcome", (*of, outcome), outcome == rollout.outcome)
    yield Sample("tiffin_rollout_step", of, float(rollout.step + 1 if rollout.steps else 0))
    yield Sample("tiffin_rollout_steps", of, len(rollout.steps))
    yield Sample("tiffin_rollout_start_timestamp_seconds", of, _seconds(rollout.started))
    yield Sample("tiffin_rollout_state_since_timestamp_seconds", of, _seconds(rollout.since))
    if rollout.progress:
        sides = {
            "stable": (rollout.stable, rollout.progress.stable.tally),
            "candidate": (rollout.version, rollout.progress.candidate.tally),
        }
        for role, (version, tally) in sides.items():
            labels = (model, str(version), role)
            yield Sample("tiffin_rollout_requests", labels, float(tally.requests))
            yield Sample("tiffin_rollout_failed_requests", labels, float(tally.errors))


def _seconds(moment: str | datetime) -> float:
    """Return a time, of UTC unless it has a zone, in seconds since 1970."""
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
