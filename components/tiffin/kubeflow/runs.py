"""The runs of a backend as `tiffin runs` shows them, and their cancellation and retry."""

import datetime
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError, InputError, did_you_mean
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.logs import log_command, read_log
from tiffin.kubeflow.publication import Published, pages
from tiffin.kubeflow.submission import ENDED, Submission, conclude, take_states
from tiffin.specs.overview import RunOverview, StepOverview
from tiffin.specs.parameters import masked_value
from tiffin.specs.progress import StepProgress
from tiffin.specs.services import find_waiting
from tiffin.specs.spec import Spec, read_spec

STATES = ("PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED")
_PATH = "/apis/v2beta1/runs"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Matches of an ambiguous RUN that an error names.
_SHOWN = 5


@dataclass(frozen=True)
class BackendRun:
    """A run on a backend.

    Attributes:
        backend: The backend.
        run: The run with its tasks, from the API.
        spec: Its spec; without steps if the version of its pipeline was deleted.
        submission: Its steps, and how it ended.
    """

    backend: Backend
    run: Mapping[str, Any]
    spec: Spec
    submission: Submission

    @property
    def overview(self) -> RunOverview:
        """The run as `tiffin runs show` shows it."""
        found = self.submission
        values = _parameters(self.run)
        parameters = self.spec.parameters
        different = {
            name: value for name, value in values.items() if name not in parameters or value != parameters[name].default
        }
        defaults = {name: about.default for name, about in parameters.items() if name not in different}
        return RunOverview(
            run=found.run_id,
            name=str(self.run.get("display_name", "")),
            pipeline=found.published.pipeline,
            version=self.spec.version,
            state="WAITING" if found.is_waiting else found.state,
            reason=found.reason,
            stopped_by=found.stopped_by,
            started=_time(self.run.get("created_at")),
            seconds=found.seconds if found.state in ENDED else _elapsed(self.run),
            steps=tuple(StepOverview(one.name, one.title, one.state, one.seconds) for one in found.steps),
            parameters=different,
            defaults=defaults,
            facts={"url": found.url, "published": found.published.version or "unknown: the version was deleted"},
            log=tuple(found.log),
            failed=found.failed_title,
        )


def list_overviews(backend: Backend, pipeline: str = "", states: Collection[str] = ()) -> Iterator[RunOverview]:
    """Yield the runs of the namespace, newest first, without their steps and logs.

    Args:
        backend: Return value of `connect`.
        pipeline: Name of a pipeline. Defaults to all.
        states: States of the runs. Defaults to all.

    Raises:
        BackendError: The backend did not respond, or returned an error.
    """
    names: dict[str, str] = {}
    for run in _list(backend):
        state = run.get("state", "PENDING")
        name = _pipeline_of(backend, run, names)
        if (pipeline and name != pipeline) or (states and state not in states):
            continue
        yield RunOverview(
            run=run["run_id"],
            name=run.get("display_name", ""),
            pipeline=name,
            state=state,
            reason=run.get("error", {}).get("message", ""),
            started=_time(run.get("created_at")),
            seconds=_elapsed(run),
            facts={"url": backend.run_url(run["run_id"])},
        )


def find_run(backend: Backend, run: str) -> BackendRun:
    """Return a run of the namespace.

    Args:
        backend: Return value of `connect`.
        run: ID of the run, the start of exactly one ID, or a display name that one run has; empty for the newest.

    Raises:
        InputError: There is no such run, or several.
        BackendError: The backend did not respond, or returned an error.
    """
    try:
        run_id = run if _UUID.fullmatch(run) else _find_id(backend, run)
        found = request(backend, "GET", f"{_PATH}/{run_id}")
    except BackendError as error:
        if error.status != 404:
            raise
        raise InputError(f"RUN should be a run of the backend at {backend.host}. Received: '{run}'.") from None
    names: dict[str, str] = {}
    pipeline, reference = _pipeline_of(backend, found, names), found.get("pipeline_version_reference", {})
    version = _version(backend, reference)
    spec = _spec(pipeline, version, found)
    published = Published(
        pipeline,
        reference.get("pipeline_id", ""),
        version.get("display_name") or version.get("name", ""),
        reference.get("pipeline_version_id", ""),
        False,
    )
    steps = [
        StepProgress(step.name, title=step.title, is_gate=step.gate is not None, is_nested=step.is_nested)
        for step in spec.steps
    ]
    submission = Submission(published, found["run_id"], "", backend.run_url(found["run_id"]), steps)
    submission.state = found.get("state", "PENDING")
    submission.waits = tuple(find_waiting(spec, _parameters(found)))
    take_states(submission.steps, found)
    if submission.state in ENDED:
        for step in submission.steps:
            if step.state in {"waiting", "running"}:
                step.end("skipped" if step.state == "waiting" else "interrupted")
        conclude(backend, submission, spec, found)
    return BackendRun(backend, found, spec, submission)


def read_logs(found: BackendRun, step: str) -> list[tuple[StepOverview, list[str]]]:
    """Return the logs of a run's steps: of the named one; else of the failed one, and if none failed, of all that started.

    Args:
        found: Return value of `find_run`.
        step: Name or display name of a step; empty for none.

    Raises:
        InputError: There is no such step, or it has not started.
        BackendError: The backend returned none of the logs.
    """
    steps = found.overview.steps
    started = [one for one in steps if one.state not in ("waiting", "skipped")]
    chosen = [one for one in steps if step in (one.name, one.title)]
    if step and not chosen:
        names = [one.name for one in steps]
        raise InputError(
            f"STEP should be a step of the run: {', '.join(names) or 'none are known'}. "
            f"Received: '{step}'.{did_you_mean(step, names)}"
        )
    if step and chosen[0] not in started:
        raise InputError(f"The step {chosen[0].title} has no log: its state is {chosen[0].state}.")
    wanted = chosen[:1] if step else [one for one in started if one.state == "failed"][:1] or started
    logs = [(one, read_log(found.backend, found.spec, one.name, found.run, STATES)) for one in wanted]
    if not any(lines for _, lines in logs):
        raise BackendError(
            f"The backend at {found.backend.host} returned no log of the run. Its pods may be gone. See "
            f"{found.submission.url}, or run: {log_command(found.backend, found.submission.run_id)}"
        )
    return logs


