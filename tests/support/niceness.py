"""Nice values of the threads and of the session of a process."""

import contextlib
from pathlib import Path


def thread_niceness(pid: int) -> set[int]:
    """Return the nice values of the threads of a process (proc_pid_stat(5), field 19)."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found.add(int(path.read_text().rpartition(")")[2].split()[16]))
    return found


def session_niceness(pid: int) -> int | None:
    """Return the nice value of a process's session; None where Linux has none for it."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])
    except (OSError, IndexError):
        return None
