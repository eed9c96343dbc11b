"""The list of recurring runs: what each one runs, when it runs next, and how its last run ended."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.cron import next_time
from tiffin.kubeflow.publication import equals
from tiffin.kubeflow.schedule import Recurring, list_recurring
from tiffin.printing import printable

_STYLES = {"SUCCEEDED": "green", "FAILED": "bold red", "CANCELED": "yellow"}


@dataclass(frozen=True)
class LastRun:
    """The latest run of a recurring run.

    Attributes:
        run_id: ID of the run on the backend.
        state: State on the backend, such as `RUNNING`, `SUCCEEDED` or `FAILED`.
        started_at: Time for which it was scheduled, or else of its creation.
        url: URL of the run in the dashboard.
    """

    run_id: str
    state: str
    started_at: datetime.datetime | None
    url: str


@dataclass(frozen=True)
class Schedule:
    """A recurring run, as `tiffin schedule list` shows it.

    Attributes:
        recurring: The recurring run.
        pipeline: Name of the pipeline; its ID if it was deleted.
        version: Name of the version; its ID if it was deleted, empty if the latest one runs.
        next_run: Time of the next run; None while paused, after the end, or if unknown.
        last_run: The latest run; None before the first.
    """

    recurring: Recurring
    pipeline: str
    version: str
    next_run: datetime.datetime | None
    last_run: LastRun | None

    @property
    def trigger(self) -> str:
        """The cron expression as typed, or the interval."""
        seconds = self.recurring.interval_seconds
        return f"every {datetime.timedelta(seconds=seconds)}" if seconds else self.recurring.typed or "no schedule"

    def to_json(self) -> dict[str, Any]:
        """Return the object of `tiffin schedule list --json`."""
        last = self.last_run
        return {
            "name": self.recurring.name,
            "recurring_run_id": self.recurring.recurring_id,
            "cron": self.recurring.typed,
            "backend_cron": self.recurring.cron,
            "interval_seconds": self.recurring.interval_seconds,
            "enabled": self.recurring.enabled,
            "pipeline": self.pipeline,
            "version": self.version,
            "version_id": self.recurring.version_id,
            "parameters": self.recurring.parameters,
            "next_run": _iso(self.next_run),
            "last_run": last
            and {"run_id": last.run_id, "state": last.state, "started_at": _iso(last.started_at), "url": last.url},
        }


def list_schedules(backend: Backend, now: datetime.datetime | None = None) -> list[Schedule]:
    """Return the recurring runs of the namespace with their pipelines and runs, sorted by name.

    Args:
        backend: Return value of `connect`.
        now: Time after which the next run starts. Defaults to the current time.

    Raises:
        BackendError: The backend did not respond, or returned an error.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    names: dict[str, str] = {}
    return [_look_up(backend, one, names, now) for one in list_recurring(backend)]


def show_schedules(schedules: list[Schedule], stream: TextIO) -> None:
    """Print recurring runs in two or three lines each, which fit in 80 columns."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    if not schedules:
        console.print("No recurring runs.")
    names = max((len(printable(one.recurring.name)) for one in schedules), default=0)
    triggers = max((len(printable(one.trigger)) for one in schedules), default=0)
    for one in schedules:
        state = ("enabled", "green") if one.recurring.enabled else ("paused ", "yellow")
        name, trigger, pipeline = map(printable, (one.recurring.name, one.trigger, one.pipeline))
        head = (f"{name:<{names}}  ", state, f"  {trigger:<{triggers}}  {pipeline}")
        console.print(Text.assemble(*head))
        last = one.last_run
        if last is None:
            console.print(Text(f"  next {_shown(one.next_run)}, no run yet"))
            continue
        result = (printable(last.state), _STYLES.get(last.state, ""))
        console.print(Text.assemble(f"  next {_shown(one.next_run)}, last ", result, f" {_shown(last.started_at)}"))
        console.print(Text(f"  {printable(last.url)}", style="dim"))


def _look_up(backend: Backend, one: Recurring, names: dict[str, str], now: datetime.datetime) -> Schedule:
    pipeline = _name(backend, f"/apis/v2beta1/pipelines/{one.pipeline_id}", names) if one.pipeline_id else one.pipeline
    version = ""
    if one.pipeline_id and one.version_id:
        version = _name(backend, f"/apis/v2beta1/pipelines/{one.pipeline_id}/versions/{one.version_id}", names)
    last = _last_run(backend, one)
    return Schedule(one, pipeline, version, _next_run(one, last, now), last)


def _name(backend: Backend, path: str, names: dict[str, str]) -> str:
    """Return the name of a pipeline or a version; its ID if it was deleted or is not visible."""
    if path not in names:
        names[path] = path.rpartition("/")[2]
        try:
            found = request(backend, "GET", path)
            names[path] = found.get("display_name") or found.get("name") or names[path]
        except BackendError as error:
            if error.status not in {403, 404}:
                raise
    return names[path]


def _last_run(backend: Backend, one: Recurring) -> LastRun | None:
    query = {
        "namespace": backend.namespace,
        "filter": equals("recurring_run_id", one.recurring_id),
        "sort_by": "created_at desc",
        "page_size": 1,
    }
    for run in request(backend, "GET", "/apis/v2beta1/runs", query=query).get("runs", []):
        return LastRun(run["run_id"], run.get("state", "PENDING"), _started(run), backend.run_url(run["run_id"]))
    return None


def _started(run: Mapping[str, Any]) -> datetime.datetime | None:
    scheduled = _time(run.get("scheduled_at", ""))
    return scheduled if scheduled and scheduled.year > 1970 else _time(run.get("created_at", ""))


def _next_run(one: Recurring, last: LastRun | None, now: datetime.datetime) -> datetime.datetime | None:
    """Return the time of the next run. The backend does not have it."""
    if not one.enabled:
        return None
    start, end = _time(one.start), _time(one.end)
    found = None
    if one.interval_seconds:
        before = (last and last.started_at) or start or _time(one.created_at)
        # A run that is due starts at once.
        found = before and max(before + datetime.timedelta(seconds=one.interval_seconds), now)
    elif one.cron:
        try:
            found = next_time(one.cron, max(now, start) if start else now)
        except InputError:
            # An expression that only the backend reads, such as @every 1h.
            return None
    return None if found and end and found > end else found


def _time(text: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def _iso(time: datetime.datetime | None) -> str | None:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}" if time else None


def _shown(time: datetime.datetime | None) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC" if time else "-"
