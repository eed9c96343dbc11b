"""The result of a run: collected from its steps and its summary, and written as JSON."""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiffin.artifacts import documents
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.monitoring import Monitoring
from tiffin.artifacts.notifications import Notified
from tiffin.artifacts.predictions import Predictions
from tiffin.artifacts.retraining import Retraining
from tiffin.artifacts.rollback import Rollback
from tiffin.artifacts.summary import REPORT_PAGE, RegisteredModel, Summary, noted, read_summary
from tiffin.artifacts.verdict import Evaluation, Verdict
from tiffin.errors import InputError
from tiffin.local.records import STATUSES, database, find_page, find_summaries, write_record
from tiffin.local.step_logs import error_line, tail
from tiffin.printing import printable
from tiffin.specs.progress import StepProgress
from tiffin.stages.traits import database_uri
from tiffin.version import __version__

_FROM_SUMMARY = (
    "data_version", "metrics", "verdict", "model", "serving", "stopped_by", "evaluations", "models", "predictions",
    "monitorings", "retrainings", "rollbacks", "notifications", "unread",
)  # fmt: skip


@dataclass
class Run:
    """The result of a run.

    Attributes:
        pipeline: Name of the pipeline.
        version: Version of the spec; None if unknown.
        folder: Folder of the run's artifacts and logs.
        steps: Steps with name, state, duration and log.
        state: RUNNING, SUCCEEDED, FAILED, CANCELED, or WAITING if the run succeeded and its model waits for approval.
        reason: Reason of the failure, or what the run waits for; empty if it succeeded.
        started: Start of this attempt, in ISO 8601 with the time zone.
        seconds: Duration of this attempt in seconds.
        stopped_by: Gate that stopped the run, such as `evaluation`; None if no gate did.
        data_version: Digest of the data.
        metrics: Metrics of the evaluation; with several models, of one of them.
        verdict: Verdict of the gate; with several models, of one of them.
        model: Name and version of the registered model.
        serving: Address of the server that serves the model; None if it is not running any more.
        evaluations: Step name -> evaluation.
        models: Step name -> registered model.
        predictions: Step name -> predictions of a batch.
        monitorings: Step name -> verdict about a model in production.
        retrainings: Step name -> decision whether a model is trained again.
        rollbacks: Step name -> version that was taken out of production.
        notifications: Who was notified of what, and who was not.
        unread: Reports of steps that could not be read, with the reason, one line each.
        warnings: Faults that did not fail a step, such as a lost helper process, one line each.
        left_server: Address of the model server that the run started and left running; None if there is none.
        report: The report of the run, a page of the exit step; None if it was not written.
        tracking_uri: MLflow tracking URI that the run was logged to, masked; None if it was not.
        parameters: Parameters whose values differ from the defaults.
        defaults: The other parameters.
        options: How the run was started: `docker`, `cold` and `stop_server`.
        directory: Working directory, which relative paths in parameters start from.
        attempts: The attempts before this one, first to last: `started`, `state`, `reason` and `seconds` of each.
    """

    pipeline: str
    version: str | None
    folder: Path
    steps: list[StepProgress] = field(default_factory=list)
    state: str = "FAILED"
    reason: str = ""
    seconds: float = 0
    stopped_by: str | None = None
    data_version: str | None = None
    metrics: dict[str, float | None] | None = None
    verdict: Verdict | None = None
    model: RegisteredModel | None = None
    serving: str | None = None
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    models: dict[str, RegisteredModel] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    monitorings: dict[str, Monitoring] = field(default_factory=dict)
    retrainings: dict[str, Retraining] = field(default_factory=dict)
    rollbacks: dict[str, Rollback] = field(default_factory=dict)
    notifications: tuple[Notified, ...] = ()
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_server: str | None = None
    report: Path | None = None
    tracking_uri: str | None = None
    started: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    options: dict[str, bool] = field(default_factory=dict)
    directory: str = ""
    attempts: tuple[dict[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """ID of the run, in MLflow, in its summary, in the history of deployments and for reuse: the folder's name."""
        return self.folder.name

    @property
    def exit_status(self) -> int:
        """0 if the run succeeded, 3 if a gate stopped it, 4 if its model waits for approval, 1 if it failed otherwise."""
        if self.state in STATUSES:
            return STATUSES[self.state]
        return 3 if self.stopped_by else 1

    @property
    def failed_step(self) -> StepProgress | None:
        """The first failed step; None if no step failed."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def title_of(self, name: str) -> str:
        """Return the display name of a step."""
        return next((step.title for step in self.steps if step.name == name), printable(name))

    def find_artifact(self, step: str, name: str) -> Path:
        """Return the folder of a step's output artifact.

        Args:
            step: Name of the step; `*` for any step.
            name: Name of the component's output.

        Raises:
            InputError: There is no such artifact.
        """
        for path in sorted((self.folder / "artifacts").rglob(f"{step}/{name}")):
            return path
        raise InputError(f"No artifact '{name}' of step '{step}' in '{self.folder}'.")

    def save(self, started: float) -> None:
        """Write the record of the run, with its duration up to now.

        Args:
            started: Start of this attempt, in seconds of time.monotonic.
        """
        self.seconds = time.monotonic() - started
        write_record(self.folder, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tiffin run --json` prints, and that is the run's record."""
        return {
            "pipeline": self.pipeline,
            "version": self.version,
            "run": self.id,
            "state": self.state,
            "reason": self.reason,
            "stopped_by": self.stopped_by,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "parameters": self.parameters,
            "defaults": self.defaults,
            "options": self.options,
            "directory": self.directory,
            "tiffin": __version__,
            "attempts": list(self.attempts),
            "steps": [
                {
                    "name": step.name,
                    "title": step.title,
                    "state": step.state,
                    "seconds": None if step.seconds is None else round(step.seconds, 3),
                    "log": None if step.log is None else str(step.log),
                }
                for step in self.steps
            ],
            "data_version": self.data_version,
            "metrics": self.metrics,
            "verdict": documents.to_json(self.verdict),
            "model": documents.to_json(self.model),
            "serving": self.serving,
            "report": None if self.report is None else str(self.report),
            "tracking_uri": self.tracking_uri,
            "evaluations": {
                step: {"metrics": found.metrics, "verdict": documents.to_json(found.verdict)}
                for step, found in self.evaluations.items()
            },
            "models": documents.to_json(self.models),
            "predictions": {
                step: {
                    "model": found.model,
                    "versions": found.versions,
                    "data_version": found.data_version,
                    "rows": found.rows,
                    "files": len(found.files),
                    "reused": found.reused,
                    "location": found.location,
                }
                for step, found in self.predictions.items()
            },
            "monitorings": {
                step: {
                    "model": found.model,
                    "version": found.version,
                    "start": found.start,
                    "end": found.end,
                    "verdict": found.verdict,
                    "reason": found.reason,
                    "action": found.action,
                    "findings": documents.to_json(found.findings),
                    "rows": found.rows,
                    "files": found.files,
                    "new_files": found.new_files,
                    "late_files": found.late_files,
                }
                for step, found in self.monitorings.items()
            },
            "retrainings": {
                step: {
                    "model": found.model,
                    "version": found.version,
                    "trigger": found.trigger,
                    "cause": found.cause,
                    "code": found.code,
                    "reason": found.reason,
                    "action": found.action,
                    "spans": list(found.spans),
                }
                for step, found in self.retrainings.items()
            },
            "rollbacks": documents.to_json(self.rollbacks),
            "notifications": documents.to_json(self.notifications),
            "unread": list(self.unread),
            "warnings": list(self.warnings),
            "notes": [documents.to_json(noted(step.name, note)) for step in self.steps for note in step.notes],
        }


def conclude(run: Run, problem: str) -> None:
    """Set the state, reason and results of a run, from the exit step's summary if there is one.

    Args:
        run: A run whose steps have ended; modified.
        problem: Error message of kfp; empty if there was none.
    """
    summary = _find_summary(run.folder)
    run.report = find_page(run.folder, REPORT_PAGE)
    # The logs of these steps are not shown.
    run.warnings += tuple(line.removeprefix(WARNING) for line in find_lines(run, WARNING))
    failed = run.failed_step
    run.state = "FAILED" if failed or problem else summary.state if summary else "SUCCEEDED"
    if summary:
        for name in _FROM_SUMMARY:
            setattr(run, name, getattr(summary, name))
    if run.state == "WAITING" and summary:
        run.reason = summary.reason
    if run.state == "FAILED":
        logged = error_line(failed.log) if failed and failed.log else None
        summarized = summary.reason if summary and summary.state == "FAILED" else None
        # The summary explains only gates: kfp passes its exit step the status of a failed step, but not the error.
        known = (summarized, logged) if run.stopped_by else (logged, summarized)
        run.reason = next(filter(None, known), f"The step {failed.title} failed." if failed else problem)


def own_tracking_uri(run: Run) -> str:
    """Return the tracking URI of the database in the state folder of a run."""
    return database_uri(database(run.folder.parents[1]))


def find_lines(run: Run, start: str) -> list[str]:
    """Return the lines that start with a text in the logs of the gates that stopped a run, and of steps that succeeded."""
    ended = [step.log for step in run.steps if step.log and (step.is_gate or step.has_outputs)]
    return [line for log in ended for line in tail(log, 200) if line.startswith(start)]


def _find_summary(folder: Path) -> Summary | None:
    for path in find_summaries(folder):
        with contextlib.suppress(InputError):
            return read_summary(path)
    return None
