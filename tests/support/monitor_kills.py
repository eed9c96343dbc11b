"""Monitor a log in processes that are killed at their n-th write, each going on where the one before ended.

    python tests/support/monitor_kills.py REFERENCE OUTPUT LOG NOW

Prints the number of processes that were killed.
"""

import os
import sys
from datetime import datetime

from support.batch_kills import kill_at
from tiffin.stages.monitor.monitoring import monitor


def main(reference: str, output: str, log: str, now: str) -> None:
    """Kill processes at their first, second, third... write below the log or the output, until one ends."""
    for number in range(1, 1000):
        child = os.fork()
        if not child:
            kill_at(number, (output, log))
            monitor(reference, output, log_root=log, now=datetime.fromisoformat(now))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if code := os.waitstatus_to_exitcode(status):
                sys.exit(code)
            print(number - 1)  # noqa: T201
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
