"""`tiffin report`."""

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from tiffin.artifacts.summary import CARD_PAGE, REPORT_PAGE
from tiffin.commands.browser import open_page
from tiffin.commands.options import STATE, debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo, echo_json
from tiffin.errors import InputError, TiffinError
from tiffin.local.records import find_page, find_run, list_runs, read_record, relative
from tiffin.stages import find_stages
from tiffin.storage.files import write_bytes

# The stage whose component writes the report.
_STAGE = "report"


def _complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the runs of the state folder that start with `incomplete`, newest first."""
    names = [folder.name for _, folder in list_runs(Path(ctx.params.get("state") or STATE))]
    return [CompletionItem(name) for name in reversed(names) if name.startswith(incomplete)]


@click.command(
    epilog=examples(
        "tiffin report", "tiffin report training-20260301-120000 --card", "tiffin report --output report.html"
    )
)
@click.argument("run", required=False, default="", metavar="[RUN]", shell_complete=_complete)
@state_option
@click.option("--card", is_flag=True, help="The card of the run's model instead of the report.")
@click.option("--output", type=click.Path(), metavar="FILE", help="Copy the page to this file instead of opening it.")
@click.option("--print", "only_print", is_flag=True, help="Only print the path of the page.")
@click.option("--json", "as_json", is_flag=True, help="Only print run, state and pages, as one JSON object.")
@debug_option
def report(*, run: str, state: str, card: bool, output: str | None, only_print: bool, as_json: bool) -> int:
    """Open the report of a local run in the browser: the newest run, or RUN.

    RUN is the name of a run's folder, its path, or the ID of the run. Without a display, or if standard output is not a
    terminal, the path is printed.
    """
    folder = find_run(Path(os.path.abspath(state)), run)
    page = find_page(folder, CARD_PAGE if card else REPORT_PAGE)
    if page is None:
        raise TiffinError(_explain(folder, state, card=card))
    if output is not None:
        if Path(output).is_dir():
            raise InputError(f"--output should be a file. Received: '{output}', a folder.")
        write_bytes(output, page.read_bytes())
    if as_json:
        echo_json(_to_json(folder, output))
    elif output is not None:
        echo(output)
    else:
        echo(relative(page))
        reason = "" if only_print else open_page(page.resolve().as_uri())
        if reason:
            command = (
                f"tiffin report{f' {folder.name}' if run else ''}{' --card' if card else ''}{state_argument(state)}"
            )
            echo(
                f"Not opened: {reason}. Open the file in a browser, or copy it: {command} --output {page.name}",
                err=True,
            )
    return 0


def _to_json(folder: Path, output: str | None) -> dict[str, Any]:
    record = read_record(folder) or {}
    pages = {name: find_page(folder, page) for name, page in (("report", REPORT_PAGE), ("card", CARD_PAGE))}
    return {
        "run": record.get("run"),
        "state": record.get("state"),
        "folder": str(folder),
        **{name: None if page is None else str(page) for name, page in pages.items()},
        "output": None if output is None else str(Path(output).absolute()),
    }


def _explain(folder: Path, state: str, *, card: bool) -> str:
    """Return why a run has no report or no card, and what to look at instead."""
    what, name = ("model card", CARD_PAGE) if card else ("report", REPORT_PAGE)
    record, logs = read_record(folder), relative(folder / "logs")
    steps = (record or {}).get("steps") or []
    [component] = find_stages()[_STAGE]
    ends = [step for step in steps if step["name"].partition(".")[0] == component.replace("_", "-")]
    ended = f"its state is {(record or {}).get('state')}"
    here = Path(state).absolute()
    if record is None:
        reason = f"it is running, or it was interrupted. Logs: {logs}"
    elif not ends:
        reason = f"{ended}, and its pipeline has no step {component}, which writes it. Logs: {logs}"
    elif ends[0]["state"] != "succeeded":
        reason = f"{ended}, and the step {ends[0]['title']}: {ends[0]['state']}. Log: {ends[0]['log'] or logs}"
    elif card and find_page(folder, REPORT_PAGE):
        reason = f"{ended}, and it has no model that could be described. See its report"
    else:
        reason = (
            f"{ended}, and the step {ends[0]['title']} wrote no {name}, as in earlier versions. Log: {ends[0]['log']}"
        )
    others = [other.name for _, other in list_runs(here) if find_page(other, name)]
    hint = f" The newest run with one: tiffin report {others[-1]}{' --card' if card else ''}" if others else ""
    return f"The run {folder.name} has no {what}: {reason}.{hint and hint + state_argument(state)}"
