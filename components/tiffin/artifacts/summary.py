"""The summary artifact: how a run ended, and what each of its steps reported."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import ANOMALIES, Anomalies
from tiffin.artifacts.deployment import DEPLOYMENT, Deployment
from tiffin.artifacts.examples import MANIFEST, Manifest
from tiffin.artifacts.model import TRAINING, Training
from tiffin.artifacts.registration import REGISTRATION, Registration
from tiffin.artifacts.verdict import VERDICT, Evaluation, Verdict
from tiffin.errors import InputError

_SUMMARY = "summary.json"
# File name -> the field of `Step`, and what the file holds.
_REPORTS: dict[str, tuple[str, type[Any]]] = {
    MANIFEST: ("examples", Manifest),
    ANOMALIES: ("anomalies", Anomalies),
    TRAINING: ("model", Training),
    VERDICT: ("evaluation", Evaluation),
    REGISTRATION: ("registration", Registration),
    DEPLOYMENT: ("deployment", Deployment),
}


@dataclass(frozen=True)
class Step:
    """What a step reported: the documents in its artifacts; None for those that it does not write."""

    examples: Manifest | None = None
    anomalies: Anomalies | None = None
    model: Training | None = None
    evaluation: Evaluation | None = None
    registration: Registration | None = None
    deployment: Deployment | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """Name and version of a registered model."""

    name: str
    version: int


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    `metrics` and `verdict` are those of the last evaluation, by the steps' names, that failed its gate; of the last one
    if all passed. `data_version`, `model` and `serving` are those of the last step that reported one. `steps` has all.

    Attributes:
        pipeline: Name of the pipeline.
        state: SUCCEEDED or FAILED.
        reason: Why; the verdict's reason if the run succeeded.
        stopped_by: The gate that stopped it: `validation`, `evaluation` or None.
        data_version: Digest of the content of the data.
        metrics: Of the evaluation; empty if there is none.
        verdict: Of the gate.
        model: What was registered.
        serving: Address at which the model is served.
        steps: Name of a step to what it reported, in order of the names.
        unread: Why reports are missing in `steps`, one line each; empty if all could be read.
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

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """Name of a step to its evaluation of a model."""
        return {name: step.evaluation for name, step in self.steps.items() if step.evaluation}

    @property
    def models(self) -> dict[str, RegisteredModel]:
        """Name of a step to the model that it registered."""
        found = {name: step.registration for name, step in self.steps.items() if step.registration}
        return {name: RegisteredModel(one.name, one.version) for name, one in found.items()}


def write_summary(artifact: str | Path, summary: Summary) -> None:
    """Write a summary artifact."""
    documents.write(Path(artifact) / _SUMMARY, summary)


def read_summary(artifact: str | Path) -> Summary:
    """Read a summary artifact.

    Raises:
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / _SUMMARY, Summary)


def find_reports(run_uri: str) -> Iterator[tuple[str, str, Any]]:
    """Yield what the steps of a run reported: the step's name, the field of `Step`, and the document.

    A file that has the name of a report and is none, such as a component's own manifest.json or one that was cut short,
    is yielded as the InputError that says so.

    KFP keeps artifacts at `<run>/<step>/<execution>/<artifact>/`, and on one machine at `<run>/<step>/<artifact>/`. The
    later executions of a step, such as the rounds of a loop, are named `<step>.2` and so on.

    Raises:
        StorageError: The place cannot be listed or read.
    """
    executions: dict[str, list[str]] = defaultdict(list)
    for uri in storage.find(run_uri, set(_REPORTS)):
        step, *between, name = uri[len(run_uri) :].strip("/").split("/")
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
