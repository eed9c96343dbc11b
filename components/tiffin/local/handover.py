"""Replaces `python3` in a step: hands the command to a warm interpreter and ends with the same status.

Called as `python -ISE handover.py SOCKET PYTHON ARGUMENT...` for each step, so it imports little, not even `typing`.
Commands that a warm interpreter cannot run, and all commands if it does not answer, run in a new process of PYTHON.
"""

import json
import os
import signal
import socket
import struct
import sys

# Signals that a terminal, a runner or an operator may send to a step.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

# Commands that a warm interpreter runs: a step, and the model server that a step starts.
COMMANDS = (("-m", "kfp.dsl.executor_main"), ("-m", "tiffin.model_server"))


def main(path: str, python: str, *arguments: str) -> None:
    """Hand `arguments` over to the warm interpreter that listens at `path`, or to a new process of `python`."""
    if arguments[:2] not in COMMANDS:
        os.execv(python, [python, *arguments])  # noqa: S606 - no shell is needed
    # Until the step runs, Ctrl-C ends this process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    step = start(connection, path, list(arguments[1:]))
    if not step:
        log("the warm interpreter did not start; this step starts a new one.")
        os.execv(python, [python, *arguments])  # noqa: S606 - as above
    for number in FORWARDED:
        signal.signal(number, lambda number, _frame: pass_on(step, number))
    try:
        status = connection.recv(4, socket.MSG_WAITALL)
    except OSError:
        status = b""
    if len(status) < 4:
        log("the warm interpreter of this step was killed, possibly out of memory. Try again with --cold.")
        status = struct.pack("i", signal.SIGKILL)
    end_like(struct.unpack("i", status)[0])


def start(connection: socket.socket, path: str, arguments: list[str]) -> int:
    """Start the step in the warm interpreter and return its process id, or 0 on failure. Waits for pending imports."""
    try:
        connection.connect(path)
        send_request(connection, arguments, (0, 1, 2))
        return receive_process(connection)
    except OSError:
        return 0


def receive_process(connection: socket.socket) -> int:
    """Return the id of the requested process, or 0 if the warm interpreter ended before starting it."""
    reply = connection.recv(4, socket.MSG_WAITALL)
    return struct.unpack("i", reply)[0] if len(reply) == 4 else 0


def pass_on(step: int, number: int) -> None:
    """Send a signal to the step itself: the warm interpreter may be importing, and would forward it seconds late."""
    try:
        os.kill(step, number)
    except ProcessLookupError:
        # It has just ended; its status is about to arrive.
        return


def send_request(
    connection: socket.socket, arguments: list[str], files: tuple[int, ...], detached: bool = False
) -> None:
    """Send a request for a process: arguments, environment, working directory, umask and open files.

    Args:
        connection: Connection to the warm interpreter.
        arguments: Name of a module, followed by its arguments.
        files: File descriptors. The first three become standard input, output and error; the others stay open.
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
    # JSON escapes preserve the surrogates that encode bytes which are not UTF-8.
    payload = json.dumps(request).encode()
    socket.send_fds(connection, [struct.pack("I", len(payload))], files)
    connection.sendall(payload)


def end_like(status: int) -> None:
    """End this process with the same exit status or signal as `status`, a wait status of os.wait."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def log(text: str) -> None:
    """Write a line to the step's log."""
    sys.stderr.write(f"tiffin: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
