"""The status of a model: its last verdict, and since when it holds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.drift import ColumnDrift, Distance
from tiffin.artifacts.monitoring import Monitoring, join_traffic, traffic_of
from tiffin.artifacts.monitoring_status import (
    COLUMNS,
    LOOKS,
    STATUS,
    ColumnFigure,
    ColumnStatus,
    Look,
    MetricStatus,
    Status,
)
from tiffin.artifacts.performance import Performance
from tiffin.errors import Conflict
from tiffin.stages.monitor.windows import in_utc

_ATTEMPTS = 5


def keep_status(place: str, found: Monitoring, made: datetime) -> str:
    """Store the status of a model, and return its location.

    Args:
        place: Folder of the model's state.
        found: The last verdict.
        made: Time of the run.

    Raises:
        Conflict: Other processes write it all the time.
        StorageError: It cannot be read or written.
    """
    uri = storage.join(place, STATUS)
    for attempt in range(_ATTEMPTS):
        state = storage.read(uri)
        before = documents.parse(state[0], Status, uri) if state else None
        try:
            storage.compare_and_swap(
                uri, documents.format_document(_next(before, found, made)), state[1] if state else None
            )
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    return uri


def _next(before: Status | None, found: Monitoring, made: datetime) -> Status:
    end = min(found.end, in_utc(made))
    is_same = before is not None and (before.version, before.verdict) == (found.version, found.verdict)
    together = join_traffic(traffic_of(found.traffic, found.version), found.version)
    quality = found.performance
    columns = found.skew.columns if found.skew else ()
    looks = (*(before.looks if before else ()), Look(end, found.version, found.verdict))[-LOOKS:]
    return Status(
        found.model, found.version, found.verdict, before.since if before and is_same else end, found.start, end, in_utc(made),
        found.reason, found.action, together.requests, together.failed, together.quantile(0.99),
        found.rows, tuple(found.names.get(one.column, one.column) for one in columns if one.drifted and one.counts),
        quality.metric if quality else "",
        quality.measured.metrics.get(quality.metric) if quality and quality.measured else None,
        quality.at_training.get(quality.metric) if quality else None,
        quality.estimated.metrics.get(quality.metric) if quality and quality.estimated else None,
        quality.measured.rows if quality and quality.measured else 0, looks,
        _column_statuses(columns, found.names), max(0, len(columns) - COLUMNS), _metric_statuses(quality),
    )  # fmt: skip


def _column_statuses(columns: Sequence[ColumnDrift], names: Mapping[str, str]) -> tuple[ColumnStatus, ...]:
    found = [
        ColumnStatus(names.get(one.column, one.column), one.drifted and one.counts, _figures(one.distances))
        for one in columns
    ]
    return tuple(sorted(found, key=_rank)[:COLUMNS])


def _figures(distances: Iterable[Distance]) -> tuple[ColumnFigure, ...]:
    return tuple(
        ColumnFigure(
            one.measure, one.value, None if one.threshold is None else _add(one.threshold, one.by_chance or 0.0)
        )
        for one in distances
        if one.value is not None
    )


def _add(threshold: float, by_chance: float) -> float:
    # In six digits, as the distances are.
    return float(f"{threshold + by_chance:.6g}")


def _rank(column: ColumnStatus) -> tuple[bool, float, str]:
    """Return what columns are sorted by: those that drifted first, then the largest part of a limit, then the name."""
    parts = [one.value / one.limit for one in column.figures if one.limit]
    return not column.drifted, -max(parts, default=0.0), column.column


def _metric_statuses(quality: Performance | None) -> tuple[MetricStatus, ...]:
    if quality is None:
        return ()
    measured, estimated = (one.metrics if one else {} for one in (quality.measured, quality.estimated))
    return tuple(
        MetricStatus(name, measured.get(name), estimated.get(name), quality.at_training.get(name))
        for name in sorted({*measured, *estimated, *quality.at_training})
    )
