"""Programs of a state folder that a command runs until Ctrl-C."""

import signal
import subprocess

from tiffin.commands.output import echo
from tiffin.local.programs import Server, wait_until_open


def describe(server: Server) -> str:
    """Return a line about a running program."""
    title = "server" if server.program.folder == "server" else server.program.title
    return f"A {title} is running for {server.state} at {server.address}, process {server.pid}. Log: {server.log}"


def wait_for_end(server: Server, process: subprocess.Popen[bytes], line: str) -> int:
    """Print a line once a program answers; wait until its process ends, or end it on a signal; return the exit status."""
    # Shells start background jobs with SIGINT ignored; handle it anyway.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        wait_until_open(server)
        echo(f"{line} Press Ctrl-C to stop.")
        echo(f"Log: {server.log}")
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
