"""One attempt of a step, which ends with all its processes, so that none goes on while a retry runs.

An attempt is a process group, and the processes that a warm interpreter forked for it: these have sessions of their own,
and one may start after the attempt was killed, if the interpreter was busy. Each of them holds a shared lock on the
attempt's file. Once the runner holds the lock exclusively and has removed the file, none is left and none can join.
"""

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import BinaryIO

# Environment variable with the path of the attempt's file.
VARIABLE = "TIFFIN_ATTEMPT"


def join(path: str) -> bool:
    """Make this process, the leader of its group, part of the attempt; return False if the attempt has ended."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return False
    os.write(file, f"{os.getpid()}\n".encode())
    fcntl.flock(file, fcntl.LOCK_SH)
    # The descriptor stays open, and with it the lock, until this process and its forks end.
    return os.fstat(file).st_nlink > 0


def end(path: Path, group: int, timeout: float = 30) -> bool:
    """Kill the processes of an attempt that are left, and wait until they are gone.

    Args:
        path: The attempt's file, which is removed.
        group: The process group.
        timeout: Seconds to wait. Defaults to 30.

    Returns:
        Whether they are gone. A process that waits for a device cannot be killed.
    """
    deadline = time.monotonic() + timeout
    with path.open("rb") as file:
        while (left := _kill(group) | _kill_members(file)) and time.monotonic() < deadline:
            time.sleep(0.01)
        path.unlink()
    return not left


def _kill_members(file: BinaryIO) -> bool:
    """Kill the processes that hold a shared lock on an attempt's file, and return whether there are any."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        # The last line may be incomplete.
        for line in file.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                _kill(int(line))
        return True
    return False


def _kill(group: int) -> bool:
    """Kill a process group, and return whether it has members."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
        return True
    return False
