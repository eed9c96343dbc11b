"""Count the files of the prediction log by hour, each once, for one version of a model.

Inputs and outputs are those of answered requests of the version: not of copies, whose inputs are those of other requests, and
not of failed ones. Requests of all versions and routes are counted as traffic.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.monitoring import LATENCIES, LogFinding, Traffic
from tiffin.drift.profiles import Numbers, Profile, count_numbers
from tiffin.drift.rows import add_profiles, count_rows
from tiffin.errors import Conflict
from tiffin.performance.answers import read_numbers
from tiffin.serving.log_reading import Log, count_threads, inspect
from tiffin.serving.prediction_log import INPUT, OUTPUT, UNNAMED_OUTPUT, LogFile, find_files
from tiffin.stages.monitor.baseline import Baseline
from tiffin.stages.monitor.hours import Hour, Store, pack, unpack
from tiffin.stages.monitor.windows import HOUR, Window

_BATCH_ROWS = 1 << 17
_ATTEMPTS = 5
_TRAFFIC = ("row", "version", "route", "code", "latency_seconds")
# Latencies at a bound are in the bin below it.
_BOUNDS = np.array(LATENCIES)


@dataclass(frozen=True)
class Counting:
    """The hours of a window.

    Attributes:
        hours: Every hour that has files.
        new: Number of files that were counted now.
        late: Those of them in hours that had ended at the last run.
        new_rows: Rows of these files.
    """

    hours: tuple[Hour, ...]
    new: int
    late: int
    new_rows: int


def count_log(store: Store, root: str, window: Window, baseline: Baseline, last: datetime | None = None) -> Counting:
    """Count the new files of a window, store the hours, and return them.

    Args:
        store: Where the hours of the version are.
        root: Root of the prediction log.
        window: The window.
        baseline: Reference of the version.
        last: Time of the last run. Defaults to none.

    Raises:
        Conflict: Other processes count the same hours all the time.
        StorageError: The log cannot be read, or the hours cannot be written.
    """
    model = baseline.reference.model
    by_hour: dict[datetime, list[LogFile]] = {}
    for file in find_files(root, model, window.start, window.end):
        by_hour.setdefault(file.hour, []).append(file)
    hours, new, late, rows = [], 0, 0, 0
    starts = window.each_hour()
    with ThreadPoolExecutor(count_threads()) as threads:
        counted = list(threads.map(lambda start: _count_hour(store, start, by_hour.get(start, []), baseline), starts))
    for start, (hour, added, added_rows) in zip(starts, counted, strict=True):
        is_late = last is not None and start + HOUR <= last
        new, late, rows = new + added, late + added * is_late, rows + added_rows
        if hour.files or hour.findings:
            hours.append(hour)
    return Counting(tuple(hours), new, late, rows)


def _count_hour(store: Store, start: datetime, files: list[LogFile], baseline: Baseline) -> tuple[Hour, int, int]:
    """Return an hour with its new files, and their number and rows."""
    for attempt in range(_ATTEMPTS):
        before, state = store.read(start)
        new = [file for file in files if _name(file) not in before.files]
        if not new:
            return before, 0, 0
        after = _add_files(before, new, start, baseline)
        try:
            store.write(after, state)
        except Conflict:
            # Another process has counted some of the files.
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        added = sum(after.files.values()) - sum(before.files.values())
        return after, len(after.files) - len(before.files), added
    raise AssertionError("unreachable")


def _name(file: LogFile) -> str:
    return file.uri.rsplit("/", 1)[-1]


def _add_files(hour: Hour, files: Sequence[LogFile], start: datetime, baseline: Baseline) -> Hour:
    """Return an hour with the rows of files added, one file at a time: a file that fails midway adds nothing."""
    counted, findings = dict(hour.files), []
    columns, outputs = unpack(hour.columns, baseline.columns), unpack(hour.outputs, baseline.outputs)
    traffic, skipped, rows = {(t.version, t.route): t for t in hour.traffic}, Counter(hour.skipped), hour.rows
    for file in files:
        log = inspect([file], start, start + HOUR)
        part = _Part(baseline)
        for batch in log.batches(_wanted(log, baseline), _BATCH_ROWS) if log.files else ():
            part.add(batch)
        if log.findings:
            findings += [LogFinding(one.code, _name(file), one.text) for one in log.findings]
            continue
        columns, outputs = (
            add_profiles(columns, part.columns, baseline.columns),
            add_profiles(outputs, part.outputs, baseline.outputs),
        )
        for key, one in part.traffic.items():
            traffic[key] = _add_traffic(traffic[key], one) if key in traffic else one
        skipped += part.skipped
        rows += part.rows
        counted[_name(file)] = log.rows
    return replace(
        hour, files=dict(sorted(counted.items())), findings=tuple(findings), rows=rows, skipped=dict(sorted(skipped.items())),
        traffic=tuple(one for _, one in sorted(traffic.items())), columns=pack(columns), outputs=pack(outputs),
    )  # fmt: skip


def _wanted(log: Log, baseline: Baseline) -> list[str]:
    names = [f"{INPUT}{name}" for name in baseline.columns]
    outputs = (f"{OUTPUT}{baseline.output}", UNNAMED_OUTPUT)
    return [*_TRAFFIC, *(name for name in (*names, *outputs) if name in log.columns)]


class _Part:
    """What was counted of one file."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self.columns: dict[str, Profile] = {}
        self.outputs: dict[str, Profile] = {}
        self.traffic: dict[tuple[int, str], Traffic] = {}
        self.skipped: Counter[str] = Counter()
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        for one in _count_traffic(found):
            key = one.version, one.route
            self.traffic[key] = _add_traffic(self.traffic[key], one) if key in self.traffic else one
        wanted = np.ones(batch.num_rows, bool)
        for reason, holds in (
            ("versions", pc.equal(found["version"], self._baseline.reference.version)),
            ("mirror", pc.not_equal(found["route"], "mirror")),
            ("failed", pc.equal(found["code"], "OK")),
        ):
            mask = np.asarray(pc.fill_null(holds, False))
            self.skipped[reason] += int((wanted & ~mask).sum())
            wanted &= mask
        inputs = [array for name, array in found.items() if name.startswith(INPUT)]
        if inputs:
            # A request that names no input is of another signature, such as `recipe`.
            named = np.any([np.asarray(array.is_valid()) for array in inputs], axis=0)
            self.skipped["signatures"] += int((wanted & ~named).sum())
            wanted &= named
        self.skipped = +self.skipped
        rows = batch if wanted.all() else batch.filter(pa.array(wanted))
        self.rows += rows.num_rows
        if rows.num_rows:
            self._add_rows(rows)

    def _add_rows(self, rows: pa.RecordBatch) -> None:
        baseline = self._baseline
        names = {name: name.removeprefix(INPUT) for name in rows.schema.names if name.startswith(INPUT)}
        self.columns = add_profiles(self.columns, count_rows(rows, baseline.columns, names), baseline.columns)
        width = max(1, len(baseline.classes)) if baseline.task == "multiclass" else 1
        numbers = np.full((rows.num_rows, width), np.nan)
        for name in (UNNAMED_OUTPUT, f"{OUTPUT}{baseline.output}"):
            if name in rows.schema.names:
                found = read_numbers(rows.column(rows.schema.get_field_index(name)), width)
                known = np.isfinite(found).all(axis=1)
                numbers[known] = found[known]
        places = (
            {f"{baseline.output}[{name}]": number for number, name in enumerate(baseline.classes)} if width > 1 else {}
        )
        counted: dict[str, Profile] = {
            name: count_numbers(_as_evaluated(numbers[:, places.get(name, 0)], like.edges), like.edges)
            for name, like in baseline.outputs.items()
            if isinstance(like, Numbers)
        }
        self.outputs = add_profiles(self.outputs, counted, baseline.outputs)


