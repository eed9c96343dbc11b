"""Submitting: a run of a published version on a backend, in an experiment, followed until it ends."""

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from tiffin.errors import BackendError
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.publication import Published, equals, find_or_make, pages
from tiffin.specs.progress import State, StepProgress, shown
from tiffin.specs.spec import Spec

_ENDED = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}
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
    """A run on a backend, as far as it has come.

    Attributes:
        published: What runs.
        run_id: As the backend knows it.
        experiment: Name of the experiment.
        url: Where the dashboard shows it.
        steps: With their state and time.
        state: `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED`, `CANCELED`, as the backend calls it.
        reason: Why it failed; empty if it did not, or nobody said.
        stopped_by: The gate that stopped it, such as `evaluation`; None if none did.
        seconds: From its start on the backend to its end; None before the end.
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

    @property
    def exit_status(self) -> int:
        """0 for success, 3 for a gate, 1 for any other failure, as of `tiffin run`."""
        if self.state == "SUCCEEDED":
            return 0
        return 3 if self.stopped_by else 1

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
            "seconds": self.seconds,
            "steps": [{"name": step.name, "state": step.state, "seconds": step.seconds} for step in self.steps],
        }


def find_experiment(backend: Backend, name: str) -> str:
    """Return the id of an experiment, made where there is none of that name."""
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
    """Return what a run and a recurring run have in common, as the API takes it.

    Args:
        published: What runs.
        experiment_id: Of `find_experiment`.
        arguments: Values of parameters.
        service_account: That the run's pods act as. Defaults to the backend's.
        pipeline_root: Where artifacts go, such as gs://bucket/runs. Defaults to the backend's.
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
        backend: Of `connect`.
        spec: What was published.
        published: Of `publish_spec`.
        experiment: Name of the experiment.
        name: Of the run, as the dashboard shows it.
        settings: Of `run_settings`.

    Raises:
        BackendError: The backend does not answer, or refuses.
    """
    try:
        run = request(backend, "POST", "/apis/v2beta1/runs", body={"display_name": name, **settings})
    except BackendError as error:
        if error.status and error.status < 500:
            raise
        # A run is not sent again: each time it is, it runs.
        raise BackendError(f"{error} Look for the run '{name}' before you submit again: it may have started.") from None
    steps = [StepProgress(step.name) for step in spec.steps]
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
    """Show a run's steps on `stream` until it ends, and fill in how it ended.

    Args:
        backend: Of `connect`.
        spec: What runs.
        submission: Of `submit_run`.
        stream: Standard output or error.
        timeout_seconds: How long to follow it. Defaults to until it ends.
        poll_seconds: Time between two looks.

    Raises:
        BackendError: The backend did not answer for minutes, or the time is up. The run goes on.
    """
    started = time.monotonic()
    with shown(submission.steps, f"{submission.published.version} at {submission.url}", stream) as changed:
        while True:
            # Ten attempts, with pauses of up to ten seconds, outlast a restart of the API server.
            run = request(backend, "GET", f"/apis/v2beta1/runs/{submission.run_id}", attempts=10)
            submission.state = run.get("state", "PENDING")
            for step in _take_states(submission.steps, run):
                changed(step)
            if submission.state in _ENDED:
                break
            if timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
                raise BackendError(
                    f"The run should have ended within {timeout_seconds:g} s. Received: {submission.state}. "
                    f"It goes on: {submission.url}"
                )
            time.sleep(poll_seconds)
        for step in submission.steps:
            if step.state in {"waiting", "running"}:
                # What never began lies on a branch that was not taken, or behind the failure.
                step.end("skipped" if step.state == "waiting" else "interrupted")
    _conclude(submission, spec, run)


def show_end(submission: Submission, stream: TextIO) -> None:
    """Say in a line or two how a run ended."""
    stopped = f", stopped by {submission.stopped_by}" if submission.stopped_by else ""
    seconds = "" if submission.seconds is None else f" in {submission.seconds:.0f} s"
    print(f"\n{submission.published.version} {submission.state}{seconds}{stopped}", file=stream)
    if submission.reason:
        print(f" reason  {submission.reason}", file=stream)
    print(f" run     {submission.url}", file=stream)


def _take_states(steps: list[StepProgress], run: Mapping[str, Any]) -> list[StepProgress]:
    """Bring the steps up to date, and return those that changed."""
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for task in run.get("run_details", {}).get("task_details", []):
        tasks.setdefault(task.get("display_name", ""), []).append(task)
    changed = []
    for step in steps:
        # A step's driver fails where an input, a secret or a volume is not to be had; then the step never begins.
        drivers = [task for task in tasks.get(f"{step.name}-driver", []) if task.get("state") == "FAILED"]
        found = [*tasks.get(step.name, []), *drivers]
        if not found:
            continue
        # In a loop one step has several tasks.
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


def _conclude(submission: Submission, spec: Spec, run: Mapping[str, Any]) -> None:
    submission.seconds = _seconds(run.get("created_at"), run.get("finished_at"))
    if submission.state == "SUCCEEDED":
        return
    gates = {step.name: step.gate for step in spec.steps if step.gate}
    failed = [step.name for step in submission.steps if step.state == "failed"]
    submission.stopped_by = next((gates[name] for name in failed if name in gates), None)
    said = run.get("error", {}).get("message", "")
    if submission.stopped_by:
        submission.reason = f"The gate {submission.stopped_by} did not pass; its step's log says why."
    elif failed:
        submission.reason = f"The step {failed[0]} failed" + (f": {said}" if said else "; its log says why.")
    else:
        submission.reason = said or f"The run ended as {submission.state}."


def _seconds(start: str | None, end: str | None) -> float | None:
    """Return the time between two timestamps; None where one is missing, or is the zero that stands for none."""
    if not start or not end or start.startswith("1970") or end.startswith(("1970", "0001")):
        return None
    first, last = (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start, end))
    return max((last - first).total_seconds(), 0.0)
