"""Runs a command that ends with the process that started it, and with all of its own processes.

Called as `python -ISE leash.py FOLDER COMMAND...`, in a session of its own. Standard input is a pipe that the other process
holds. When it closes the pipe, or ends in any way, this process kills the command and removes the folder. When the command
ends by itself, this process ends with the same status, and the folder stays.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main(folder: str, *command: str) -> int:
    """Run the command and return its exit status; 128 and more are signals, as in a shell."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def die_with_leash() -> None:
        if prctl is not None:  # Linux only
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        # A function may run in the fork, since this process has no threads yet.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_leash,  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 127
    is_over = threading.Event()

    def end() -> None:
        while os.read(0, 1024):
            continue
        is_over.set()
        _kill(process.pid)

    threading.Thread(target=end, daemon=True).start()
    status = process.wait()
    _kill(process.pid)
    if is_over.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    # A regular exit would wait for the thread that reads standard input.
    os._exit(code)
