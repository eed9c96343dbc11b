"""The result of a run as text: what it made, why it ended, and the commands that go on from it."""

import textwrap
from collections.abc import Mapping
from typing import TextIO

from rich.text import Text

from tiffin.artifacts.logs import WARNING
from tiffin.local.records import STATUSES, relative
from tiffin.local.results import Run, own_tracking_uri
from tiffin.local.step_logs import tail
from tiffin.printing import printable
from tiffin.specs.progress import open_console

_STYLES = {"SUCCEEDED": "bold green", "WAITING": "bold yellow"}
# Stands for the space inside a pair that must stay on one line.
_JOINED = "\N{NO-BREAK SPACE}"


def show_run(run: Run, state_option: str, stream: TextIO) -> None:
    """Print the result of a run in a few lines.

    Args:
        run: The run.
        state_option: What the commands that are named need at their end: ` --state` and the state folder, or nothing.
        stream: Standard output or error.
    """
    console = open_console(stream)
    failed = run.failed_step
    # A gate's reason is complete; for other failures, the log has the details.
    if failed and failed.log and not run.stopped_by:
        console.print(Text(f"\nLast log lines of {failed.title}:"))
        for line in tail(failed.log):
            console.print(Text(f"  {printable(line.expandtabs())}", style="dim"))
        console.print(Text(f"Full log: {printable(failed.log)}"))
    style = _STYLES.get(run.state, "bold red")
    title = printable(f"{run.pipeline} {run.version or ''}".rstrip())
    stopped = f", stopped by {run.stopped_by}" if run.stopped_by else ""
    console.print(Text.assemble(f"\n{title} ", (run.state, style), f" in {run.seconds:.1f} s{stopped}"))
    for name, text in _facts(run):
        # Wrap lines on a terminal only.
        lines = _wrapped(text, console.width - 12) if console.is_terminal else [text]
        for label, line in zip([name, *[""] * len(lines)], lines, strict=False):
            console.print(Text(f"  {label:<7} {line.replace(_JOINED, ' ')}"))
    is_retriable = run.state == "FAILED" and not run.stopped_by
    hints = {
        "Go on from the failed step with": f"tiffin runs retry {run.id}" if is_retriable else None,
        # After a retry, another run may be the newest.
        "Show the report with": f"tiffin report{f' {run.id}' if run.attempts else ''}" if run.report else None,
        "Show the database of MLflow with": "tiffin ui" if run.tracking_uri == own_tracking_uri(run) else None,
        f"A model server is running at {run.left_server}. Stop it with": "tiffin serve --stop"
        if run.left_server
        else None,
    }
    for text, command in hints.items():
        if command:
            console.print(Text(printable(f"{text}: {command}{state_option}")))


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, max(columns, 20), break_long_words=False, break_on_hyphens=False)


def _facts(run: Run) -> list[tuple[str, str]]:
    metrics = [("metrics", _numbers(run.metrics or {}))]
    if len(run.evaluations) > 1:
        metrics = [
            (
                "metrics",
                f"{run.title_of(step)} {'passed' if found.passed else 'did not pass'}: {_numbers(found.metrics)}",
            )
            for step, found in run.evaluations.items()
        ]
    models = run.models.values() or filter(None, [run.model])
    facts = [
        ("reason", printable(run.reason)),
        ("data", printable(run.data_version or "")),
        *metrics,
        ("verdict", printable(run.verdict.reason) if run.verdict and run.state in STATUSES else None),
        *[("model", printable(f"{model.name} version {model.version}")) for model in models],
        ("serving", printable(run.serving or "")),
        *[("verdict", printable(f"{found.sentence} {found.action}")) for found in run.monitorings.values()],
        *[("again", printable(found.sentence)) for found in run.retrainings.values()],
        *[("back", printable(found.sentence)) for found in run.rollbacks.values()],
        *[("output", printable(found.sentence)) for found in run.predictions.values()],
        ("report", printable(relative(run.report)).replace(" ", _JOINED) if run.report else None),
        ("mlflow", printable(run.tracking_uri or "").replace(" ", _JOINED)),
        # What was kept is among the warnings.
        *[("told", printable(one.line)) for one in run.notifications if not one.line.startswith(WARNING)],
        # Without another failure, these lines are the reason itself.
        *[("unread", printable(line)) for line in run.unread if line not in run.reason],
        *[("warning", printable(line)) for line in run.warnings],
    ]
    return [(name, text) for name, text in facts if text]


def _numbers(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{printable(name)}{_JOINED}{value:.6g}" for name, value in metrics.items() if value is not None)
