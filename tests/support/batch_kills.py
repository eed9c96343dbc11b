"""Predict a batch in processes that are killed at their n-th write, each going on where the one before ended.

    python tests/support/batch_kills.py MODEL EXAMPLES LOCATION LOG

Prints the number of processes that were killed.
"""

import os
import signal
import sys
from typing import Any

from tiffin.stages.predict.prediction import predict

# A file is written under another name, and then renamed.
_WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def main(model: str, examples: str, location: str, log: str) -> None:
    """Kill processes at their first, second, third... write below the location or the log, until one ends."""
    import tensorflow  # noqa: F401 - before the processes are forked

    for number in range(1, 1000):
        child = os.fork()
        if not child:
            kill_at(number, (location, log))
            predict(
                examples, f"{location}-artifact", model=model, name="taxi", key="trip", location=location, log=True,
                log_root=log,
            )  # fmt: skip
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if code := os.waitstatus_to_exitcode(status):
                sys.exit(code)
            print(number - 1)  # noqa: T201
            return


def kill_at(number: int, places: tuple[str, ...]) -> None:
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


if __name__ == "__main__":
    main(*sys.argv[1:])
