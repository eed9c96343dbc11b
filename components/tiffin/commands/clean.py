"""`tiffin clean`."""

import datetime
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo, echo_json

if TYPE_CHECKING:
    from tiffin.local.cleaning import Item

_KEEP = 10
_DAYS = {"h": 1 / 24, "d": 1, "w": 7}


def _read_age(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([hdw])", value)
    if not match:
        raise click.BadParameter(f"should be a number and h, d or w, for example 30d. Received: '{value}'.")
    return float(match[1]) * _DAYS[match[2]]


@click.command(
    epilog=examples("tiffin clean --dry-run", "tiffin clean --keep 3", "tiffin clean --older-than 30d --yes")
)
@state_option
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Number of newest runs to keep.  [default: {_KEEP}, or 0 with --older-than]",
)
@click.option(
    "--older-than",
    "days",
    metavar="AGE",
    callback=_read_age,
    help="Remove only runs that started longer ago, in h, d or w, for example 30d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without asking. Required without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; requires --yes or --dry-run.")
@debug_option
def clean(*, state: str, keep: int | None, days: float | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Remove old runs, and data versions and results that no remaining run uses, from the state folder.

    Keeps the newest runs, runs in progress, and runs whose model is served. The MLflow database, the registered models
    and the serving root are not changed.
    """
    from tiffin.local import cleaning

    if not (dry_run or yes) and (as_json or not sys.stdin.isatty()):
        raise click.UsageError("Without a terminal, or with --json, clean needs --yes or --dry-run. Received: neither.")
    folder = Path(os.path.realpath(state))
    if not (folder / "runs").is_dir():
        raise click.UsageError(f"--state should be a folder with the runs of tiffin run. Received: '{state}'.")
    now = datetime.datetime.now().astimezone()
    keep = (_KEEP if days is None else 0) if keep is None else keep
    with cleaning.idle(folder) as is_idle:
        items = cleaning.plan(folder, keep, days or 0, is_idle=is_idle, now=now)
    removed = {item.path for item in items if not item.kept}
    if not as_json:
        _show(state, items)
    if removed and not dry_run:
        if not yes and not click.confirm("Remove them?"):
            echo("Nothing was removed.")
            return 1
        # A run may have started, or a model may have been deployed, since the question. No run starts during the block.
        with cleaning.idle(folder) as is_idle:
            again = cleaning.plan(folder, keep, days or 0, is_idle=is_idle, now=now)
            items = [item if item.path in removed or item.kept else replace(item, kept="it is new") for item in again]
            gone = cleaning.remove(folder, [item for item in items if not item.kept])
            items = [item if item.kept or item in gone else replace(item, kept="it is in progress") for item in items]
        if not as_json:
            echo(f"Removed {_size(sum(item.size_bytes for item in items if not item.kept))}.")
    if as_json:
        echo_json(_to_json(folder, items, dry_run=dry_run))
    return 0


def _show(state: str, items: "list[Item]") -> None:
    for item in items:
        if item.kept and not item.kept.startswith(("one of", "newer")):
            echo(f"keep    {item.path}: {item.kept}")
    for item in items:
        if not item.kept:
            age = "unused" if item.age_days is None else f"{item.age_days:.0f} days old"
            echo(f"remove  {item.path}  {_size(item.size_bytes)}, {age}")
    removed = [item for item in items if not item.kept]
    if not removed:
        echo(f"Nothing to remove in {state}: {len(items)} runs, data versions and results are kept.")
        return
    total = _size(sum(item.size_bytes for item in removed))
    echo(f"{len(removed)} of {len(items)} runs, data versions and results in {state}, {total}.")


def _to_json(folder: Path, items: "list[Item]", *, dry_run: bool) -> dict[str, object]:
    removed = [item for item in items if not item.kept]
    return {
        "state": str(folder),
        "dry_run": dry_run,
        "removed": [
            {"path": item.path, "kind": item.kind, "bytes": item.size_bytes, "age_days": item.age_days}
            for item in removed
        ],
        "kept": [{"path": item.path, "kind": item.kind, "reason": item.kept} for item in items if item.kept],
        "bytes": sum(item.size_bytes for item in removed),
    }


def _size(size_bytes: int) -> str:
    value, units = float(size_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
