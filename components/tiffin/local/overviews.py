"""The runs of a state folder as `tiffin runs` shows them, from their records. This module does not import kfp."""

import collections
import contextlib
import datetime
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tiffin.artifacts.summary import REPORT_PAGE
from tiffin.errors import InputError, did_you_mean
from tiffin.local.records import find_page, find_runner, list_runs, pipeline_of, read_state, relative, start_of
from tiffin.local.step_logs import error_line, tail
from tiffin.printing import printable
from tiffin.specs.logs import without_noise
from tiffin.specs.overview import RunOverview, StepOverview

STATES = ("RUNNING", "SUCCEEDED", "WAITING", "FAILED", "CANCELED", "KILLED")
_KILLED = "Its process ended without a result: it was killed, or the machine was restarted."
_LOOK_SECONDS = 0.5


def list_overviews(state: Path, pipeline: str = "", states: Collection[str] = ()) -> Iterator[RunOverview]:
    """Yield the runs of a state folder, newest first, without their logs.

    Args:
        state: The state folder.
        pipeline: Name of a pipeline. Defaults to all.
        states: States of the runs. Defaults to all.
    """
    for _, folder in reversed(list_runs(state)):
        if pipeline and pipeline_of(folder) != pipeline:
            continue
        found = read_overview(folder)
        if not states or found.state in states:
            yield found


def read_overview(folder: Path, *, is_complete: bool = False) -> RunOverview:
    """Return a run.

    Args:
        folder: Folder of the run.
        is_complete: Whether to look for its report and the last lines of its failed step's log. Defaults to False.
    """
    state, found = read_state(folder)
    record = found or {}
    steps = tuple(_steps(folder, record, state))
    failed = next((step for step in steps if step.state == "failed"), None)
    attempts = tuple(_list(record, "attempts", dict))
    started = _time((attempts[0] if attempts else record).get("started")) or start_of(folder)
    seconds = record.get("seconds")
    # While an attempt is prepared, there is no record of it, but possibly one of the attempt before.
    is_executing = state == "RUNNING" and record.get("state") == "RUNNING"
    if is_executing:
        begun = _time(record.get("started")) or started
        seconds = begun and (datetime.datetime.now().astimezone() - begun).total_seconds()
    log: list[str] = []
    if is_complete and failed and failed.log and not record.get("stopped_by"):
        log = tail(Path(failed.log))
    return RunOverview(
        run=folder.name,
        pipeline=str(record.get("pipeline") or pipeline_of(folder)),
        state=state,
        version=record.get("version"),
        reason=_reason(state, found, failed if is_executing else None),
        stopped_by=record.get("stopped_by"),
        started=started,
        seconds=seconds if is_executing or state not in ("RUNNING", "KILLED") else None,
        attempts=attempts,
        steps=steps,
        parameters=_mapping(record, "parameters"),
        defaults=_mapping(record, "defaults"),
        facts=_facts(folder, record, is_complete=is_complete),
        log=tuple(log),
        failed=failed.title if failed else "",
    )


def choose_steps(run: RunOverview, step: str) -> list[StepOverview]:
    """Return the steps whose logs to show: the named one; else the failed one, and if none failed, all that have a log.

    Args:
        run: The run.
        step: Name or display name of a step; empty for none.

    Raises:
        InputError: There is no such step, or it has no log.
    """
    if not step:
        logged = [one for one in run.steps if one.log]
        return [one for one in logged if one.state == "failed"][:1] or logged
    found = [one for one in run.steps if step in (one.name, one.title)]
    if not found:
        names = [one.name for one in run.steps]
        raise InputError(
            f"STEP should be a step of the run: {', '.join(names) or 'it has none yet'}. "
            f"Received: '{step}'.{did_you_mean(step, names)}"
        )
    if not found[0].log:
        raise InputError(f"The step {found[0].title} has no log: its state is {found[0].state}.")
    return found[:1]


def read_lines(step: StepOverview, count: int | None) -> Iterator[str]:
    """Yield the lines of a step's log.

    Args:
        step: A step with a log.
        count: Number of last lines; None for all.
    """
    # The log may have been removed since.
    with contextlib.suppress(FileNotFoundError), Path(str(step.log)).open(errors="replace") as file:
        lines = (line.rstrip("\n") for line in file)
        yield from lines if count is None else collections.deque(lines, maxlen=count)


def follow_lines(folder: Path, step: str) -> Iterator[tuple[StepOverview, str]]:
    """Yield the lines of a run's logs, with their steps, as they are written, until the run ends.

    Args:
        folder: Folder of the run.
        step: Name or display name of a step; empty for all.
    """
    counts: dict[str, int] = {}
    is_over = False
    while not is_over:
        is_over = find_runner(folder) is None
        for one in read_overview(folder).steps:
            if one.log and step in ("", one.name, one.title):
                lines = _complete_lines(Path(one.log), is_over=is_over)
                yield from ((one, line) for line in lines[counts.get(one.name, 0) :])
                counts[one.name] = max(counts.get(one.name, 0), len(lines))
        if not is_over:
            time.sleep(_LOOK_SECONDS)


def _complete_lines(log: Path, *, is_over: bool) -> list[str]:
    """Return the lines of a log that have ended. Those of kfp's executor are left out, since they go when the step ends."""
    try:
        text = log.read_bytes().decode(errors="replace")
    except OSError:
        return []
    return list(without_noise((text if is_over else text[: text.rfind("\n") + 1]).splitlines()))


def _steps(folder: Path, record: Mapping[str, Any], state: str) -> Iterator[StepOverview]:
    for step in _list(record, "steps", dict):
        name, was = str(step.get("name")), str(step.get("state"))
        # The state folder may have been moved since.
        log = folder / "logs" / f"{name}.log"
        if state != "RUNNING" and was in ("running", "waiting"):
            was = "interrupted" if was == "running" else "skipped"
        has_log = step.get("log") is not None and log.is_file()
        title = str(step.get("title") or name)
        yield StepOverview(name, title, was, step.get("seconds"), str(log) if has_log else None)


def _reason(state: str, record: Mapping[str, Any] | None, failed: StepOverview | None) -> str:
    if state == "KILLED":
        return f"{_KILLED} It has no record, or one that cannot be read." if record is None else _KILLED
    if state == "RUNNING":
        error = error_line(Path(failed.log)) if failed and failed.log else None
        return error or (f"The step {failed.title} failed." if failed else "")
    return str((record or {}).get("reason") or "")


def _facts(folder: Path, record: Mapping[str, Any], *, is_complete: bool) -> dict[str, str | None]:
    facts: dict[str, str | None] = {"folder": relative(folder)}
    if is_complete:
        model = record.get("model")
        page = find_page(folder, REPORT_PAGE)
        facts |= {
            "data": record.get("data_version"),
            "model": f"{model['name']} version {model['version']}" if isinstance(model, dict) else None,
            "serving": record.get("serving"),
            "report": None if page is None else relative(page),
            "mlflow": record.get("tracking_uri"),
            "warnings": " ".join(map(printable, _list(record, "warnings", str))) or None,
        }
    return facts


def _time(text: object) -> datetime.datetime | None:
    with contextlib.suppress(ValueError):
        return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    return None


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _list(record: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    found = record.get(name)
    return [item for item in found if isinstance(item, kind)] if isinstance(found, list) else []
