"""A run as `tiffin runs` shows it, whether it ran on this machine or on a backend."""

import datetime
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tiffin.printing import printable

COLUMNS = 80
# States of runs that have ended without success, and can be retried.
RETRIABLE = ("FAILED", "CANCELED", "KILLED")


@dataclass(frozen=True)
class StepOverview:
    """A step of a run.

    Attributes:
        name: Name of the step.
        title: Display name.
        state: State, such as `succeeded`, or `kept` for one that a retry did not run again.
        seconds: Duration in seconds; None if it did not end.
        log: File with the log; None if there is none on this machine.
    """

    name: str
    title: str
    state: str
    seconds: float | None = None
    log: str | None = None


@dataclass(frozen=True)
class RunOverview:
    """A run.

    Attributes:
        run: ID of the run.
        pipeline: Name of the pipeline.
        state: PENDING, RUNNING, SUCCEEDED, WAITING, FAILED, CANCELED or KILLED; on a backend also its other states.
        version: Version of the spec; None if unknown.
        name: Display name; empty on this machine.
        reason: Why it did not succeed; empty if it did, or if this is unknown.
        stopped_by: Gate that stopped it, such as `evaluation`; None if no gate did.
        started: Start, with the time zone; None if unknown.
        seconds: Duration in seconds, of the last attempt, up to now if it is running; None if unknown.
        attempts: Earlier attempts, first to last: `started`, `state`, `reason` and `seconds` of each.
        steps: The steps; empty if unknown.
        parameters: Parameters whose values differ from the defaults.
        defaults: The other parameters.
        facts: What else there is, by name, such as `model` or `report`.
        log: Last lines of the log of the failed step.
        failed: Display name of the failed step; empty if there is none.
    """

    run: str
    pipeline: str
    state: str
    version: str | None = None
    name: str = ""
    reason: str = ""
    stopped_by: str | None = None
    started: datetime.datetime | None = None
    seconds: float | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[StepOverview, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str | None] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    failed: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object of `tiffin runs list --json`."""
        return {
            "run": self.run,
            "name": self.name,
            "pipeline": self.pipeline,
            "version": self.version,
            "state": self.state,
            "stopped_by": self.stopped_by,
            "reason": self.reason,
            "started": self.started and self.started.isoformat(),
            "seconds": self.seconds,
            "attempts": list(self.attempts),
            **self.facts,
        }

    def to_full_json(self) -> dict[str, Any]:
        """Return the object of `tiffin runs show --json`."""
        return {
            **self.to_json(),
            "parameters": dict(self.parameters),
            "defaults": dict(self.defaults),
            "steps": [
                {"name": one.name, "title": one.title, "state": one.state, "seconds": one.seconds, "log": one.log}
                for one in self.steps
            ],
            "log": list(self.log),
        }


def list_lines(runs: Sequence[RunOverview]) -> list[str]:
    """Return the lines that list runs, of 80 columns at most unless an ID is longer: one for each run, and one for its reason.

    Where a row would be longer than 80 columns, each ID has a line of its own.
    """
    rows = [
        (printable(run.run), printable(run.state), _time(run.started), duration(run.seconds), printable(run.pipeline))
        for run in runs
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    is_narrow = any(sum(widths) + 8 + len(row[4]) > COLUMNS for row in rows)
    lines = []
    for run, (name, state, started, seconds, pipeline) in zip(runs, rows, strict=True):
        about = f"{state:<{widths[1]}}  {started:<{widths[2]}}  {seconds:>{widths[3]}}  {pipeline}"
        lines += [name, _cut(f"  {about}")] if is_narrow else [f"{name:<{widths[0]}}  {about}"]
        if reason := _reason(run):
            lines.append(_cut(f"  {reason}"))
    return lines


def show_lines(run: RunOverview, ending: str, columns: int | None = COLUMNS) -> list[str]:
    """Return the lines that show a run, and what to do next.

    Args:
        run: The run.
        ending: What the commands that are named need at their end, such as ` --state` and a folder, or nothing.
        columns: Width to wrap texts at; None to write each on one line. Defaults to 80.
    """
    took = f" in {duration(run.seconds)}" if run.seconds is not None else ""
    stopped = f", stopped by {run.stopped_by}" if run.stopped_by else ""
    lines = [printable(run.run), printable(f"{_versioned(run)} {run.state}{took}{stopped}"), ""]
    facts = {
        "name": run.name,
        "reason": run.reason,
        "started": _time(run.started),
        "attempt": str(len(run.attempts) + 1) if run.attempts else "",
        **run.facts,
    }
    for name, text in facts.items():
        if text:
            lines += _hang(f"{name:<8} ", printable(text), columns)
    for number, attempt in enumerate(run.attempts, start=1):
        text = f"{attempt.get('state')}: {attempt.get('reason') or 'no reason is known'}"
        lines += _hang(f"attempt {number} ", printable(text), columns)
    if run.parameters or run.defaults:
        lines += ["", "Parameters:"]
        for name, value in run.parameters.items():
            lines += _hang(f"{printable(name)} = ", printable(_shown(value)), columns)
    if run.defaults:
        defaults = ", ".join(f"{name} = {_shown(value)}" for name, value in run.defaults.items())
        lines += _hang("defaults ", printable(defaults), columns)
    if run.steps:
        width = max(len(printable(step.title)) for step in run.steps)
        lines += ["", "Steps:"]
        for step in run.steps:
            seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
            lines.append(f"  {printable(step.title):<{width}}  {step.state:<11}  {seconds}".rstrip())
    if run.log:
        lines += ["", printable(f"Last log lines of {run.failed}:")]
        lines += [f"  {printable(line.expandtabs())}" for line in run.log]
    return [*lines, "", *next_lines(run, ending)]


def next_lines(run: RunOverview, ending: str) -> list[str]:
    """Return what to do next with a run.

    Args:
        run: The run.
        ending: As for `show_lines`.
    """
    name = printable(run.run)
    lines = [f"Logs: tiffin runs logs {name}{ending}"]
    if run.facts.get("report"):
        lines.append(f"Report: tiffin report {name}{ending}")
    if run.stopped_by:
        lines.append("A retry would have the same verdict: change data, parameters or gate, and run again.")
    elif run.state in RETRIABLE:
        lines.append(f"Go on from there: tiffin runs retry {name}{ending}")
    elif run.state in ("PENDING", "RUNNING"):
        lines.append(f"Cancel: tiffin runs cancel {name}{ending}")
    return lines


def duration(seconds: float | None) -> str:
    """Return a duration for people; `-` if it is unknown."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _versioned(run: RunOverview) -> str:
    return f"{run.pipeline} {run.version or ''}".rstrip()


def _reason(run: RunOverview) -> str:
    if run.state == "SUCCEEDED":
        return ""
    stopped = f"stopped by {run.stopped_by}: " if run.stopped_by else ""
    return printable(f"{stopped}{run.reason}")


def _time(time: datetime.datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else "-"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…"


def _hang(label: str, text: str, columns: int | None) -> list[str]:
    if columns is None:
        return [f"  {label}{text}"]
    return textwrap.wrap(
        f"  {label}{text}",
        max(columns, 40),
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        expand_tabs=False,
        replace_whitespace=False,
    )
