"""`tiffin ui`."""

from pathlib import Path

import click

from tiffin.commands.browser import open_page
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo


@click.command(epilog=examples("tiffin ui", "tiffin ui --port 5001 --no-browser", "tiffin ui --state /tmp/tiffin"))
@state_option
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Port of the UI.  [default: 5000, or a free port if 5000 is taken]",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@debug_option
def ui(*, state: str, port: int | None, no_browser: bool) -> int:
    """Show the runs and models of the state folder in MLflow, until Ctrl-C.

    Starts MLflow's server on the database of the state folder. It listens on 127.0.0.1 only, without a login.
    """
    from tiffin.local.mlflow_ui import serve_ui

    def opened(address: str, log: Path) -> None:
        echo(f"MLflow shows the runs of {state} at {address}. Press Ctrl-C to stop.")
        echo(f"Log: {log}")
        if not no_browser:
            # The page of experiments, as its start page is about language models.
            open_page(f"{address}/#/experiments?workflowType=machine_learning")

    serve_ui(state, port, opened)
    echo("\nStopped MLflow.", err=True)
    return 0
