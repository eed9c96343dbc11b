"""Notify people in the middle of a pipeline."""

from collections.abc import Sequence
from pathlib import Path

from tiffin.artifacts.monitoring import read_monitoring
from tiffin.artifacts.notifications import write_notifications
from tiffin.notifications.events import Event, check_event
from tiffin.notifications.ledger import find_home
from tiffin.notifications.notifying import notify
from tiffin.notifications.runs import find_healths, find_link, monitoring_events
from tiffin.printing import printable


def tell(
    output: str | Path,
    output_uri: str,
    step: str,
    pipeline: str,
    *,
    monitoring: str | Path = "",
    event: str = "",
    subject: str = "",
    reason: str = "",
    command: str = "",
    link: str = "",
    on: Sequence[str] = (),
    to: Sequence[str] = (),
    run: str = "",
) -> list[str]:
    """Send an event, or the verdict of monitoring, write what became of it, and return the lines for the step's log.

    Args:
        output: Folder of the notifications artifact.
        output_uri: URI of it: `<root>/<pipeline>/<run>/<step>/...`.
        step: Name of the step's folder.
        pipeline: Name of the pipeline.
        monitoring: Folder of a monitoring artifact. Defaults to none.
        event: Kind of an event; empty for none.
        subject: What it is about; empty for the pipeline.
        reason: What happened.
        command: Command to run.
        link: Page about it; empty for that of the run.
        on: Kinds to send; empty for all.
        to: Tags and URLs; empty for all addresses of TIFFIN_NOTIFY.
        run: Pipeline run ID.

    Raises:
        InputError: The kind is unknown, or the monitoring artifact cannot be read.
    """
    check_event(event)
    found = [read_monitoring(monitoring)] if monitoring else []
    events = [*monitoring_events(found, pipeline, run)]
    if event:
        name = subject or f"the pipeline {pipeline}"
        events.append(
            Event(event, name, reason, pipeline=pipeline, run=run, command=command, link=link or find_link(run))
        )
    home = find_home(output_uri, step, pipeline)
    notified = notify(events, to, on, home, find_healths(found, pipeline, run))
    write_notifications(output, notified)
    return [printable(one.line) for one in notified] or ["nothing to send"]
