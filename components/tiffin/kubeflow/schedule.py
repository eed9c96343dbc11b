"""Recurring runs: creates, replaces, pauses, resumes and deletes them, with one per name."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError, InputError, did_you_mean
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.cron import read_cron
from tiffin.kubeflow.publication import Published, pages

_PATH = "/apis/v2beta1/recurringruns"
# Each round settles the conflict with one concurrent client; more clients than this are not expected.
_ATTEMPTS = 20
# Seconds between two looks at another client's change, and the number of looks after which a client withdraws its own: one
# that has enabled its recurring run waits longer, so that one of two clients that wait for each other remains.
_PAUSE_SECONDS = 1.0
_LOOKS, _LOOKS_ENABLED = 3, 6


@dataclass(frozen=True)
class Recurring:
    """A recurring run.

    Attributes:
        name: Display name.
        recurring_id: ID on the backend.
        cron: Cron expression in the backend's format; empty if it has another trigger.
        interval_seconds: Time between two runs; None unless it has such a trigger.
        start, end: Times between which the trigger is active; empty if not limited.
        enabled: Whether it starts runs; False while paused.
        pipeline_id: ID of the pipeline; empty if it has a spec of its own.
        pipeline: Name of the pipeline in such a spec; empty otherwise.
        version_id: ID of the pipeline version.
        parameters: Parameter values.
        experiment_id: ID of the experiment that groups its runs.
        description: Description, which names the requested service account.
        pipeline_root: Location of the artifacts.
        created_at: Time of creation, in whole seconds.
    """

    name: str
    recurring_id: str
    cron: str
    interval_seconds: int | None
    start: str
    end: str
    enabled: bool
    pipeline_id: str
    pipeline: str
    version_id: str
    parameters: dict[str, Any]
    experiment_id: str
    description: str
    pipeline_root: str
    created_at: str

    @property
    def typed(self) -> str:
        """The cron expression as it was typed, if Tiffin set it; otherwise in the backend's format."""
        match = re.match(r"Set by Tiffin(?: with --cron '(.*?)')?\.", self.description)
        if not match:
            return self.cron
        # Tiffin 0.1.0 did not record the expression, and always added the field for seconds.
        typed = match[1] or self.cron.removeprefix("0 ")
        try:
            return typed if read_cron(typed) == self.cron else self.cron
        except InputError:
            return self.cron


def list_recurring(backend: Backend) -> list[Recurring]:
    """Return the recurring runs of the namespace, sorted by name, then from oldest to newest."""
    found = (_read(item) for item in pages(backend, _PATH, "recurringRuns", {"namespace": backend.namespace}))
    return sorted(found, key=lambda one: (one.name, one.created_at, one.recurring_id))


def set_recurring(
    backend: Backend, name: str, line: str, published: Published, settings: Mapping[str, Any]
) -> tuple[Recurring, str]:
    """Create or replace the recurring run of a name.

    The new recurring run is created paused, and enabled after the old one is deleted, so that both never run. If the call
    is interrupted, repeat it.

    If several clients request other settings at the same time, one of them succeeds, and the others get an error: a client
    neither replaces a recurring run that was enabled after its first look, nor succeeds before it looked again and found
    its own alone. Among clients that have not enabled theirs, the newest is kept, by an order that is the same for all.

    Args:
        backend: Return value of `connect`.
        name: Name of the recurring run.
        line: Cron expression as it was typed; `read_cron` has to accept it.
        published: Version to run.
        settings: Return value of `run_settings`.

    Returns:
        The recurring run, and `created`, `replaced`, `resumed` or `unchanged`.

    Raises:
        InputError: The cron expression is invalid.
        BackendError: The backend did not respond or returned an error, or another client changed the recurring run.
    """
    cron = read_cron(line)
    description = _describe(line, settings)
    before = now = _named(backend, name)
    known = {one.recurring_id for one in before}
    was_enabled = {one.recurring_id for one in before if one.enabled}
    made = ""
    looks = 0

    def is_own(one: Recurring) -> bool:
        return one.recurring_id == made or _is_as_wanted(one, cron, description, published, settings)

    for _ in range(_ATTEMPTS):
        newest = now[-1] if now else None
        is_rivalled = any(one.enabled and one.recurring_id not in was_enabled and not is_own(one) for one in now)
        if newest and is_own(newest):
            if newest.enabled and len(now) == 1:
                return newest, _became(before, newest)
            if is_rivalled:
                # Another client may have succeeded, or may withdraw because it has seen this one.
                looks += 1
                if looks > _LOOKS:
                    break
                time.sleep(_PAUSE_SECONDS)
            else:
                _settle(backend, now)
        elif now is not before and (newest is None or newest.recurring_id not in known):
            is_enabled = any(one.enabled for one in now if one.recurring_id == made)
            looks += 1
            if is_rivalled or not is_enabled or looks > _LOOKS_ENABLED:
                break
            # The newer one is still paused: its client withdraws if it has seen that this one is enabled.
            time.sleep(_PAUSE_SECONDS)
        else:
            if made:
                # Another one was created in the same second and sorts after it by ID.
                _try(backend, "DELETE", made)
                time.sleep(1)
            made = _make(backend, name, cron, description, settings)
        # Read the result back: other clients may have changed it.
        now = _named(backend, name)
    if made:
        _try(backend, "DELETE", made)
    raise _contended(name)


