"""Processes that are killed at their first, second, third... write, each going on where the one before ended."""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

# A file is written under another name, and then renamed.
_WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def kill_until_done(work: Callable[[], object], places: tuple[str, ...]) -> None:
    """Do the work in processes until one is not killed; print how many were, and exit with the status of a failure.

    Call it in a process without threads.

    Args:
        work: What each process does.
        places: Starts of the paths whose writes count.
    """
    for number in itertools.count(1):
        child = os.fork()
        if not child:
            _kill_at(number, places)
            work()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if code := os.waitstatus_to_exitcode(status):
                sys.exit(code)
            print(number - 1)  # noqa: T201
            return


def _kill_at(number: int, places: tuple[str, ...]) -> None:
    """Kill this process at its n-th write below one of the places."""
    count = 0

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _WRITES and any(
            str(one).startswith(places) for one in arguments if isinstance(one, str | os.PathLike)
        ):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(see)
