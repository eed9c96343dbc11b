"""Recurring runs: one of each name, made, replaced, paused, resumed and deleted on a backend."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError, InputError, did_you_mean
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.publication import Published, pages

_PATH = "/apis/v2beta1/recurringruns"
# Each look of one hand's ends the chance of one other's; so many hands at once do not occur.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Recurring:
    """A recurring run.

    Attributes:
        name: As the dashboard shows it.
        recurring_id: As the backend knows it.
        cron: Its line; empty for one that was not made from one.
        enabled: Whether it fires.
        version_id: Of the pipeline version that runs.
        parameters: Values of parameters.
        experiment_id: Of the experiment that its runs are filed under.
        description: Says which account was asked for.
        pipeline_root: Where artifacts go.
        created_at: When it was made.
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
    """Return the recurring runs of the namespace, by name, the oldest of one name first."""
    found = (_read(item) for item in pages(backend, _PATH, "recurringRuns", {"namespace": backend.namespace}))
    return sorted(found, key=lambda one: (one.name, one.created_at, one.recurring_id))


def set_recurring(
    backend: Backend, name: str, cron: str, published: Published, settings: Mapping[str, Any]
) -> tuple[Recurring, str]:
    """Have exactly one recurring run of a name, with this cron line and these settings.

    The new one is made paused and enabled when the old one is gone, so that no moment has both; whatever interrupts
    this, the same call mends. Of several that are made at once the newest stands, by an order that every caller sees
    alike, and nobody deletes it for an older one: so one always stands, and whoever asked for it is who hears so.

    Args:
        backend: Of `connect`.
        name: Of the recurring run.
        cron: Of `read_cron`.
        published: What runs.
        settings: Of `run_settings`.

    Returns:
        The recurring run, and `created`, `replaced`, `resumed` or `unchanged`.

    Raises:
        BackendError: The backend does not answer, or refuses, or somebody else changed it at the same time.
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
                # It was made in the same second as one before it, and their ids say that it is the older one.
                _try(backend, "DELETE", made)
                time.sleep(1)
            made = _make(backend, name, cron, published, settings)
        # Only a look says what stands.
        now = _named(backend, name)
    if made:
        _try(backend, "DELETE", made)
    raise _contended(name)


def change_recurring(backend: Backend, name: str, action: str) -> None:
    """Pause, resume or delete the recurring runs of a name.

    Args:
        backend: Of `connect`.
        name: Of the recurring run.
        action: `pause`, `resume` or `delete`.

    Raises:
        InputError: There is none of that name, or there are several to resume, which would all fire.
        BackendError: The backend does not answer, or refuses, or somebody else changes it all the time.
    """
    found = _named(backend, name)
    if not found:
        known = sorted({one.name for one in list_recurring(backend)})
        raise InputError(
            f"The name should be that of a recurring run: {', '.join(known) or 'there is none yet'}. "
            f"Received: '{name}'.{did_you_mean(name, known)}"
        )
    for _ in range(_ATTEMPTS):
        if action == "resume" and len(found) > 1:
            raise InputError(
                f"The name to resume should be of one recurring run. Received: {len(found)} of that name, '{name}', "
                "as an interrupted `schedule set` leaves them. Set it again, or delete it."
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
    """Return the recurring runs of a name in the order that decides which of them stands: the last one does.

    A backend keeps seconds, and its ids are random: among those of one second they decide.
    """
    return [one for one in list_recurring(backend) if one.name == name]


def _make(backend: Backend, name: str, cron: str, published: Published, settings: Mapping[str, Any]) -> str:
    body = {
        "display_name": name,
        "description": _describe(settings),
        "namespace": backend.namespace,
        "mode": "DISABLE",
        "trigger": {"cron_schedule": {"cron": cron}},
        # One at a time, and none for the times that it was paused.
        "max_concurrency": "1",
        "no_catchup": True,
        **settings,
    }
    made: str = request(backend, "POST", _PATH, body=body)["recurring_run_id"]
    return made


def _try(backend: Backend, method: str, what: str) -> None:
    """Change a recurring run that somebody else may have deleted meanwhile; the next look says what stands."""
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
        f"The recurring run '{name}' should change by one hand at a time. Received: another change in between, which "
        "stands. Look at `schedule list`, and repeat yours if it should stand instead."
    )


def _describe(settings: Mapping[str, Any]) -> str:
    """Return a description that says which account was asked for: a backend fills its own in where none was."""
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