def change_recurring(backend: Backend, name: str, action: str) -> None:
    """Pause, resume or delete the recurring runs of a name.

    Args:
        backend: Return value of `connect`.
        name: Name of the recurring runs.
        action: `pause`, `resume` or `delete`.

    Raises:
        InputError: No recurring run has this name, or several have it and would all be resumed.
        BackendError: The backend did not respond or returned an error, or another client keeps changing them.
    """
    found = _named(backend, name)
    if not found:
        known = sorted({one.name for one in list_recurring(backend)})
        raise InputError(
            f"No recurring run is named '{name}'.{did_you_mean(name, known)} "
            f"Recurring runs: {', '.join(known) or 'none'}."
        )
    for _ in range(_ATTEMPTS):
        if action == "resume" and len(found) > 1:
            raise InputError(
                f"Cannot resume '{name}': {len(found)} recurring runs have this name, probably after an interrupted "
                "`tiffin schedule set`. Run `tiffin schedule set` again, or `tiffin schedule delete`."
            )
        left = [one for one in found if action == "delete" or one.enabled != (action == "resume")]
        if not left and (found or action == "delete"):
            return
        for one in left:
            if action == "delete":
                _try(backend, "DELETE", one.recurring_id)
            else:
                _try(backend, "POST", f"{one.recurring_id}:{'disable' if action == 'pause' else 'enable'}")
        found = _named(backend, name)
    raise _contended(name)


def _named(backend: Backend, name: str) -> list[Recurring]:
    """Return the recurring runs of a name, the one to keep last.

    The order is by creation time, which the backend stores in seconds, then by ID, which is random.
    """
    return [one for one in list_recurring(backend) if one.name == name]


def _make(backend: Backend, name: str, cron: str, description: str, settings: Mapping[str, Any]) -> str:
    body = {
        "display_name": name,
        "description": description,
        "namespace": backend.namespace,
        "mode": "DISABLE",
        "trigger": {"cron_schedule": {"cron": cron}},
        # One run at a time, and no runs for the time while it was paused.
        "max_concurrency": "1",
        "no_catchup": True,
        **settings,
    }
    made: str = request(backend, "POST", _PATH, body=body)["recurring_run_id"]
    return made


def _settle(backend: Backend, found: list[Recurring]) -> None:
    """Delete all but the newest, and enable it."""
    *older, newest = found
    for one in older:
        _try(backend, "DELETE", one.recurring_id)
    if not newest.enabled:
        _try(backend, "POST", f"{newest.recurring_id}:enable")


def _try(backend: Backend, method: str, what: str) -> None:
    """Change a recurring run; ignore that another client deleted it, since the caller reads the result back."""
    try:
        request(backend, method, f"{_PATH}/{what}")
    except BackendError as error:
        if error.status != 404:
            raise


def _became(before: list[Recurring], one: Recurring) -> str:
    if not before:
        return "created"
    if len(before) > 1 or one.recurring_id != before[0].recurring_id:
        return "replaced"
    return "unchanged" if before[0].enabled else "resumed"


def _contended(name: str) -> BackendError:
    return BackendError(
        f"The recurring run '{name}' was modified concurrently; the other change was kept. Check `tiffin schedule list`, "
        "and repeat your change if it should replace the other."
    )


def _describe(line: str, settings: Mapping[str, Any]) -> str:
    """Return a description with the cron expression as typed and the requested service account.

    The backend stores the expression in its own format, and its default account if none was requested.
    """
    account = settings.get("service_account")
    typed = " ".join(line.split())
    return f"Set by Tiffin with --cron '{typed}'. Runs as {account or 'the account that the backend chooses'}."


def _is_as_wanted(
    one: Recurring, cron: str, description: str, published: Published, settings: Mapping[str, Any]
) -> bool:
    runtime = settings["runtime_config"]
    return (
        one.cron == cron
        and one.version_id == published.version_id
        and one.experiment_id == settings["experiment_id"]
        and one.parameters == runtime["parameters"]
        and one.pipeline_root == runtime.get("pipeline_root", "")
        and one.description == description
    )


def _read(item: Mapping[str, Any]) -> Recurring:
    runtime = item.get("runtime_config", {})
    reference = item.get("pipeline_version_reference", {})
    trigger = item.get("trigger", {})
    cron, periodic = trigger.get("cron_schedule", {}), trigger.get("periodic_schedule", {})
    # A spec with a platform spec is in a field of its own.
    spec = item.get("pipeline_spec", {})
    spec = spec.get("pipeline_spec", spec)
    return Recurring(
        name=item.get("display_name", ""),
        recurring_id=item["recurring_run_id"],
        cron=cron.get("cron", ""),
        interval_seconds=int(periodic["interval_second"]) if "interval_second" in periodic else None,
        start=(cron or periodic).get("start_time", ""),
        end=(cron or periodic).get("end_time", ""),
        enabled=item.get("status") == "ENABLED",
        pipeline_id=reference.get("pipeline_id", ""),
        pipeline=spec.get("pipelineInfo", {}).get("name", ""),
        version_id=reference.get("pipeline_version_id", ""),
        parameters=runtime.get("parameters", {}),
        experiment_id=item.get("experiment_id", ""),
        description=item.get("description", ""),
        pipeline_root=runtime.get("pipeline_root", ""),
        created_at=item.get("created_at", ""),
    )
