"""Monitor a log in processes that are killed at their n-th write, each going on where the one before ended.

    python tests/support/monitor_kills.py REFERENCE OUTPUT LOG NOW

Prints the number of processes that were killed.
"""

import sys
from datetime import datetime

from support.write_kills import kill_until_done
from tiffin.stages.monitor.monitoring import monitor


def main(reference: str, output: str, log: str, now: str) -> None:
    """Monitor until a process is not killed at a write below the log or the output."""
    moment = datetime.fromisoformat(now)
    kill_until_done(lambda: monitor(reference, output, log_root=log, now=moment), (output, log))


if __name__ == "__main__":
    main(*sys.argv[1:])
