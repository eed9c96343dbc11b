"""The summary artifact: the outcome of a run and the reports of its steps."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import ANOMALIES, Anomalies
from tiffin.artifacts.deployment import DEPLOYMENT, Deployment
from tiffin.artifacts.drift import DRIFT, Drift
from tiffin.artifacts.examples import MANIFEST, Manifest
from tiffin.artifacts.labelled import LABELLED, LabelledRows
from tiffin.artifacts.model import TRAINING, Training
from tiffin.artifacts.monitoring import MONITORING, Monitoring
from tiffin.artifacts.notes import Note, by_severity
from tiffin.artifacts.notifications import NOTIFIED, Notifications, Notified
from tiffin.artifacts.predictions import PREDICTIONS, Predictions
from tiffin.artifacts.reference import Reference
from tiffin.artifacts.registration import REGISTRATION, Registration
from tiffin.artifacts.retraining import RETRAINING, Retraining
from tiffin.artifacts.rollback import ROLLBACK, Rollback
from tiffin.artifacts.rollout import ROLLOUT, RolloutResult
from tiffin.artifacts.run_files import REFERENCE, find_files
from tiffin.artifacts.steps import split_step
from tiffin.artifacts.verdict import VERDICT, Evaluation, Verdict
from tiffin.errors import InputError, StorageError

_SUMMARY = "summary.json"
# Pages of the exit step, beside its summary: the report of the run, and the card of its model.
REPORT_PAGE = "report.html"
CARD_PAGE = "card.html"
# File name of a report to its field of `Step` and its type.
_REPORTS: dict[str, tuple[str, type[Any]]] = {
    MANIFEST: ("examples", Manifest),
    ANOMALIES: ("anomalies", Anomalies),
    TRAINING: ("model", Training),
    VERDICT: ("evaluation", Evaluation),
    REGISTRATION: ("registration", Registration),
    DEPLOYMENT: ("deployment", Deployment),
    ROLLOUT: ("rollout", RolloutResult),
    REFERENCE: ("reference", Reference),
    PREDICTIONS: ("predictions", Predictions),
    MONITORING: ("monitoring", Monitoring),
    DRIFT: ("drift", Drift),
    RETRAINING: ("retraining", Retraining),
    LABELLED: ("labelled", LabelledRows),
    ROLLBACK: ("rollback", Rollback),
    NOTIFIED: ("notifications", Notifications),
}


@dataclass(frozen=True)
class Step:
    """The reports of a step: the documents in its artifacts; None for those that it does not write."""

    examples: Manifest | None = None
    anomalies: Anomalies | None = None
    model: Training | None = None
    evaluation: Evaluation | None = None
    registration: Registration | None = None
    deployment: Deployment | None = None
    rollout: RolloutResult | None = None
    reference: Reference | None = None
    predictions: Predictions | None = None
    monitoring: Monitoring | None = None
    drift: Drift | None = None
    retraining: Retraining | None = None
    labelled: LabelledRows | None = None
    rollback: Rollback | None = None
    notifications: Notifications | None = None

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes of its reports."""
        reports = (
            self.examples, self.anomalies, self.model, self.evaluation, self.deployment, self.reference, self.predictions,
            self.monitoring, self.drift, self.retraining, self.labelled,
        )  # fmt: skip
        return tuple(note for report in reports if report for note in report.notes)


@dataclass(frozen=True)
class RegisteredModel:
    """Name and version of a registered model."""

    name: str
    version: int


@dataclass(frozen=True)
class StepNote:
    """A note of a step: the step's name, and the fields of the note."""

    step: str
    code: str
    column: str
    count: int | None
    example: str
    text: str


