"""`tiffin report`."""

import os
from pathlib import Path
from typing import Any

import click

from tiffin.artifacts.summary import CARD_PAGE, REPORT_PAGE
from tiffin.commands.browser import open_page
from tiffin.commands.options import debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo, echo_json
from tiffin.commands.run_names import run_argument
from tiffin.errors import InputError, TiffinError
from tiffin.local.records import STATUSES, find_page, find_run, list_runs, read_state, relative
from tiffin.stages import find_stages
from tiffin.storage.files import write_bytes

# The stage whose component writes the report.
_STAGE = "report"


@click.command(
    epilog=examples(
        "tiffin report", "tiffin report training-20260301-120000-1a2b --card", "tiffin report --output report.html"
    )
)
@run_argument(required=False)
@state_option
@click.option("--card", is_flag=True, help="The card of the run's model instead of the report.")
@click.option("--output", type=click.Path(), metavar="FILE", help="Copy the page to this file instead of opening it.")
@click.option("--print", "only_print", is_flag=True, help="Only print the path of the page.")
@click.option("--json", "as_json", is_flag=True, help="Only print run, state and pages, as one JSON object.")
@debug_option
def report(*, run: str, state: str, card: bool, output: str | None, only_print: bool, as_json: bool) -> int:
    """Open the report of a local run in the browser: the newest run, or RUN.

    RUN is the ID of a run, its start, or the path of the run's folder. Without a display, or if standard output is not a
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
    state, record = read_state(folder)
    pages = {name: find_page(folder, page) for name, page in (("report", REPORT_PAGE), ("card", CARD_PAGE))}
    return {
        "run": (record or {}).get("run"),
        "state": state,
        "folder": str(folder),
        **{name: None if page is None else str(page) for name, page in pages.items()},
        "output": None if output is None else str(Path(output).absolute()),
    }


def _explain(folder: Path, state: str, *, card: bool) -> str:
    """Return why a run has no report or no card, and what to look at instead."""
    what, name = ("model card", CARD_PAGE) if card else ("report", REPORT_PAGE)
    run_state, record = read_state(folder)
    logs = relative(folder / "logs")
    steps = (record or {}).get("steps") or []
    [component] = find_stages()[_STAGE]
    ends = [step for step in steps if step["name"].partition(".")[0] == component.replace("_", "-")]
    ended = f"its state is {run_state}"
    here = Path(state).absolute()
    if run_state not in (*STATUSES, "FAILED"):
        reason = f"{ended}. Logs: {logs}"
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
