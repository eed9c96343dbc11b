"""The status of a model: the last verdict about it, with the figures that are shown and published.

`stages/monitor` keeps it with the state of the monitoring; `tiffin monitor status` and the metrics page read it.
"""

from dataclasses import dataclass

from tiffin.artifacts.drift import Measure
from tiffin.artifacts.monitoring import Verdict

STATUS = "status.json"
LOOKS = 60
# Columns of which a status has the figures. A model may have thousands, and each is a series for Prometheus.
COLUMNS = 50


@dataclass(frozen=True)
class Look:
    """One run of monitoring: the end of its window, in ISO 8601, the version, and the verdict."""

    end: str
    version: int
    verdict: Verdict


@dataclass(frozen=True)
class ColumnFigure:
    """A distance of an input from the training data.

    Attributes:
        measure: The measure, see `tiffin.artifacts.drift.Distance`.
        value: The distance.
        limit: Distance above which the input may have drifted: what it is by chance, plus the threshold. None if it is not
            judged.
    """

    measure: Measure
    value: float
    limit: float | None


@dataclass(frozen=True)
class ColumnStatus:
    """How far an input has moved from the training data.

    Attributes:
        column: Its name in the data.
        drifted: Whether it drifted and counts.
        figures: Its distances; none for a column that one side does not have.
    """

    column: str
    drifted: bool
    figures: tuple[ColumnFigure, ...]


@dataclass(frozen=True)
class MetricStatus:
    """A metric of the answers.

    Attributes:
        metric: Name of the metric.
        measured: Value in the rows with labels; None without labels.
        estimated: Estimate without labels; None without one.
        training: Value at training; None if unknown.
    """

    metric: str
    measured: float | None
    estimated: float | None
    training: float | None


@dataclass(frozen=True)
class Status:
    """The last verdict about a model, kept with the state of its monitoring.

    Attributes:
        model: Name of the model.
        version: Version.
        verdict: The verdict.
        since: End of the first window with this verdict about this version, without another one in between, in ISO 8601.
        start: Start of the last window.
        end: End of the last window.
        made: Time of the last run.
        reason: The reason in one line.
        action: What to do.
        requests: Recorded requests of the version, without copies.
        failed: Those that failed.
        p99_seconds: 99th percentile of the latency; None without requests.
        rows: Rows of the version.
        drifted: Inputs that drifted from the training data and count, by their names in the data.
        metric: Main metric; empty without answers.
        value: Value in the rows with labels; None without labels.
        at_training: Value at training; None if unknown.
        estimated: Estimate without labels; None without one.
        labelled: Number of answers with a label.
        looks: The last 60 runs, the newest last.
        columns: Inputs that drifted and count first, then by distance as a share of its limit; at most 50.
        columns_left_out: Number of further inputs.
        metrics: All metrics of the answers, by name.
    """

    model: str
    version: int
    verdict: Verdict
    since: str
    start: str
    end: str
    made: str
    reason: str
    action: str
    requests: int
    failed: int
    p99_seconds: float | None
    rows: int
    drifted: tuple[str, ...]
    metric: str
    value: float | None
    at_training: float | None
    estimated: float | None
    labelled: int
    looks: tuple[Look, ...]
    columns: tuple[ColumnStatus, ...] = ()
    columns_left_out: int = 0
    metrics: tuple[MetricStatus, ...] = ()
