"""Stands in for `python3` in a step: hands the work to a warm interpreter and ends as it ends.

Called as `python -ISE handover.py SOCKET PYTHON ARGUMENT...` once a step, so it imports little: not even `typing`.
What a warm interpreter cannot do, and everything when it does not answer, goes to a new process of PYTHON.
"""

import json
import os
import signal
import socket
import struct
import sys

# What a terminal, a runner or an operator may send to a step.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

EXECUTOR = ["-m", "kfp.dsl.executor_main"]


def main(path: str, python: str, *arguments: str) -> None:
    """Hand `arguments` over to the warm interpreter that listens at `path`, or to a new process of `python`."""
    if list(arguments[:2]) != EXECUTOR:
        os.execv(python, [python, *arguments])  # noqa: S606 - there is nothing for a shell to do
    # Until the step runs, Ctrl-C ends this process without a traceback of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    step = start(connection, path, list(arguments[1:]))
    if not step:
        say("the warm interpreter did not start, so this step starts cold.")
        os.execv(python, [python, *arguments])  # noqa: S606 - as above
    for number in FORWARDED:
        signal.signal(number, lambda number, _frame: pass_on(step, number))
    try:
        status = connection.recv(4, socket.MSG_WAITALL)
    except OSError:
        status = b""
    if len(status) < 4:
        say("the warm interpreter of this step was killed; it may have run out of memory. Try again with --cold.")
        status = struct.pack("i", signal.SIGKILL)
    end_like(struct.unpack("i", status)[0])


def start(connection: socket.socket, path: str, arguments: list[str]) -> int:
    """Connect and have the step started; return its process id, or 0. Waits while the interpreter still imports."""
    try:
        connection.connect(path)
        send_request(connection, arguments, (0, 1, 2))
        return receive_process(connection)
    except OSError:
        return 0


def receive_process(connection: socket.socket) -> int:
    """Return the process id of what was asked for, or 0 where the warm interpreter ended before it started."""
    reply = connection.recv(4, socket.MSG_WAITALL)
    return struct.unpack("i", reply)[0] if len(reply) == 4 else 0


def pass_on(step: int, number: int) -> None:
    """Signal the step itself: the warm interpreter may be in the middle of an import, and would do so seconds late."""
    try:
        os.kill(step, number)
    except ProcessLookupError:
        # It has just ended, and how is on its way.
        return


def send_request(
    connection: socket.socket, arguments: list[str], files: tuple[int, ...], detached: bool = False
) -> None:
    """Send what a process is made of: arguments, environment, folder, umask and open files.

    Args:
        connection: To the warm interpreter.
        arguments: A module's name and its arguments.
        files: The first three become standard input, output and error. The rest stay open.
        detached: Whether the process outlives this one and the warm interpreter. Defaults to False.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": umask,
        "detached": detached,
    }
    # JSON's escapes carry the surrogates that stand for bytes which are not UTF-8.
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [struct.pack("I", len(payload))], files)
    connection.sendall(payload)


def end_like(status: int) -> None:
    """End this process as the one did that `status`, as from os.wait, belongs to."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def say(text: str) -> None:
    """Leave a line in the step's log."""
    sys.stderr.write(f"tiffin: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
