"""Monitor a version of a model over a time window of the prediction log, and give a verdict."""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import Finding, Monitoring, join_traffic, own_folder, traffic_of, write_monitoring
from tiffin.artifacts.monitoring_status import STATUS
from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import Performance
from tiffin.drift.comparison import Sides, compare
from tiffin.drift.limits import LEVEL, Limits, read_limits
from tiffin.drift.profiles import Profile, Texts
from tiffin.errors import Conflict
from tiffin.serving.prediction_log import find_hours, resolve_log_root
from tiffin.stages.monitor.anomalies import check_inputs
from tiffin.stages.monitor.baseline import Baseline, read_baseline
from tiffin.stages.monitor.counting import Counting, count_log, sum_traffic
from tiffin.stages.monitor.hours import Store, add_up, digest_bins
from tiffin.stages.monitor.judging import decide, judge_data, judge_performance, judge_predictions, judge_traffic
from tiffin.stages.monitor.outcomes import keep_outcome
from tiffin.stages.monitor.parameters import check_error_share, check_p99_seconds
from tiffin.stages.monitor.performance import Labels, assess
from tiffin.stages.monitor.points import make_points
from tiffin.stages.monitor.status import keep_status
from tiffin.stages.monitor.windows import Window, find_window, in_utc
from tiffin.version import __version__

LOG_ROOT = "TIFFIN_LOG_ROOT"
_LAST = "last.json"
_HASH = re.compile("[0-9a-f]{64}")
# Columns whose distances over time are shown.
_MOST_SHOWN = 24


@dataclass(frozen=True)
class Rules:
    """What is allowed.

    Attributes:
        skew: What inputs and outputs may differ by from the reference.
        drift: What inputs may differ by from the window before.
        max_error_share: Share of failed requests.
        max_p99_seconds: 99th percentile of the latency; 0 for any.
    """

    skew: Limits = field(default_factory=Limits)
    drift: Limits = field(default_factory=Limits)
    max_error_share: float = 0.01
    max_p99_seconds: float = 0.0


@dataclass(frozen=True)
class Last:
    """The last run: the end of its window, in ISO 8601, and its verdict."""

    end: str
    verdict: str


def monitor(
    reference: str | Path,
    output: str | Path,
    *,
    log_root: str = "",
    window: str = "24h",
    state: str = "",
    thresholds: Mapping[str, Any] | None = None,
    level: float = LEVEL,
    max_error_share: float = 0.01,
    max_p99_seconds: float = 0.0,
    labels: Labels = Labels(),  # noqa: B008 - frozen
    performance_window: str = "",
    now: datetime | None = None,
) -> Monitoring:
    """Write the monitoring artifact of the version that a reference is of, and return it.

    Args:
        reference: Folder of the reference artifact.
        output: Folder to write the monitoring artifact to.
        log_root: Root of the prediction log; empty for TIFFIN_LOG_ROOT.
        window: `24h`, `7d`, `2w`, or `last` for the time since the last run. Defaults to `24h`.
        state: Path or URI that keeps what was counted; empty for the log root.
        thresholds: What inputs and outputs may differ by, as `tiffin.drift.limits` reads it. Defaults to its defaults.
        level: Share of false discoveries of drift, above 0 and below 1. Defaults to 0.005.
        max_error_share: Share of failed requests that is allowed, from 0 to 1. Defaults to 0.01.
        max_p99_seconds: 99th percentile of the latency that is allowed. Defaults to 0: any.
        labels: Labels that have arrived. Defaults to none.
        performance_window: Window of the answers whose quality is measured and estimated, since labels come late. Defaults to
            `window`.
        now: End of the windows. Defaults to the time.

    Raises:
        InputError: The reference is none, or a parameter is wrong.
        StorageError: The log cannot be read, or the state cannot be written.
    """
    check_error_share(max_error_share)
    check_p99_seconds(max_p99_seconds)
    baseline = read_baseline(reference)
    skew, drift = (read_limits(thresholds, baseline.schema, comparator, level) for comparator in ("skew", "drift"))
    rules = Rules(skew, drift, max_error_share, max_p99_seconds)
    root = resolve_log_root(log_root or os.environ.get(LOG_ROOT, ""))
    home = storage.join(resolve_log_root(state) if state else root, *own_folder(state, baseline.reference.model))
    place = storage.join(home, str(baseline.reference.version))
    last = _read_last(place)
    moment = now or datetime.now(UTC)
    ended = datetime.fromisoformat(last.end) if last else None
    span = find_window(window, moment, ended)
    store = Store(place, digest_bins(baseline.columns, baseline.outputs))
    counting = count_log(store, root, span, baseline, ended)
    before = count_log(store, root, span.before, baseline)
    own = find_window(performance_window, moment, None) if performance_window else span
    performance, told = assess(baseline, root, own, labels, place)
    found = _assess(baseline, span, counting, before, rules, root, performance)
    uri = storage.join(home, STATUS)
    found = replace(found, notes=(*found.notes, *told), status=uri, run_id=baseline.reference.run_id)
    if dropped := keep_outcome(home, found, moment):
        text = "verdicts that MLflow did not get for a long time were dropped"
        found = replace(found, notes=(*found.notes, Note("OUTCOMES_DROPPED", text, count=dropped)))
    write_monitoring(output, found)
    # After the result: an attempt that is killed before does all of it again, and counts nothing twice.
    keep_status(home, found, moment)
    _write_last(place, Last(in_utc(moment), found.verdict))
    return found


