"""Recurring runs: creates, replaces, pauses, resumes and deletes them, with one per name."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError, InputError, did_you_mean
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.publication import Published, pages

_PATH = "/apis/v2beta1/recurringruns"
# Each round settles the conflict with one concurrent client; more clients than this are not expected.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Recurring:
    """A recurring run.

    Attributes:
        name: Display name.
        recurring_id: ID on the backend.
        cron: Cron expression; empty if it has another trigger.
        enabled: Whether it starts runs; False while paused.
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
    enabled: bool
    version_id: str
    parameters: dict[str, Any]
    experiment_id: str
    description: str
    pipeline_root: str
    created_at: str

    def to_json(self) -> dict[str, Any]:
        """Return the object of `tiffin schedule list --json`."""
        return {
            "name": self.name,
            "recurring_run_id": self.recurring_id,
            "cron": self.cron,
            "enabled": self.enabled,
            "version_id": self.version_id,
            "parameters": self.parameters,
        }


def list_recurring(backend: Backend) -> list[Recurring]:
    """Return the recurring runs of the namespace, sorted by name, then from oldest to newest."""
    found = (_read(item) for item in pages(backend, _PATH, "recurringRuns", {"namespace": backend.namespace}))
    return sorted(found, key=lambda one: (one.name, one.created_at, one.recurring_id))


def set_recurring(
    backend: Backend, name: str, cron: str, published: Published, settings: Mapping[str, Any]
) -> tuple[Recurring, str]:
    """Create or replace the recurring run of a name.

    The new recurring run is created paused, and enabled after the old one is deleted, so that both never run. If the call
    is interrupted, repeat it. If several clients create one at the same time, the newest is kept, by an order that is the
    same for every client; clients that requested other settings get an error.

    Args:
        backend: Return value of `connect`.
        name: Name of the recurring run.
        cron: Return value of `read_cron`.
        published: Version to run.
        settings: Return value of `run_settings`.

    Returns:
        The recurring run, and `created`, `replaced`, `resumed` or `unchanged`.

    Raises:
        BackendError: The backend did not respond or returned an error, or another client changed the recurring run.
    """
    before = now = _named(backend, name)
    known = {one.recurring_id for one in before}
    made = ""
    for _ in range(_ATTEMPTS):
        newest = now[-1] if now else None
        if newest and (newest.recurring_id == made or _is_as_wanted(newest, cron, published, settings)):
            if newest.enabled and len(now) == 1:
                return newest, _became(before, newest)
            for older in now[:-1]:
                _try(backend, "DELETE", older.recurring_id)
            if not newest.enabled:
                _try(backend, "POST", f"{newest.recurring_id}:enable")
        elif now is not before and (newest is None or newest.recurring_id not in known):
            break
        else:
            if made:
                # Another one was created in the same second and sorts after it by ID.
                _try(backend, "DELETE", made)
                time.sleep(1)
            made = _make(backend, name, cron, published, settings)
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


def _make(backend: Backend, name: str, cron: str, published: Published, settings: Mapping[str, Any]) -> str:
    body = {
        "display_name": name,
        "description": _describe(settings),
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


def _describe(settings: Mapping[str, Any]) -> str:
    """Return a description with the requested service account: the backend's own field shows its default if none was."""
    account = settings.get("service_account")
    return f"Set by Tiffin. Runs as {account or 'the account that the backend chooses'}."


def _is_as_wanted(one: Recurring, cron: str, published: Published, settings: Mapping[str, Any]) -> bool:
    runtime = settings["runtime_config"]
    return (
        one.cron == cron
        and one.version_id == published.version_id
        and one.experiment_id == settings["experiment_id"]
        and one.parameters == runtime["parameters"]
        and one.pipeline_root == runtime.get("pipeline_root", "")
        and one.description == _describe(settings)
    )


def _read(item: Mapping[str, Any]) -> Recurring:
    runtime = item.get("runtime_config", {})
    return Recurring(
        name=item.get("display_name", ""),
        recurring_id=item["recurring_run_id"],
        cron=item.get("trigger", {}).get("cron_schedule", {}).get("cron", ""),
        enabled=item.get("status") == "ENABLED",
        version_id=item.get("pipeline_version_reference", {}).get("pipeline_version_id", ""),
        parameters=runtime.get("parameters", {}),
        experiment_id=item.get("experiment_id", ""),
        description=item.get("description", ""),
        pipeline_root=runtime.get("pipeline_root", ""),
        created_at=item.get("created_at", ""),
    )
