"""Kills what a run left behind when the run itself was killed and could not.

Called as `python -ISE guardian.py FOLDER` with the run's temporary folder. The run tells it on standard input which
process groups are its steps, as lines `+GROUP` and `-GROUP`, and with a line `.` that it ends in order. The input ends
when the run does, in whatever way.
"""

import contextlib
import os
import signal
import sys


def main(folder: str) -> None:
    """Follow standard input to its end; without an orderly one, kill every group still named and remove the folder."""
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
    # Hardly ever needed, and slow to import.
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
