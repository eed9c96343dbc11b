"""How well a version answers: with labels that have arrived, and estimated without."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np

from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import (
    Compared,
    ComparedSlice,
    Diagnosis,
    Labelled,
    Performance,
)
from tiffin.artifacts.verdict import Evaluation
from tiffin.errors import InputError, did_you_mean
from tiffin.performance import label_queries
from tiffin.performance.answers import Answers, load_answers
from tiffin.performance.comparison import check_bounds, reference_of
from tiffin.performance.diagnosis import diagnose
from tiffin.performance.joining import Joining, join
from tiffin.performance.label_sources import LabelTable, read_labels
from tiffin.performance.measured import choose_length, measure, measure_classes, measure_periods, measure_slices
from tiffin.performance.record import own_error, summarize
from tiffin.performance.rows import Rows, check_columns, read_rows
from tiffin.performance.slice_comparison import compare_all
from tiffin.performance.unlabelled import read_unlabelled
from tiffin.performance.workspace import open_workspace
from tiffin.quality.definitions import MAIN
from tiffin.serving.log_reading import Log, open_log
from tiffin.serving.prediction_log import INPUT, is_list
from tiffin.serving.recording import KEY_VARIABLE
from tiffin.stages.monitor.baseline import Baseline
from tiffin.stages.monitor.estimates import Estimator, extend_record
from tiffin.stages.monitor.parameters import (
    check_clock_skew,
    check_corrections,
    check_label_columns,
    check_slices,
    check_tolerance_hours,
)
from tiffin.stages.monitor.windows import Window, in_utc


@dataclass(frozen=True)
class Labels:
    """Where labels are, and how they are joined.

    Attributes:
        source: File, folder, glob or URI of CSV or Parquet, or a query; empty for none.
        columns: `request_id`, `key`, `row`, `time` and `label` to their names in the source.
        corrections: Rule for several labels of an answer: `last`, `first` or `refuse`.
        tolerance: Longest time from an answer to its label, if labels are joined by key and time.
        clock_skew: Longest time from a label to its answer, if labels are joined by key and time.
        slices: Inputs, or pairs of inputs, that metrics are also measured for.
        url_variable: Environment variable with the URL of the database of a query.
    """

    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    corrections: str = "last"
    tolerance: timedelta = timedelta(days=30)
    clock_skew: timedelta = timedelta(minutes=5)
    slices: tuple[tuple[str, ...], ...] = ()
    url_variable: str = label_queries.URL_VARIABLE


def assess(
    baseline: Baseline, root: str, span: Window, labels: Labels, place: str
) -> tuple[Performance | None, tuple[Note, ...]]:
    """Return how well the version answered in a window, and notes about labels; None if the window has no answers.

    Args:
        baseline: Reference of the version.
        root: Root of the prediction log.
        span: The window.
        labels: The labels.
        place: Folder of the version's state, which has the record of the estimates.

    Raises:
        InputError: The labels cannot be read, or a slice is no input.
        StorageError: The log or the state cannot be read or written.
    """
    reference, evaluation = baseline.reference, baseline.evaluation
    log = open_log(root, reference.model, span.start, span.end)
    labels = _with_final_names(labels, log, baseline.names)
    cut = list(dict.fromkeys(name for columns in labels.slices for name in columns))
    _check_slices(log, cut)
    classes = max(2, len(baseline.classes))
    if not labels.source:
        left_out = Counter[str]()
        alone = read_unlabelled(log, reference.version, baseline.task, classes=classes, left_out=left_out)
        return _estimate(baseline, span, alone, place) if len(alone.seconds) else None, _tell_answers(left_out)
    wanted = list(cut)
    if baseline.task == "regression":
        wanted += [one for one in baseline.columns if not is_list(log.columns.get(INPUT + one, "list<"))]
    with open_workspace() as workspace:
        answers = load_answers(
            workspace, log, reference.version, baseline.task, classes=classes, inputs=list(dict.fromkeys(wanted))
        )
        if not answers.rows:
            return None, ()
        table = read_labels(workspace, labels.source, dict(labels.columns), url_variable=labels.url_variable)
        joining = join(
            workspace, answers, table, classes=baseline.classes, corrections=labels.corrections,  # type: ignore[arg-type]
            tolerance=labels.tolerance, clock_skew=labels.clock_skew, secret=os.environ.get(KEY_VARIABLE, "").encode(),
        )  # fmt: skip
        rows = read_rows(answers, joining, cut, evaluation.slices if evaluation else (), baseline.names)
        found, notes = _measure(baseline, span, labels, answers, joining, rows, table, place)
        return found, (*notes, *_tell_labels(table))


def _with_final_names(labels: Labels, log: Log, names: Mapping[str, str]) -> Labels:
    """Return labels with the inputs of the log as columns of slices, which may also have their names in the data."""
    final = {old: new for new, old in names.items() if INPUT + old not in log.columns}
    return replace(labels, slices=tuple(tuple(final.get(name, name) for name in columns) for columns in labels.slices))


def _check_slices(log: Log, columns: Sequence[str]) -> None:
    """Raise an InputError unless the columns of slices are inputs of the log with one value; one without files has any."""
    known = {name.removeprefix(INPUT): kind for name, kind in log.columns.items() if name.startswith(INPUT)}
    for name in columns if log.files else ():
        if name not in known:
            raise InputError(
                f"slices should be inputs in the prediction log: {', '.join(known) or 'it has none'}. Received: '{name}'."
                f"{did_you_mean(name, known)}"
            )
    check_columns(known, columns if log.files else ())


def _estimate(baseline: Baseline, span: Window, rows: Rows, place: str) -> Performance:
    """Return how well the answers are estimated to be, and extend the record of estimates."""
    reference, estimator = baseline.reference, Estimator(baseline, rows)
    record = extend_record(place, reference.model, reference.version, span, rows, estimator)
    return Performance(
        MAIN[baseline.task], in_utc(span.start), in_utc(span.end), None, None, (), (), (), (), estimator.all(), None,
        summarize(record, reference.version), at_training=_at_training(baseline.evaluation),
    )  # fmt: skip


def _at_training(evaluation: Evaluation | None) -> dict[str, float]:
    known = reference_of(evaluation).metrics if evaluation else {}
    return {name: value for name, value in known.items() if value is not None}


def _measure(
    baseline: Baseline,
    span: Window,
    labels: Labels,
    answers: Answers,
    joining: Joining,
    rows: Rows,
    table: LabelTable,
    place: str,
) -> tuple[Performance, tuple[Note, ...]]:
    reference, evaluation = baseline.reference, baseline.evaluation
    metric, seed = MAIN[baseline.task], f"{reference.model} {reference.version}"
    outcomes = rows.outcomes()
    measured = measure(outcomes, seed, in_utc(span.start)) if outcomes.rows else None
    end = int(span.end.timestamp() * 1_000_000)
    periods = tuple(measure_periods(rows, choose_length(rows), seed, end=end, rounds=200)) if measured else ()
    parts, notes = measure_slices(rows, labels.slices, seed) if measured and labels.slices else ((), ())
    known = reference_of(evaluation) if evaluation else None
    counts = (
        np.bincount(outcomes.truth.astype(int), minlength=2).tolist()
        if baseline.task != "regression" and measured
        else None
    )
    compared: tuple[Compared, ...] = ()
    of_slices: tuple[ComparedSlice, ...] = ()
    if measured and known and evaluation:
        compared, of_slices, told = compare_all(measured, known, parts, evaluation.slices or (), counts=counts)
        notes += told
    slices = tuple(one.slice for one in parts)
    recalls = measure_classes(outcomes, baseline.classes, seed) if measured and baseline.classes else ()
    bounds = check_bounds(evaluation.checks, measured, slices, recalls) if measured and evaluation else ()
    estimator = Estimator(baseline, rows, joining.path, answers.inputs)
    estimated = estimator.all()
    diagnosis: Diagnosis | None = None
    record = extend_record(place, reference.model, reference.version, span, rows, estimator)
    if measured and known:
        own = own_error(record, reference.version, metric, in_utc(span.start))
        diagnosis = diagnose(metric, measured, known, estimator.labelled(), estimate_error=own)
    found = Performance(
        metric, in_utc(span.start), in_utc(span.end), _describe(answers, joining, table), measured, periods, slices, compared,
        bounds, estimated, diagnosis, summarize(record, reference.version), of_slices, _at_training(evaluation),
    )  # fmt: skip
    return found, notes


def _describe(answers: Answers, joining: Joining, table: LabelTable) -> Labelled:
    return Labelled(
        by=joining.by, corrections=joining.corrections, labels=joining.labels, answers=joining.answers,
        labelled=joining.labelled, repeated=joining.repeated, corrected=joining.corrected,
        contradicting=joining.contradicting, unknown=joining.unknown, unknown_example=joining.unknown_example,
        early=joining.early,
        skipped={**table.skipped, "outside": joining.outside, "without_time": joining.without_time, "invalid": joining.invalid},
        left_out={**answers.left_out, **joining.left_out, "repeated": joining.repeated_answers},
        median_delay_seconds=joining.median_delay_seconds, late_delay_seconds=joining.late_delay_seconds,
        hours=joining.hours, keys=joining.keys,
    )  # fmt: skip


def _tell_answers(left_out: Mapping[str, int]) -> tuple[Note, ...]:
    """Return notes about answers that are not in the estimate; the other rows that are left out are told by the counting."""
    texts = {
        "values": "answers have no number, and are not in the estimate",
        "range": "answers are no probability, and are not in the estimate",
        "repeated": "answers were logged again, and count once in the estimate",
    }
    return tuple(
        Note(f"ANSWERS_{code.upper()}", text, count=left_out[code])
        for code, text in texts.items()
        if left_out.get(code)
    )


def _tell_labels(table: LabelTable) -> tuple[Note, ...]:
    notes = [
        Note(f"LABELS_{one.code}", f"labels were left out: {one.text}", example=one.origin) for one in table.findings
    ]
    if table.without_zone:
        notes.append(
            Note("LABELS_WITHOUT_ZONE", "times of labels have no zone, and are taken as UTC", count=table.without_zone)
        )
    if table.invalid_times:
        notes.append(Note("LABELS_INVALID_TIME", "times of labels cannot be read", count=table.invalid_times))
    return tuple(notes)


def make_labels(
    source: str,
    columns: Mapping[str, str],
    corrections: str,
    tolerance_hours: float,
    clock_skew_seconds: float,
    slices: Sequence[Any],
) -> Labels:
    """Return where labels are, from the parameters of the component.

    Raises:
        InputError: A parameter is wrong.
    """
    check_label_columns(columns)
    check_corrections(corrections)
    check_tolerance_hours(tolerance_hours)
    check_clock_skew(clock_skew_seconds)
    check_slices(slices)
    pairs = tuple((one,) if isinstance(one, str) else tuple(map(str, one)) for one in slices)
    tolerance, skew = timedelta(hours=tolerance_hours), timedelta(seconds=clock_skew_seconds)
    return Labels(source, columns, corrections, tolerance, skew, pairs)
