"""Programs of a state folder that a command runs until Ctrl-C."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import click

from tiffin.commands.output import echo
from tiffin.local.programs import Server, wait_until_open


def listening_options(port: int, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds `--port` and `--host` to a command.

    Args:
        port: Default port.
        text: Help of the port.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--host",
                default="127.0.0.1",
                show_default=True,
                metavar="ADDRESS",
                help="Address to listen on; 0.0.0.0 for all interfaces.",
            ),
            click.option(
                "--port", type=click.IntRange(1, 65535), default=port, show_default=True, metavar="PORT", help=text
            ),
        ):
            command = option(command)
        return command

    return add


def describe(server: Server) -> str:
    """Return a line about a running program."""
    title = "server" if server.program.folder == "server" else server.program.title
    return f"A {title} is running for {server.state} at {server.address}, process {server.pid}. Log: {server.log}"


def wait_for_end(server: Server, process: subprocess.Popen[bytes], line: str, *more: str) -> int:
    """Print lines once a program answers; wait until its process ends, or end it on a signal; return the exit status."""
    # Shells start background jobs with SIGINT ignored; handle it anyway.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        wait_until_open(server)
        echo(f"{line} Press Ctrl-C to stop.")
        for text in (*more, f"Log: {server.log}"):
            echo(text)
        return 1 if process.wait() else 0
    except KeyboardInterrupt:
        echo(f"\nStopping the {'server' if server.program.folder == 'server' else server.program.title}.", err=True)
        return 0
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