def cancel_run(found: BackendRun) -> None:
    """Request the end of a run.

    Args:
        found: Return value of `find_run`.

    Raises:
        InputError: The run has ended.
        BackendError: The backend did not respond, or returned an error.
    """
    run_id, state = found.submission.run_id, found.submission.state
    if state in ENDED:
        raise InputError(f"RUN should be a run in progress. Received: '{run_id}', which has ended: {state}.")
    request(found.backend, "POST", f"{_PATH}/{run_id}:terminate")


def retry_run(found: BackendRun) -> None:
    """Request that a run goes on from its failed steps.

    Args:
        found: Return value of `find_run`.

    Raises:
        InputError: The run is in progress, succeeded, or was stopped by a gate.
        BackendError: The backend did not respond, or returned an error.
    """
    one = found.submission
    if one.state not in ENDED:
        raise InputError(
            f"RUN should be a run that has ended. Received: '{one.run_id}', whose state is {one.state}. Wait, or cancel it."
        )
    if one.state not in ("FAILED", "CANCELED"):
        raise InputError(f"RUN should be a run that did not succeed. Received: '{one.run_id}': {one.state}.")
    if one.stopped_by:
        raise InputError(
            f"The run '{one.run_id}' was stopped by its gate {one.stopped_by}, which a retry would meet with the same data, "
            "model and parameters. Change one of them, or the gate, and run again: "
            f"tiffin submit {one.published.pipeline} --set KEY=VALUE"
        )
    request(found.backend, "POST", f"{_PATH}/{one.run_id}:retry")


def _list(backend: Backend) -> Iterator[dict[str, Any]]:
    return pages(backend, _PATH, "runs", {"namespace": backend.namespace, "sort_by": "created_at desc"})


def _find_id(backend: Backend, run: str) -> str:
    matches = []
    for one in _list(backend):
        if not run or one["run_id"] == run:
            return str(one["run_id"])
        if one["run_id"].startswith(run) or one.get("display_name") == run:
            matches.append(str(one["run_id"]))
    if not matches:
        what = f"Received: '{run}'." if run else "It has no runs."
        raise InputError(
            f"RUN should be a run of the backend at {backend.host}: its ID, the start of its ID, or its name. {what} "
            "List them with tiffin runs list."
        )
    if len(matches) > 1:
        more = f" and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
        raise InputError(
            f"RUN should be one run. Received: '{run}', which {len(matches)} have: {', '.join(matches[:_SHOWN])}{more}."
        )
    return matches[0]


def _pipeline_of(backend: Backend, run: Mapping[str, Any], names: dict[str, str]) -> str:
    """Return the name of a run's pipeline; its ID if it was deleted or is not visible."""
    inline = run.get("pipeline_spec", {})
    inline = inline.get("pipeline_spec", inline)
    pipeline_id = run.get("pipeline_version_reference", {}).get("pipeline_id", "")
    if not pipeline_id:
        return str(inline.get("pipelineInfo", {}).get("name", "-"))
    if pipeline_id not in names:
        found = _get(backend, f"/apis/v2beta1/pipelines/{pipeline_id}")
        names[pipeline_id] = found.get("name") or found.get("display_name") or pipeline_id
    return names[pipeline_id]


def _version(backend: Backend, reference: Mapping[str, Any]) -> dict[str, Any]:
    pipeline_id, version_id = reference.get("pipeline_id"), reference.get("pipeline_version_id")
    if not pipeline_id or not version_id:
        return {}
    return _get(backend, f"/apis/v2beta1/pipelines/{pipeline_id}/versions/{version_id}")


def _get(backend: Backend, path: str) -> dict[str, Any]:
    """Return an object; an empty one if it was deleted or is not visible."""
    try:
        return request(backend, "GET", path)
    except BackendError as error:
        if error.status not in {403, 404}:
            raise
        return {}


def _spec(pipeline: str, version: Mapping[str, Any], run: Mapping[str, Any]) -> Spec:
    """Return the spec of a run, from its version or the run itself; one without steps if there is none."""
    found = version.get("pipeline_spec") or run.get("pipeline_spec") or {}
    documents = [found.get("pipeline_spec", found), *filter(None, [found.get("platform_spec")])]
    if "root" not in documents[0]:
        return Spec(pipeline, None, {}, (), b"", ({},))
    return read_spec(pipeline, "\n---\n".join(json.dumps(one, ensure_ascii=False) for one in documents).encode())


def _parameters(run: Mapping[str, Any]) -> dict[str, Any]:
    values = run.get("runtime_config", {}).get("parameters", {})
    return {name: masked_value(value) for name, value in values.items()}


def _elapsed(run: Mapping[str, Any]) -> float | None:
    start = _time(run.get("created_at"))
    end = _time(run.get("finished_at")) or datetime.datetime.now(datetime.UTC)
    return max((end - start).total_seconds(), 0.0) if start else None


def _time(text: str | None) -> datetime.datetime | None:
    # A run that goes on has a zero timestamp as its end.
    if not text or text.startswith(("1970", "0001")):
        return None
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
