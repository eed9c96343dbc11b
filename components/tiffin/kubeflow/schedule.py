"""Recurring runs: one of each name, made, replaced, paused, resumed and deleted on a backend."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import BackendError, InputError, did_you_mean
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.publication import Published, pages

_PATH = "/apis/v2beta1/recurringruns"


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
        service_account: That its pods act as.
        pipeline_root: Where artifacts go.
        created_at: When it was made.
    """

    name: str
    recurring_id: str
    cron: str
    enabled: bool
    version_id: str
    parameters: dict[str, Any]
    service_account: str
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
    this, the same call mends. Two that ask for the same at once agree on the one that was made first.

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
    before = _named(backend, name)
    if not any(_is_as_wanted(one, cron, published, settings) for one in before):
        request(
            backend,
            "POST",
            _PATH,
            body={
                "display_name": name,
                "namespace": backend.namespace,
                "mode": "DISABLE",
                "trigger": {"cron_schedule": {"cron": cron}},
                # One at a time, and none for the times that it was paused.
                "max_concurrency": "1",
                "no_catchup": True,
                **settings,
            },
        )
    now = _named(backend, name)
    kept = next((one for one in now if _is_as_wanted(one, cron, published, settings)), None)
    if kept is None:
        raise BackendError(
            f"The recurring run '{name}' should change by one hand at a time. Received: another change in between, which "
            "stands. Set it again if yours should."
        )
    for other in now:
        if other.recurring_id != kept.recurring_id:
            _delete(backend, other)
    if not kept.enabled:
        request(backend, "POST", f"{_PATH}/{kept.recurring_id}:enable")
    known = {one.recurring_id for one in before}
    if not before:
        return kept, "created"
    if kept.recurring_id not in known or len(before) > 1:
        return kept, "replaced"
    return kept, "unchanged" if kept.enabled else "resumed"


def change_recurring(backend: Backend, name: str, action: str) -> int:
    """Pause, resume or delete the recurring runs of a name, and return how many there were.

    Args:
        backend: Of `connect`.
        name: Of the recurring run.
        action: `pause`, `resume` or `delete`.

    Raises:
        InputError: There is none of that name.
    """
    found = _named(backend, name)
    if not found:
        known = sorted({one.name for one in list_recurring(backend)})
        raise InputError(
            f"The name should be that of a recurring run: {', '.join(known) or 'there is none yet'}. "
            f"Received: '{name}'.{did_you_mean(name, known)}"
        )
    for one in found:
        if action == "delete":
            _delete(backend, one)
        else:
            verb = "disable" if action == "pause" else "enable"
            request(backend, "POST", f"{_PATH}/{one.recurring_id}:{verb}")
    return len(found)


def _named(backend: Backend, name: str) -> list[Recurring]:
    return sorted(
        (one for one in list_recurring(backend) if one.name == name), key=lambda one: (one.created_at, one.recurring_id)
    )


def _delete(backend: Backend, one: Recurring) -> None:
    try:
        request(backend, "DELETE", f"{_PATH}/{one.recurring_id}")
    except BackendError as error:
        # Somebody else was quicker.
        if error.status != 404:
            raise


def _is_as_wanted(one: Recurring, cron: str, published: Published, settings: Mapping[str, Any]) -> bool:
    runtime = settings["runtime_config"]
    return (
        one.cron == cron
        and one.version_id == published.version_id
        and one.parameters == runtime["parameters"]
        and one.pipeline_root == runtime.get("pipeline_root", "")
        # A backend fills its own account in where none was asked for.
        and settings.get("service_account", one.service_account) == one.service_account
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
        service_account=item.get("service_account", ""),
        pipeline_root=runtime.get("pipeline_root", ""),
        created_at=item.get("created_at", ""),
    )