def _read_last(place: str) -> Last | None:
    uri = storage.join(place, _LAST)
    found = storage.read(uri)
    return documents.parse(found[0], Last, uri) if found else None


def _write_last(place: str, last: Last) -> None:
    uri = storage.join(place, _LAST)
    before = storage.read(uri)
    # Another run at the same time has written its own end, which is as good.
    with contextlib.suppress(Conflict):
        storage.compare_and_swap(uri, documents.format_document(last), before[1] if before else None)


def _assess(
    baseline: Baseline,
    span: Window,
    counting: Counting,
    before: Counting,
    rules: Rules,
    root: str,
    performance: Performance | None,
) -> Monitoring:
    reference = baseline.reference
    inputs, outputs = add_up(counting.hours, baseline.columns, baseline.outputs)
    earlier, _ = add_up(before.hours, baseline.columns, baseline.outputs)
    notes = [*baseline.notes, *_tell_files(counting)]
    inputs, left_out = _recorded(inputs, baseline)
    notes += left_out
    rows = sum(hour.rows for hour in counting.hours)
    traffic = sum_traffic(counting.hours)
    known = {name: baseline.columns[name] for name in inputs}
    log = f"the log of version {reference.version}"
    skew = predictions = drift = None
    if rows and known:
        training = Sides("the training data", log, reference.data_version, baseline.names, "statistics", "rows")
        skew = compare(known, inputs, training, rules.skew, baseline.importance)
        if earlier:
            both = {name: one for name, one in earlier.items() if name in inputs}
            sides = Sides("the window before", log, "", baseline.names, "rows", "rows")
            drift = compare(both, {name: inputs[name] for name in both}, sides, rules.drift, baseline.importance)
    if rows and baseline.outputs and outputs:
        evaluation = Sides("the evaluation", log, reference.data_version, {}, "rows", "rows")
        predictions = compare(baseline.outputs, outputs, evaluation, rules.skew)
    anomalies = check_inputs(inputs, rows, baseline.schema) if baseline.schema else ()
    findings = judge_traffic(traffic, reference.version, rules.max_error_share, rules.max_p99_seconds)
    importance = {one.column: one.counts for one in skew.columns} if skew else {}
    findings += judge_data(skew, anomalies, importance, baseline.names)
    findings += judge_predictions(predictions)
    findings += judge_performance(performance, baseline.evaluation)
    has_data = bool(join_traffic(traffic_of(traffic, reference.version), reference.version).requests)
    if not has_data:
        findings.insert(0, _nothing(baseline, span, counting, root))
    verdict, reason, action, findings_ranked = decide(findings, reference.model, has_data=has_data)
    shown = [one.column for one in (skew.columns if skew else ())][:_MOST_SHOWN]
    return Monitoring(
        model=reference.model, version=reference.version, start=in_utc(span.start), end=in_utc(span.end), verdict=verdict,
        reason=reason, action=action, findings=findings_ranked, files=sum(len(hour.files) for hour in counting.hours),
        new_files=counting.new, late_files=counting.late, rows=rows, traffic=traffic, anomalies=anomalies, skew=skew,
        drift=drift, predictions=predictions,
        points=make_points(counting.hours, span, reference.version, baseline.columns, baseline.outputs, shown),
        performance=performance, data_version=reference.data_version, tiffin_version=__version__, notes=tuple(notes),
        names={name: baseline.names[name] for name in baseline.columns if name in baseline.names},
    )  # fmt: skip


