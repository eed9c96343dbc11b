"""`tiffin serve`."""

import signal
import subprocess

import click

from tiffin.commands.options import debug_option, state_option
from tiffin.local import serving


@click.command()
@state_option
@click.option("--port", type=click.IntRange(1, 65535), default=serving.DEFAULT_PORT, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to serve on.")
@click.option("--stop", is_flag=True, help="Stop the server that runs for the state folder.")
@click.option("--status", is_flag=True, help="Say whether a server runs; the exit status is 1 if none does.")
@debug_option
def serve(*, state: str, port: int, host: str, stop: bool, status: bool) -> int:
    """Serve the models that runs deployed, by TensorFlow Serving's gRPC API, until Ctrl-C."""
    if stop and status:
        raise click.UsageError("--stop and --status should be given one at a time. Received: both.")
    if stop:
        stopped = serving.stop_server(state)
        click.echo(f"Stopped the server at {stopped.address}." if stopped else f"No server runs for {state}.")
        return 0
    if status:
        running = serving.find_server(state)
        click.echo(_describe(running) if running else f"No server runs for {state}.")
        return 0 if running else 1
    with serving.starting_server(state, host, port) as (server, locks):
        if not locks:
            click.echo(_describe(server))
            return 0
        process = serving.spawn(server, locks, host)
    return _wait(server, process)


def _describe(server: serving.Server) -> str:
    return f"A server runs for {server.state} at {server.address}, process {server.pid}. Its log: {server.log}"


def _wait(server: serving.Server, process: subprocess.Popen[bytes]) -> int:
    """Wait until the process ends, or Ctrl-C or a polite kill ends it."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # A shell has jobs in the background ignore Ctrl-C; whoever sends it to this one means it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        serving.wait_until_open(server)
        click.echo(f"Serving {serving.serving_root(server.state)} at {server.address}. Ctrl-C stops it.")
        click.echo(f"Its log: {server.log}")
        return 1 if process.wait() else 0
    except KeyboardInterrupt:
        click.echo("\nStopping the server.", err=True)
        return 0
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
