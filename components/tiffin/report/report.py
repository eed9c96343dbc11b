"""The report of a run: one HTML file that opens without a network."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from altair.utils.schemapi import debug_mode
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.notifications import Notified
from tiffin.artifacts.summary import Step, StepNote, Summary
from tiffin.report import page
from tiffin.report.data import describe_data, describe_validation, listing, shortened
from tiffin.report.decision import describe_gate
from tiffin.report.drift import describe_comparison
from tiffin.report.explanation import describe_explanation
from tiffin.report.groups import describe_fairness, describe_slices
from tiffin.report.page import Block, Page, Section, Text
from tiffin.report.predictions import describe_predictions
from tiffin.report.quality import describe_quality
from tiffin.report.retraining import describe_labelled, describe_retraining, describe_rollback
from tiffin.report.training import describe_training
from tiffin.storage.files import write_bytes


def write_report(
    path: str | Path,
    summary: Summary,
    statistics: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList] | None = None,
) -> None:
    """Write the report of a run as an HTML file. The same summary and statistics give the same bytes.

    Args:
        path: Path of the file.
        summary: Summary of the run, so far.
        statistics: Name of a step to the statistics of the examples that it computed. Defaults to none.
    """
    write_bytes(path, describe(summary, statistics or {}).encode())


def describe(summary: Summary, statistics: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList]) -> str:
    """Return the report of a run as HTML; see `write_report`."""
    # Altair would check each part of a chart, which takes a tenth of the time.
    with debug_mode(False):
        sections = _sections(summary, statistics)
    facts = [
        ("data", summary.data_version),
        ("model", f"{summary.model.name} version {summary.model.version}" if summary.model else None),
        ("served at", summary.serving),
        ("stopped by", summary.stopped_by),
    ]
    return page.render(
        Page(
            title=summary.pipeline,
            state=summary.state,
            tone=page.tone_of(summary.state),
            reason=summary.reason,
            facts=[(name, value) for name, value in facts if value],
            sections=sections,
        )
    )


def _sections(summary: Summary, statistics: Mapping[str, statistics_pb2.DatasetFeatureStatisticsList]) -> list[Section]:
    """Return the sections: the decision first, then what led to it, then all notes."""
    steps = summary.steps
    manifest = next((step.examples for step in reversed(list(steps.values())) if step.examples), None)
    training = next((step.model for step in reversed(list(steps.values())) if step.model), None)
    names = {new: old for old, new in manifest.renamed.items()} if manifest else {}
    makers: list[tuple[str, Callable[[], Sequence[Block]]]] = []
    for step, decided in summary.retrainings.items():
        makers.append((f"Retraining{_of(step, summary.retrainings)}", partial(describe_retraining, decided)))
    for step, back in summary.rollbacks.items():
        makers.append((f"Rollback{_of(step, summary.rollbacks)}", partial(describe_rollback, back)))
    makers += [("Labelled answers", partial(describe_labelled, one.labelled)) for one in steps.values() if one.labelled]
    for number, (step, evaluation) in enumerate(summary.evaluations.items()):
        of, name = _of(step, summary.evaluations), f"evaluation-{number}"
        makers += [
            (f"Gate{of}", partial(describe_gate, evaluation, name)),
            (f"Metrics{of}", partial(describe_quality, evaluation, name)),
            (f"Slices{of}", partial(describe_slices, evaluation, name)),
            (f"Fairness{of}", partial(describe_fairness, evaluation, names, name)),
            (f"Explanation{of}", partial(describe_explanation, evaluation, names, name)),
        ]
    for step, found in summary.predictions.items():
        makers.append((f"Predictions{_of(step, summary.predictions)}", partial(describe_predictions, found, names)))
    trainings = {step: one.model for step, one in steps.items() if one.model}
    for number, (step, record) in enumerate(trainings.items()):
        makers.append(
            (f"Training{_of(step, trainings)}", partial(describe_training, record, names, f"training-{number}"))
        )
    validations = {step: one.anomalies for step, one in steps.items() if one.anomalies}
    for step, anomalies in validations.items():
        makers.append((f"Validation{_of(step, validations)}", partial(describe_validation, anomalies, manifest)))
    drifts = {step: one.drift for step, one in steps.items() if one.drift}
    for number, (step, drift) in enumerate(drifts.items()):
        makers.append((f"Drift{_of(step, drifts)}", partial(describe_comparison, drift, f"drift-{number}", names)))
    if manifest:
        last = next(reversed(list(statistics.values())), None) if statistics else None
        makers.append(("Data", partial(describe_data, manifest, last, training, _important(steps))))
    made = [Section(title, page.made(make)) for title, make in makers]
    notes = Section("What the steps dropped, converted or chose", _notes(summary.notes))
    told = Section("Notifications", _notifications(summary.notifications))
    unread = Section("Reports that could not be read", [Text(line) for line in summary.unread])
    return [section for section in (*made, notes, told, unread) if section.blocks]


def _notifications(notified: Sequence[Notified]) -> Sequence[Block]:
    cells = [
        (one.kind.replace("_", " "), one.subject, one.outcome, one.address, shortened(one.reason)) for one in notified
    ]
    return listing(("event", "of", "outcome", "address", "why"), cells, "lllll")


def _of(step: str, steps: Mapping[str, object]) -> str:
    """Return the end of a section's title: the step's name, if several steps have such a section."""
    return f" of {step}" if len(steps) > 1 else ""


def _important(steps: Mapping[str, Step]) -> list[str]:
    """Return the columns that the last evaluated model depends on, most important first."""
    for step in reversed(list(steps.values())):
        if step.evaluation and step.evaluation.attributions:
            return [one.column for one in step.evaluation.attributions.columns]
    return []


def _notes(notes: Sequence[StepNote]) -> Sequence[Block]:
    cells = [(n.step, n.text, n.column, "" if n.count is None else f"{n.count:,}", shortened(n.example)) for n in notes]
    return listing(("step", "what", "column", "count", "first example"), cells, "lllrl") or [Text("Nothing.")]
