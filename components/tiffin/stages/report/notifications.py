"""Notify people of what happened in a run, and write into its summary who was notified."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.summary import Summary, write_summary
from tiffin.errors import TiffinError
from tiffin.notifications.ledger import find_home
from tiffin.notifications.notifying import notify
from tiffin.notifications.runs import find_healths, run_events
from tiffin.tracking.log import print_line


def notify_of_run(
    output: str | Path, output_uri: str, step: str, summary: Summary, on: Sequence[str], to: Sequence[str]
) -> Summary:
    """Send the events of a run, and return its summary with what became of them and of those of steps before; write it, too.

    The summary is there before: a step that is killed here leaves it. A bug is a warning, since the run itself has ended.

    Args:
        output: Folder of the summary artifact.
        output_uri: URI of the summary artifact: `<run>/<step>/...`.
        step: Name of the exit step's folder.
        summary: Summary of the run.
        on: Kinds to send; empty for all.
        to: Tags and URLs; empty for all addresses of TIFFIN_NOTIFY.
    """
    monitorings = [*summary.monitorings.values()]
    try:
        notified = notify(
            run_events(summary, output_uri), to, on, find_home(output_uri, step, summary.pipeline),
            find_healths(monitorings, summary.pipeline, summary.run),
            succeeded="" if summary.state == "FAILED" else summary.pipeline,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the report must be written all the same
        print_line(f"{WARNING}Nobody was notified. {error if isinstance(error, TiffinError) else repr(error)}")
        notified = ()
    for one in notified:
        print_line(one.line)
    before = [one for step in summary.steps.values() if step.notifications for one in step.notifications.notified]
    known = {(one.kind, one.subject) for one in before}
    # What a step before has sent, and this one has not sent again, is there once.
    own = [one for one in notified if not (one.outcome in ("told", "repeated") and (one.kind, one.subject) in known)]
    if not before and not own:
        return summary
    summary = replace(summary, notifications=(*before, *own))
    write_summary(output, summary)
    return summary
