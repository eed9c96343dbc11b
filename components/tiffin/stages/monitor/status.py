"""The status of a model: its last verdict, and since when it holds."""

from datetime import datetime

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import LOOKS, STATUS, Look, Monitoring, Status, join_traffic, traffic_of
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
    )  # fmt: skip
