"""What MLflow is told about each run of monitoring. The files are sent, and removed, by the step that ends a run."""

import contextlib
from datetime import datetime

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import UNSENT, Monitoring, Outcome, find_outcomes, join_traffic, traffic_of
from tiffin.errors import Conflict

# Outcomes that wait for MLflow at most: of more, the oldest are dropped.
_MOST = 200


def keep_outcome(home: str, found: Monitoring, made: datetime) -> int:
    """Store the outcome of a run for MLflow, and return how many older ones were dropped.

    Args:
        home: Folder of the model's state.
        found: The verdict.
        made: Time of the run.

    Raises:
        StorageError: The state cannot be written.
    """
    if not found.run_id:
        return 0
    name = f"{made:%Y%m%dT%H%M%S%f}-{found.version}.json"
    uri = storage.join(home, UNSENT, name)
    state = storage.read(uri)
    outcome = Outcome(
        found.model, found.version, found.run_id, min(found.end, made.isoformat(timespec="seconds")), found.verdict,
        found.reason, _metrics(found),
    )  # fmt: skip
    # Another run of the same moment has written the same.
    with contextlib.suppress(Conflict):
        storage.compare_and_swap(uri, documents.format_document(outcome), state[1] if state else None)
    waiting = find_outcomes(home)
    for one in waiting[:-_MOST]:
        storage.delete(one)
    return max(0, len(waiting) - _MOST)


def _metrics(found: Monitoring) -> dict[str, float]:
    """Return the figures of a run, by their name in MLflow."""
    together = join_traffic(traffic_of(found.traffic, found.version), found.version)
    values: dict[str, float | None] = {
        "requests": float(together.requests),
        "failed": float(together.failed),
        "rows": float(found.rows),
        "drifted_inputs": float(sum(one.drifted and one.counts for one in (found.skew.columns if found.skew else ()))),
        "healthy": float(found.is_healthy),
    }
    quality = found.performance
    for start, measured in (("", quality and quality.measured), ("estimated_", quality and quality.estimated)):
        values |= {f"{start}{name}": value for name, value in (measured.metrics.items() if measured else ())}
    return {f"monitoring.{name}": value for name, value in sorted(values.items()) if value is not None}