def _tell_files(counting: Counting) -> list[Note]:
    notes = []
    if counting.late:
        text = "files of the log came after the hour had been monitored, and were added to it"
        notes.append(Note("LATE_FILES", text, count=counting.late))
    for code in ("UNREADABLE", "FOREIGN", "GONE"):
        if found := [one for hour in counting.hours for one in hour.findings if one.code == code]:
            notes.append(
                Note(
                    code,
                    "files of the log were left out",
                    count=len(found),
                    example=f"{found[0].file}: {found[0].text}",
                )
            )
    skipped: dict[str, int] = {}
    for hour in counting.hours:
        for reason, count in hour.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    texts = {
        "versions": "rows of other versions",
        "mirror": "copies, whose inputs are those of other requests",
        "failed": "rows of failed requests",
        "signatures": "rows of other signatures",
    }
    notes += [
        Note(f"SKIPPED_{reason.upper()}", f"{texts[reason]} are in the traffic only", count=count)
        for reason, count in sorted(skipped.items())
    ]
    return notes


def _recorded(inputs: dict[str, Profile], baseline: Baseline) -> tuple[dict[str, Profile], list[Note]]:
    """Return the inputs that can be compared, and notes about those that the log does not have, or only as hashes."""
    absent = [name for name in baseline.columns if name not in inputs] if inputs else []
    hashed = [name for name, one in inputs.items() if _is_hashed(one)]
    notes = []
    if absent:
        notes.append(
            Note(
                "NOT_RECORDED",
                "inputs are not in the prediction log, and not compared",
                count=len(absent),
                example=baseline.names.get(absent[0], absent[0]),
            )
        )
    if hashed:
        notes.append(
            Note(
                "HASHED",
                "inputs are in the prediction log as hashes, and not compared",
                count=len(hashed),
                example=baseline.names.get(hashed[0], hashed[0]),
            )
        )
    return {name: one for name, one in inputs.items() if name not in hashed}, notes


def _is_hashed(one: Profile) -> bool:
    return isinstance(one, Texts) and bool(one.counts) and all(map(_HASH.fullmatch, one.counts))


def _nothing(baseline: Baseline, span: Window, counting: Counting, root: str) -> Finding:
    """Return why there is nothing to monitor."""
    model, version = baseline.reference.model, baseline.reference.version
    when = f"from {in_utc(span.start)} to {in_utc(span.end)}"
    others = sorted({one.version for hour in counting.hours for one in hour.traffic if one.version not in (0, version)})
    if others:
        text = f"the log of '{model}' has no answers of version {version} {when}, but of version {', '.join(map(str, others))}"
        return Finding("OTHER_VERSIONS", "info", text)
    hours = find_hours(root, model)
    if not hours:
        return Finding("NO_LOG", "info", f"there is no prediction log of '{model}' at '{root}'")
    text = f"the log of '{model}' has no requests {when}; the newest are of {in_utc(hours[-1])}"
    return Finding("NO_REQUESTS", "info", text)
