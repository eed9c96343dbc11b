"""Models in production for the tests of metrics: statuses and a serving root, written by the code that writes them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.serving_roots import ADA, make_saved_model, put
from tiffin.artifacts.drift import ColumnDrift, Distance, Drift
from tiffin.artifacts.monitoring import FOLDER, LATENCIES, Monitoring, Traffic, Verdict
from tiffin.artifacts.performance import Estimate, Measurement, Performance
from tiffin.rollout.document import Rollout, write_rollout
from tiffin.rollout.plan import Limits, Step
from tiffin.serving.root import ServedModel
from tiffin.stages.monitor.status import keep_status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
START, END = "2026-03-01T00:00:00+00:00", "2026-03-01T12:00:00+00:00"


def distance(value: float | None, threshold: float | None = 0.1, measure: Any = "wasserstein") -> Distance:
    """Return a distance that is 0.01 by chance."""
    return Distance(measure, value, 0.01, None, None, threshold, None, None, drifted=False)


def column(name: str, *distances: Distance, drifted: bool = False, counts: bool = True) -> ColumnDrift:
    """Return the drift of a column."""
    return ColumnDrift(name, "numbers", drifted, "", 100, 50, 0.0, 0.0, distances, (), None, counts)


def make_monitoring(
    verdict: Verdict = "healthy",
    columns: Sequence[ColumnDrift] = (),
    measured: Mapping[str, float | None] | None = None,
    estimated: Mapping[str, float | None] | None = None,
    training: Mapping[str, float] | None = None,
    **changed: Any,
) -> Monitoring:
    """Return what a run of the monitoring has found: 40 requests of version 3, of which 2 failed."""
    latencies = [0] * (len(LATENCIES) + 1)
    latencies[8] = 38
    quality = Performance(
        "auc", START, END, None, Measurement(30, dict(measured), {}, {}) if measured is not None else None, (), (), (), (),
        Estimate(40, dict(estimated), {}, {}, "evaluation", fixed=False) if estimated is not None else None, None, (), (),
        dict(training or {}),
    )  # fmt: skip
    found: dict[str, Any] = {
        "model": "taxi", "version": 3, "start": START, "end": END, "verdict": verdict, "reason": "The reason.",
        "action": "Nothing.", "findings": (), "files": 1, "new_files": 1, "late_files": 0, "rows": 45,
        "traffic": (Traffic(3, "stable", 40, 45, {"INTERNAL": 2}, tuple(latencies)),), "anomalies": (),
        "skew": Drift(False, "", "", "", 100, 50, 0.005, tuple(columns)), "drift": None, "predictions": None, "points": (),
        "performance": quality, "data_version": "d1", "tiffin_version": "0.1.0",
    }  # fmt: skip
    return Monitoring(**found | changed)


def keep(log_root: Path | str, found: Monitoring, made: datetime = NOON) -> str:
    """Store the status of a model in the state of its monitoring; return its location."""
    return keep_status(f"{log_root}/{found.model}/{FOLDER}", found, made)


def serve_versions(root: Path | str, folder: Path, *versions: int, model: str = "taxi") -> ServedModel:
    """Promote versions of a model in a serving root, one after the other.

    Args:
        root: The serving root.
        folder: An empty folder for the SavedModel.
        *versions: The versions.
        model: Name of the model.
    """
    served = ServedModel(str(root), model)
    put(served, make_saved_model(folder), *versions)
    return served


def begin_rollout(served: ServedModel, version: int, stable: int, **changed: Any) -> Rollout:
    """Write a rollout that is at the second of two steps."""
    steps = (Step(mirror=100), Step(weight=25))
    found: dict[str, Any] = {
        "id": "r", "version": version, "stable": stable, "strategy": "canary", "steps": steps, "limits": Limits(),
        "sticky": "", "author": ADA, "started": "2026-03-01T10:00:00+00:00", "phase": "running", "outcome": "", "step": 1,
        "since": "2026-03-01T11:00:00+00:00", "reason": "", "by": "",
    }  # fmt: skip
    rollout = Rollout(**found | changed)
    write_rollout(served, rollout, None)
    return rollout