def _as_evaluated(numbers: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Return numbers in the type that the model has them in: by REST, a float32 arrives with other digits behind its own."""
    is_short = all(float(np.float32(edge)) == edge for edge in edges)
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32) if is_short else numbers


def _count_traffic(columns: dict[str, Any]) -> list[Traffic]:
    """Return the requests of a batch: those whose first row is in it."""
    first = np.asarray(pc.fill_null(pc.equal(columns["row"], 0), False))
    version = pc.fill_null(columns["version"], 0).to_numpy(zero_copy_only=False)
    (routes, route), (codes, code) = (_encode(columns[name]) for name in ("route", "code"))
    seconds = pc.fill_null(columns["latency_seconds"], float("nan")).to_numpy(zero_copy_only=False)
    found = []
    for number in np.unique(version):
        of_version = version == number
        for place, name in sorted(enumerate(routes), key=lambda pair: pair[1]):
            rows = of_version & (route == place)
            if not rows.any():
                continue
            chosen = rows & first
            counts = dict(zip(codes, np.bincount(code[chosen], minlength=len(codes)).tolist(), strict=True))
            known = seconds[chosen & np.isfinite(seconds)]
            bins = np.bincount(np.searchsorted(_BOUNDS, known, side="left"), minlength=len(LATENCIES) + 1)
            errors = {key: count for key, count in sorted(counts.items()) if count and key != "OK"}
            found.append(Traffic(int(number), name, int(chosen.sum()), int(rows.sum()), errors, tuple(bins.tolist())))
    return found


def _encode(texts: pa.Array) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts, and the place of that of each row; a missing one is an empty text."""
    encoded = pc.fill_null(texts, "").dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def _add_traffic(one: Traffic, other: Traffic) -> Traffic:
    errors = Counter(one.errors) + Counter(other.errors)
    latencies = tuple(a + b for a, b in zip(one.latencies, other.latencies, strict=True))
    return replace(
        one, requests=one.requests + other.requests, rows=one.rows + other.rows, errors=dict(sorted(errors.items())),
        latencies=latencies,
    )  # fmt: skip


def sum_traffic(hours: Sequence[Hour]) -> tuple[Traffic, ...]:
    """Return the requests of hours by version and route."""
    found: dict[tuple[int, str], Traffic] = {}
    for one in (traffic for hour in hours for traffic in hour.traffic):
        key = one.version, one.route
        found[key] = _add_traffic(found[key], one) if key in found else one
    return tuple(one for _, one in sorted(found.items()))
