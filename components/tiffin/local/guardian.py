"""Kills the steps of a run that was itself killed, and removes its temporary folder.

Called as `python -ISE guardian.py FOLDER` with the run's temporary folder. The run writes lines to standard input:
`+GROUP` when the process group of a step starts, `-GROUP` when it ends, and `.` before the run ends normally. The input
ends when the run does.
"""

import contextlib
import os
import signal
import sys


def main(folder: str) -> None:
    """Read standard input to its end; if the run did not end normally, kill the remaining groups and remove the folder."""
    groups: set[int] = set()
    for line in sys.stdin:
        if line[0] == ".":
            return
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    # Rarely needed, and slow to import.
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
