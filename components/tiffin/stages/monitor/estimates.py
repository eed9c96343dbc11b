"""Estimates of how well a version answers, without labels, and their record: how good they were when labels came."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.performance import Estimate, Measurement, Record
from tiffin.errors import Conflict
from tiffin.performance.calibrated import find_map
from tiffin.performance.comparison import reference_of
from tiffin.performance.estimation import estimate
from tiffin.performance.losses import add_losses, estimate_losses, fit_losses, losses_of
from tiffin.performance.measured import measure
from tiffin.performance.record import extend, make_entries
from tiffin.performance.rows import Rows
from tiffin.performance.workspace import BATCH_ROWS
from tiffin.stages.monitor.baseline import Baseline
from tiffin.stages.monitor.windows import HOUR, Window, in_utc

RECORD = "estimates.json"
_DAY = 24 * 3600


class Estimator:
    """Estimates of the metrics of answers, without their labels.

    Probabilities are calibrated by the evaluation: labels of the window itself would hide that the relation of inputs and
    labels has changed. Losses of a regression are estimated from labels for the answers that do not have one yet.

    Args:
        baseline: Reference of the version.
        rows: The answers.
        path: Parquet file of the answers with their labels. Defaults to none.
        inputs: Inputs in that file, to their kinds. Defaults to none.
    """

    def __init__(
        self, baseline: Baseline, rows: Rows, path: Path | None = None, inputs: Mapping[str, str] | None = None
    ) -> None:
        evaluation = baseline.evaluation
        self._rows, self._path, self._inputs = rows, path, inputs or {}
        self._seed = f"{baseline.reference.model} {baseline.reference.version}"
        curve = evaluation.calibration if evaluation else None
        self._map = find_map(curve) if baseline.task != "regression" else None
        known = reference_of(evaluation) if evaluation else None
        self._losses = losses_of(curve, known) if baseline.task == "regression" and known else None

    def all(self) -> Estimate | None:
        """Return the estimate of all answers."""
        if self._map is not None:
            return estimate(self._rows.answer, self._map, self._seed)
        fitted = fit_losses(self._path, self._inputs) if self._path else None
        return estimate_losses(fitted, self._path) if fitted and self._path else self._of_losses()

    def labelled(self) -> Estimate | None:
        """Return the estimate of the answers that have a label, for their very labels."""
        if self._map is not None:
            return estimate(self._rows.answer[self._rows.labelled], self._map, self._seed, fixed=True)
        return self._of_losses(self._rows.labelled, fixed=True)

    def between(self, start: int, end: int) -> Estimate | None:
        """Return the estimate of the answers from one time to another, in seconds since 1970."""
        seconds = self._rows.seconds + self._rows.start // 1_000_000
        wanted = (seconds >= start) & (seconds < end)
        if self._map is None:
            return self._of_losses(wanted)
        chosen = self._rows.answer[wanted]
        return estimate(chosen, self._map, self._seed, start, rounds=200) if len(chosen) else None

    def _of_losses(self, wanted: np.ndarray | None = None, *, fixed: bool = False) -> Estimate | None:
        """Return the estimate of a regression by the losses of its evaluation."""
        answer = self._rows.answer if wanted is None else self._rows.answer[wanted]
        batches = (
            pa.record_batch([pa.array(answer[start : start + BATCH_ROWS])], ["score_0"])
            for start in range(0, len(answer), BATCH_ROWS)
        )
        return add_losses(self._losses, batches, fixed=fixed) if self._losses else None


def extend_record(place: str, model: str, version: int, span: Window, rows: Rows, estimator: Estimator) -> Record:
    """Return the record of estimates with those of the full days of the window, and the values that labels have shown.

    Args:
        place: Folder of the version's state, which has the record.
        model: Name of the model.
        version: Its version.
        span: The window.
        rows: The answers.
        estimator: Estimates of their metrics.

    Raises:
        StorageError: The record cannot be read or written.
    """
    uri = storage.join(place, RECORD)
    state = storage.read(uri)
    before = documents.parse(state[0], Record, uri) if state else Record(model)
    after = before
    first = rows.start // 1_000_000
    for start in _days(span):
        begin, end = int(start.timestamp()), int(start.timestamp()) + _DAY
        estimated = estimator.between(begin, end)
        if estimated is None or not estimated.rows:
            continue
        wanted = (rows.seconds + first >= begin) & (rows.seconds + first < end)
        outcomes = rows.outcomes(wanted)
        realised: Measurement | None = measure(outcomes, model, begin, rounds=200) if outcomes.rows else None
        stop = datetime.fromtimestamp(end, UTC)
        after = extend(after, make_entries(in_utc(start), in_utc(stop), version, estimated, realised))
    if after != before:
        # Another run at the same time has extended it; the next one adds what that did not have.
        with contextlib.suppress(Conflict):
            storage.compare_and_swap(uri, documents.format_document(after), state[1] if state else None)
    return after


def _days(span: Window) -> list[datetime]:
    """Return the start of each full day of UTC in a window, except one that is not over: the last hour of a window has begun."""
    start = span.start.astimezone(UTC)
    first = start.replace(hour=0) + timedelta(days=start.hour > 0)
    days = []
    while first + timedelta(days=1) <= span.end - HOUR:
        days.append(first)
        first += timedelta(days=1)
    return days