def noted(step: str, note: Note) -> StepNote:
    """Return a note with the name of its step."""
    return StepNote(step, note.code, note.column, note.count, note.example, note.text)


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    `metrics` and `verdict` come from the last evaluation, by step name, that failed its gate, or from the last one if all
    passed. `data_version`, `model` and `serving` come from the last step that reported one. `steps` contains all reports.

    Attributes:
        pipeline: Name of the pipeline.
        state: SUCCEEDED, FAILED, or WAITING if the run succeeded and its model waits for approval.
        reason: Why the run failed, or what it waits for; the verdict's reason if it succeeded, and how its rollout ended.
        stopped_by: The gate that stopped the run: `validation`, `evaluation`, `rollout` or None.
        data_version: Version of the data.
        metrics: Metrics of the evaluation; empty without an evaluation.
        verdict: Verdict of the gate; None without an evaluation.
        model: The registered model; None if the run registered none.
        serving: Address of the model server; None if the run deployed no model.
        steps: Name of a step to its reports, sorted by name.
        unread: One error message per report that could not be read.
        notes: What the steps dropped, converted or guessed, by step, most severe first.
        run: ID of the pipeline run; empty if the pipeline does not pass it to the exit step.
        notifications: Who was notified of what, and who was not, with the reason.
    """

    pipeline: str
    state: str
    reason: str
    stopped_by: str | None
    data_version: str | None
    metrics: dict[str, float | None]
    verdict: Verdict | None
    model: RegisteredModel | None
    serving: str | None
    steps: dict[str, Step]
    unread: tuple[str, ...] = ()
    notes: tuple[StepNote, ...] = ()
    run: str = ""
    notifications: tuple[Notified, ...] = ()

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The evaluations by name of the step."""
        return {name: step.evaluation for name, step in self.steps.items() if step.evaluation}

    @property
    def models(self) -> dict[str, RegisteredModel]:
        """The registered models by name of the step."""
        found = {name: step.registration for name, step in self.steps.items() if step.registration}
        return {name: RegisteredModel(one.name, one.version) for name, one in found.items()}

    @property
    def predictions(self) -> dict[str, Predictions]:
        """The predictions by name of the step: those of all parts, not of each; once for a folder."""
        return find_predictions(self.steps)

    @property
    def monitorings(self) -> dict[str, Monitoring]:
        """The verdicts about models in production by name of the step."""
        return {name: step.monitoring for name, step in self.steps.items() if step.monitoring}

    @property
    def retrainings(self) -> dict[str, Retraining]:
        """The decisions whether a model is trained again by name of the step."""
        return {name: step.retraining for name, step in self.steps.items() if step.retraining}

    @property
    def rollbacks(self) -> dict[str, Rollback]:
        """The versions that were taken out of production by name of the step."""
        return {name: step.rollback for name, step in self.steps.items() if step.rollback}


def find_predictions(steps: Mapping[str, Step]) -> dict[str, Predictions]:
    """Return the predictions by name of the step: those of all parts, not of each; once for a folder."""
    found = {name: step.predictions for name, step in steps.items() if step.predictions}
    whole = {one.location: (name, one) for name, one in found.items() if one.part is None}
    return dict(sorted(whole.values(), key=lambda item: item[0]))


def write_summary(artifact: str | Path, summary: Summary) -> None:
    """Write a summary artifact."""
    documents.write(Path(artifact) / _SUMMARY, summary)


def read_summary(artifact: str | Path) -> Summary:
    """Read a summary artifact.

    Raises:
        InputError: The file is missing or is not a summary.
    """
    return documents.read(Path(artifact) / _SUMMARY, Summary)


def find_notes(folder: str | Path) -> tuple[tuple[Note, ...], Path | None]:
    """Return the notes in a step's reports on local disk, and the file of the first report that has some.

    Reports that cannot be read have no notes; `find_reports` returns their errors.
    """
    notes: list[Note] = []
    first = None
    with contextlib.suppress(StorageError):
        for path in find_files(str(folder), set(_REPORTS)):
            with contextlib.suppress(InputError):
                found = getattr(documents.read(path, _REPORTS[Path(path).name][1]), "notes", ())
                first = first or (Path(path) if found else None)
                notes += found
    return tuple(by_severity(notes)), first


def find_reports(run_uri: str) -> Iterator[tuple[str, str, Any]]:
    """Yield the reports of a run: the step's name, the field of `Step`, and the document.

    A file with the name of a report and other content, such as a component's own manifest.json or a truncated one, is
    yielded as an InputError.

    KFP stores artifacts in `<run>/<step>/<execution>/<artifact>/`, local runs in `<run>/<step>/<artifact>/`. Later
    executions of a step, such as the iterations of a loop, are named `<step>.2` and so on.

    Raises:
        StorageError: The location cannot be listed or read.
    """
    executions: dict[str, list[str]] = defaultdict(list)
    for uri in find_files(run_uri, set(_REPORTS)):
        step, [*between, name] = split_step(uri[len(run_uri) :])
        field, kind = _REPORTS[name]
        document: Any
        try:
            content, _ = storage.read(uri) or (b"", "")
            document = documents.parse(content, kind, uri)
        except InputError as error:
            yield step, field, error
            continue
        execution = "/".join(between[:-1])
        if execution not in executions[step]:
            executions[step].append(execution)
        number = executions[step].index(execution) + 1
        yield step if number == 1 else f"{step}.{number}", field, document
