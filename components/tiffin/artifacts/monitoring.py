"""The monitoring artifact: how a model in production fared in a time window, and the verdict."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import Anomaly
from tiffin.artifacts.drift import Drift
from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import Performance
from tiffin.errors import InputError

MONITORING = "monitoring.json"
# Folder of a model's prediction log that has the state of its monitoring.
FOLDER = "monitoring"
# Folder of this state with outcomes that MLflow does not have yet.
UNSENT = "unsent"
# Upper bounds of the bins of latencies, in seconds: 8 bins for a factor of 10.
LATENCIES = tuple(float(f"{1e-4 * 10 ** (number / 8):.3g}") for number in range(49))

Verdict = Literal["healthy", "degraded", "drifted", "no_data"]
Severity = Literal["degraded", "drifted", "info"]


@dataclass(frozen=True)
class Traffic:
    """The requests of a version by one route.

    Attributes:
        version: Version of the model; 0 if a failed request reached none.
        route: Route of the gateway: `stable`, `candidate`, `mirror` (copies), or `batch`.
        requests: Number of recorded requests.
        rows: Rows in them.
        errors: gRPC's name of a status code to the number of requests that failed with it.
        latencies: Requests in each bin of `LATENCIES`, one more than bounds.
    """

    version: int
    route: str
    requests: int
    rows: int
    errors: dict[str, int]
    latencies: tuple[int, ...]

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return sum(self.errors.values())

    def quantile(self, share: float) -> float | None:
        """Return the upper bound in seconds of the bin that a quantile of the latencies is in; None without latencies.

        Args:
            share: The quantile, from 0 to 1. Latencies above the last bound count as it.
        """
        total = sum(self.latencies)
        below = 0
        for place, count in enumerate(self.latencies):
            below += count
            if total and below >= share * total:
                return LATENCIES[min(place, len(LATENCIES) - 1)]
        return None


def traffic_of(traffic: Sequence[Traffic], version: int) -> list[Traffic]:
    """Return the requests of a version that clients sent, without copies.

    Failed requests that reached no version are among them, unless another version answers more requests.

    Args:
        traffic: Requests by version and route.
        version: The version.
    """
    sent = [one for one in traffic if one.route != "mirror"]
    own = sum(one.requests for one in sent if one.version == version)
    others = sum(one.requests for one in sent if one.version not in (0, version))
    return [one for one in sent if one.version == version or (one.version == 0 and own >= others)]


def join_traffic(traffic: Sequence[Traffic], version: int) -> Traffic:
    """Return requests as those of one version and route."""
    errors: dict[str, int] = {}
    for one in traffic:
        for code, count in one.errors.items():
            errors[code] = errors.get(code, 0) + count
    latencies = tuple(map(sum, zip(*(one.latencies for one in traffic), strict=True))) or (0,) * (len(LATENCIES) + 1)
    requests, rows = sum(one.requests for one in traffic), sum(one.rows for one in traffic)
    return Traffic(version, "", requests, rows, dict(sorted(errors.items())), latencies)


@dataclass(frozen=True)
class LogFinding:
    """A file of the prediction log that was left out.

    Attributes:
        code: `UNREADABLE` (cut short or damaged), `FOREIGN` (not a file of the log) or `GONE` (removed meanwhile).
        file: Name of the file.
        text: Reason.
    """

    code: str
    file: str
    text: str


@dataclass(frozen=True)
class Finding:
    """A reason for the verdict, or something to know.

    Attributes:
        code: Kind, in capitals, such as `DATA_DRIFT` or `ERROR_RATE`.
        severity: `degraded` or `drifted` if it decides the verdict; `info` otherwise.
        text: One sentence with the figures.
        column: Column concerned; empty for none.
    """

    code: str
    severity: Severity
    text: str
    column: str = ""


@dataclass(frozen=True)
class Point:
    """A period of the window.

    Attributes:
        start: Start of the period in UTC, in ISO 8601.
        hours: Its length.
        requests: Recorded requests of the version, without copies.
        failed: Those that failed.
        p50: Median latency in seconds; None without requests.
        p99: 99th percentile.
        distances: Column, or part of an output, to its distance from the reference: the Wasserstein distance of numbers, the
            largest difference of a share of texts.
        missing: Column to its share of missing values.
    """

    start: str
    hours: int
    requests: int
    failed: int
    p50: float | None
    p99: float | None
    distances: dict[str, float]
    missing: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What MLflow is told about a run of monitoring. It is kept with the state until MLflow has it.

    Attributes:
        model: Name of the model.
        version: Version.
        run_id: MLflow run that registered the version.
        end: End of the window, in ISO 8601.
        verdict: The verdict.
        reason: The reason in one line.
        metrics: Name of a metric, such as `monitoring.requests`, to its value.
    """

    model: str
    version: int
    run_id: str
    end: str
    verdict: Verdict
    reason: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Monitoring:
    """How a version of a model fared in a time window.

    Attributes:
        model: Name of the model.
        version: Version.
        start: Start of the window in UTC, in ISO 8601; full hours.
        end: End of the window, not included.
        verdict: `healthy`; `degraded`: it answers worse, or fails; `drifted`: its data or its predictions have moved;
            `no_data`: nothing was recorded.
        reason: The reason in one line.
        action: What to do.
        findings: Reasons first.
        files: Files of the log in the window.
        new_files: Those that were counted in this run.
        late_files: Those of the new ones whose hour had ended at the last run.
        rows: Rows of the version in the window.
        traffic: Requests by version and route.
        anomalies: Violations of the schema.
        skew: Drift of the inputs from the training data; None without rows or reference.
        drift: Drift of the inputs from the window before; None without rows.
        predictions: Drift of the predictions from those of the evaluation; None without rows or reference.
        points: The window in periods of equal length.
        performance: How well it answers; None without answers.
        data_version: Version of the training data.
        tiffin_version: Version of Tiffin.
        status: Location of the status of the model.
        run_id: MLflow run that registered the version.
        notes: What was left out, guessed or not compared.
        names: Input to its name in the data, of those that ingest renamed.
    """

    model: str
    version: int
    start: str
    end: str
    verdict: Verdict
    reason: str
    action: str
    findings: tuple[Finding, ...]
    files: int
    new_files: int
    late_files: int
    rows: int
    traffic: tuple[Traffic, ...]
    anomalies: tuple[Anomaly, ...]
    skew: Drift | None
    drift: Drift | None
    predictions: Drift | None
    points: tuple[Point, ...]
    performance: Performance | None
    data_version: str
    tiffin_version: str
    status: str = ""
    run_id: str = ""
    notes: tuple[Note, ...] = ()
    names: dict[str, str] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence: model, version, window, verdict and reason."""
        return f"The model '{self.model}' version {self.version} is {self.verdict.replace('_', ' ')}: {self.reason}"

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong with the model."""
        return self.verdict == "healthy"

    @property
    def cause(self) -> str:
        """Codes of the findings that decide the verdict, with their columns, sorted: `CONCEPT_DRIFT DATA_DRIFT:km,zone`."""
        columns: dict[str, set[str]] = {}
        for one in self.findings:
            if one.severity == self.verdict:
                name = re.sub(r"[\s,:]+", "_", self.names.get(one.column, one.column))
                columns.setdefault(one.code, set()).update({name} - {""})
        return " ".join(f"{code}:{','.join(sorted(names))}".rstrip(":") for code, names in sorted(columns.items()))


def own_folder(state: str, model: str) -> tuple[str, ...]:
    """Return the folder with the state of a model: below `state`, or without it, in a folder of the model's log without hours."""
    return (model,) if state else (model, FOLDER)


def find_outcomes(home: str) -> list[str]:
    """Return the locations of the outcomes that MLflow does not have yet, the oldest first.

    Args:
        home: Folder of a model's state.

    Raises:
        StorageError: The folder cannot be listed.
    """
    try:
        found = storage.list_files(storage.join(home, UNSENT))
    except InputError:  # there is none
        return []
    return sorted(file.uri for file in found if file.uri.endswith(".json"))


def write_monitoring(artifact: str | Path, monitoring: Monitoring) -> None:
    """Write a monitoring artifact."""
    documents.write(Path(artifact) / MONITORING, monitoring)


def read_monitoring(artifact: str | Path) -> Monitoring:
    """Read a monitoring artifact.

    Raises:
        InputError: The file is missing or is not a monitoring document.
    """
    return documents.read(Path(artifact) / MONITORING, Monitoring)
