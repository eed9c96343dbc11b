"""The argument RUN of commands that take a local run, and its completion in a shell."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from tiffin.commands.options import STATE
from tiffin.local.records import list_runs


def complete_runs(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the runs of the state folder that start with `incomplete`, newest first."""
    state = Path(os.path.abspath(ctx.params.get("state") or STATE))
    names = [folder.name for _, folder in list_runs(state)]
    return [CompletionItem(name) for name in reversed(names) if name.startswith(incomplete)]


def run_argument(*, required: bool) -> Callable[..., Any]:
    """Return the argument RUN, which is empty if it is optional and not given."""
    if required:
        return click.argument("run", metavar="RUN", shell_complete=complete_runs)
    return click.argument("run", required=False, default="", metavar="[RUN]", shell_complete=complete_runs)
