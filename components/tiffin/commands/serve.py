"""`tiffin serve`."""

import click

from tiffin.commands.foreground import describe, listening_options, wait_for_end
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo
from tiffin.errors import TiffinError
from tiffin.local import serving


@click.command(epilog=examples("tiffin serve --port 8600", "tiffin serve --status", "tiffin serve --stop"))
@state_option
@listening_options(serving.DEFAULT_PORT, "Port of the gRPC API.")
@click.option(
    "--allow-reload-config",
    is_flag=True,
    help="Let every client change the models by ReloadConfig. A model can read and write your files.",
)
@click.option("--stop", is_flag=True, help="Stop the server of --state, also one that a run started.")
@click.option("--status", is_flag=True, help="Show the server of --state; exit with status 1 if none is running.")
@debug_option
def serve(*, state: str, port: int, host: str, allow_reload_config: bool, stop: bool, status: bool) -> int:
    """Serve the models that local runs deployed, with TensorFlow Serving's gRPC API, until Ctrl-C."""
    if stop and status:
        raise click.UsageError("--stop and --status should not be used together.")
    nothing = f"No server is running for {state}."
    if stop:
        stopped = serving.stop_server(state)
        echo(f"Stopped the server at {stopped.address}." if stopped else nothing)
        return 0
    if status:
        running = serving.find_server(state)
        echo(describe(running) if running else nothing)
        return 0 if running else 1
    with serving.starting_server(state, host, port) as (server, locks):
        if not locks:
            echo(describe(server))
            if allow_reload_config:
                raise TiffinError(
                    "--allow-reload-config applies to a new server. Stop the running one with --stop first."
                )
            return 0
        process = serving.spawn(server, locks, host, ["--allow-reload-config"] * allow_reload_config)
    return wait_for_end(server, process, f"Serving {serving.serving_root(server.state)} at {server.address}.")
