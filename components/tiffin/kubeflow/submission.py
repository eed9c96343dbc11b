"""Submitting: starts a run of a published version in an experiment, and follows it until it ends."""

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from tiffin.errors import BackendError
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.logs import log_command, read_log
from tiffin.kubeflow.publication import Published, equals, find_or_make, pages
from tiffin.printing import printable
from tiffin.specs.logs import error_line
from tiffin.specs.progress import State, StepProgress, shown
from tiffin.specs.spec import Spec

# Lines of a failed step's log that are shown, as by `tiffin run`.
_LOG_LINES = 12
ENDED = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}
_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "SKIPPED": "skipped",
    "FAILED": "failed",
    "CANCELED": "interrupted",
}


@dataclass
class Submission:
    """A run on a backend and its progress.

    Attributes:
        published: Version that runs.
        run_id: ID of the run on the backend.
        experiment: Name of the experiment.
        url: URL of the run in the dashboard.
        steps: Steps with their state and duration.
        state: State on the backend: `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `CANCELED`.
        reason: Reason of the failure; empty if the run did not fail.
        stopped_by: Gate that stopped the run, such as `evaluation`; None if no gate did.
        seconds: Duration in seconds; None before the end.
        failed_step: Name of the step whose failure ended the run, unless a gate stopped it; None if there is none.
        log: Last lines of that step's log; empty if the backend did not return it.
        log_command: Command line that prints the log.
        waits: Names of the steps whose model waits for approval once they have succeeded.
    """

    published: Published
    run_id: str
    experiment: str
    url: str
    steps: list[StepProgress] = field(default_factory=list)
    state: str = "PENDING"
    reason: str = ""
    stopped_by: str | None = None
    seconds: float | None = None
    failed_step: str | None = None
    log: list[str] = field(default_factory=list)
    log_command: str = ""
    waits: tuple[str, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether the run succeeded and its model waits for approval."""
        done = {step.name for step in self.steps if step.state == "succeeded"}
        return self.state == "SUCCEEDED" and bool(done & set(self.waits))

    @property
    def exit_status(self) -> int:
        """0 for success, 3 for a run stopped by a gate, 4 for approval, 1 for any other failure, as of `tiffin run`."""
        if self.state == "SUCCEEDED":
            return 4 if self.is_waiting else 0
        return 3 if self.stopped_by else 1

    @property
    def failed_title(self) -> str:
        """Display name of the failed step; empty if there is none."""
        return next((step.title for step in self.steps if step.name == self.failed_step), "")

    def to_json(self) -> dict[str, Any]:
        """Return the object of `tiffin submit --json`."""
        return {
            **self.published.to_json(),
            "run_id": self.run_id,
            "experiment": self.experiment,
            "url": self.url,
            "state": self.state,
            "reason": self.reason,
            "stopped_by": self.stopped_by,
            "waiting": self.is_waiting,
            "seconds": self.seconds,
            "failed_step": self.failed_step,
            "log": self.log,
            "steps": [{"name": step.name, "state": step.state, "seconds": step.seconds} for step in self.steps],
        }


def find_experiment(backend: Backend, name: str) -> str:
    """Return the ID of an experiment; create it if it does not exist."""
    path = "/apis/v2beta1/experiments"
    query = {"namespace": backend.namespace, "filter": equals("display_name", name)}
    found, _ = find_or_make(
        lambda: next(
            (item for item in pages(backend, path, "experiments", query) if item["display_name"] == name), None
        ),
        lambda: request(backend, "POST", path, body={"display_name": name, "namespace": backend.namespace}),
    )
    experiment_id: str = found["experiment_id"]
    return experiment_id


def run_settings(
    published: Published,
    experiment_id: str,
    arguments: Mapping[str, Any],
    service_account: str = "",
    pipeline_root: str = "",
) -> dict[str, Any]:
    """Return the API fields that runs and recurring runs share.

    Args:
        published: Version to run.
        experiment_id: Return value of `find_experiment`.
        arguments: Parameter values.
        service_account: Service account the pods run as. Defaults to the backend's.
        pipeline_root: Location of the artifacts, such as gs://bucket/runs. Defaults to the backend's.
    """
    settings: dict[str, Any] = {
        "experiment_id": experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": published.pipeline_id,
            "pipeline_version_id": published.version_id,
        },
        "runtime_config": {"parameters": dict(arguments)},
    }
    if pipeline_root:
        settings["runtime_config"]["pipeline_root"] = pipeline_root
    if service_account:
        settings["service_account"] = service_account
    return settings


def submit_run(
    backend: Backend, spec: Spec, published: Published, experiment: str, name: str, settings: Mapping[str, Any]
) -> Submission:
    """Start a run.

    Args:
        backend: Return value of `connect`.
        spec: Spec that was published.
        published: Return value of `publish_spec`.
        experiment: Name of the experiment.
        name: Display name of the run.
        settings: Return value of `run_settings`.

    Raises:
        BackendError: The backend did not respond, or returned an error.
    """
    try:
        run = request(backend, "POST", "/apis/v2beta1/runs", body={"display_name": name, **settings})
    except BackendError as error:
        if error.status and error.status < 500:
            raise
        # Not retried: each request starts another run.
        raise BackendError(f"{error} The run '{name}' may have started: look for it before you submit again.") from None
    steps = [
        StepProgress(step.name, title=step.title, is_gate=step.gate is not None, is_nested=step.is_nested)
        for step in spec.steps
    ]
    return Submission(published, run["run_id"], experiment, backend.run_url(run["run_id"]), steps)


def follow_run(
    backend: Backend,
    spec: Spec,
    submission: Submission,
    stream: TextIO,
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = 3,
) -> None:
    """Show a run's steps on `stream` until the run ends, and update `submission`.

    Args:
        backend: Return value of `connect`.
        spec: Spec of the run.
        submission: Return value of `submit_run`.
        stream: Standard output or error.
        timeout_seconds: Maximum time to wait, in seconds. Defaults to no limit.
        poll_seconds: Time between two requests, in seconds. Defaults to 3.

    Raises:
        BackendError: The backend did not respond for minutes, or the timeout expired. The run continues.
    """
    started = time.monotonic()
    title = f"{submission.published.version} at {submission.url}"
    with shown(submission.steps, title, stream, redirect_stderr=True) as changed:
        while True:
            # Ten attempts, up to ten seconds apart, cover a restart of the API server.
            run = request(backend, "GET", f"/apis/v2beta1/runs/{submission.run_id}", attempts=10)
            submission.state = run.get("state", "PENDING")
            for step in take_states(submission.steps, run):
                changed(step)
            if submission.state in ENDED:
                break
            if timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
                raise BackendError(
                    f"The run did not end within {timeout_seconds:g} s; its state is {submission.state}. "
                    f"It continues: {submission.url}"
                )
            time.sleep(poll_seconds)
        for step in submission.steps:
            if step.state in {"waiting", "running"}:
                # A step that never started is on a branch not taken, or after the failed step.
                step.end("skipped" if step.state == "waiting" else "interrupted")
    conclude(backend, submission, spec, run)


def show_end(submission: Submission, stream: TextIO) -> None:
    """Print how a run ended, with the last log lines of a failed step."""
    if submission.log:
        print(f"\nLast log lines of {submission.failed_title}:", file=stream)
        for line in submission.log:
            print(f"  {printable(line.expandtabs())}", file=stream)
    elif submission.failed_step:
        print(
            f"\nThe backend returned no log of {submission.failed_title}. See {printable(submission.url)}, or run: "
            f"{printable(submission.log_command)}",
            file=stream,
        )
    stopped = f", stopped by {submission.stopped_by}" if submission.stopped_by else ""
    stopped += ", waiting for approval" if submission.is_waiting else ""
    seconds = "" if submission.seconds is None else f" in {submission.seconds:.0f} s"
    print(f"\n{printable(submission.published.version)} {submission.state}{seconds}{stopped}", file=stream)
    if submission.reason:
        print(f" reason  {printable(submission.reason)}", file=stream)
    print(f" run     {printable(submission.url)}", file=stream)


def take_states(steps: list[StepProgress], run: Mapping[str, Any]) -> list[StepProgress]:
    """Update the steps, and return those that changed."""
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for task in run.get("run_details", {}).get("task_details", []):
        tasks.setdefault(task.get("display_name", ""), []).append(task)
    changed = []
    for step in steps:
        # A step's driver fails if an input, a secret or a volume is missing; then the step itself never starts.
        drivers = [task for task in tasks.get(f"{step.name}-driver", []) if task.get("state") == "FAILED"]
        found = [*tasks.get(step.name, []), *drivers]
        if not found:
            continue
        # In a loop, one step has several tasks.
        states = [_STATES.get(task.get("state", ""), "waiting") for task in found]
        state = next(
            (state for state in ("failed", "interrupted", "running", "waiting", "succeeded") if state in states),
            "skipped",
        )
        seconds = [_seconds(task.get("start_time"), task.get("end_time")) for task in found]
        if state != step.state:
            if state == "running":
                step.started = time.monotonic()
            elif state in {"succeeded", "failed"}:
                step.seconds = max((value for value in seconds if value is not None), default=None)
            step.state = state  # type: ignore[assignment]
            changed.append(step)
    return changed


def conclude(backend: Backend, submission: Submission, spec: Spec, run: Mapping[str, Any]) -> None:
    """Set duration, reason and the log of the failed step of a run that ended."""
    submission.seconds = _seconds(run.get("created_at"), run.get("finished_at"))
    if submission.is_waiting:
        submission.reason = "The model waits for approval. See it with: tiffin models list"
    if submission.state == "SUCCEEDED":
        return
    gates = {step.name: step.gate for step in spec.steps if step.gate}
    failed = [step.name for step in submission.steps if step.state == "failed"]
    stop = next((name for name in failed if name in gates), None)
    # Empty in KFP 2.17.
    detail = run.get("error", {}).get("message", "")
    if stop:
        submission.stopped_by = gates[stop]
        submission.reason = error_line(read_log(backend, spec, stop, run)) or (
            f"The gate {submission.stopped_by} did not pass; see its step's log."
        )
    elif failed:
        submission.failed_step = failed[0]
        submission.log_command = log_command(backend, submission.run_id)
        lines = read_log(backend, spec, failed[0], run)
        submission.log = lines[-_LOG_LINES:]
        detail = error_line(lines) or detail
        submission.reason = f"The step {submission.failed_title} failed" + (
            f": {detail}" if detail else "; see its log."
        )
    else:
        submission.reason = detail or f"The run ended with state {submission.state}."


def _seconds(start: str | None, end: str | None) -> float | None:
    """Return the seconds between two timestamps; None if one is missing or a zero timestamp."""
    if not start or not end or start.startswith("1970") or end.startswith(("1970", "0001")):
        return None
    first, last = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    return max((last - first).total_seconds(), 0.0)
