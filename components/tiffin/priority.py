"""Low priority of the processor, for work that should not delay others, such as the requests of users.

Linux has two: that of a thread, its nice value; and, where autogroups are on, as on many machines without containers, that of a
session. There, nice values count only among the threads of one session (sched(7), "The autogroup feature"), and a server in a
session of its own would be as important as all others.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

_log = logging.getLogger(__name__)

_AUTOGROUP = Path("/proc/self/autogroup")
_LOWEST = 19
# Without privileges, a change is refused if another was made on the machine in the last 100 ms.
_ATTEMPTS, _PAUSE_SECONDS = 50, 0.1

T = TypeVar("T")


def lower_priority(niceness: int) -> None:
    """Lower the priority of this process, and that of its session if it leads one.

    Args:
        niceness: What is added to the nice value; 1 to 19.
    """
    os.nice(niceness)
    if (session := _own_session()) is not None:
        _change_session(session + niceness)


def at_low_priority(work: Callable[[], T], niceness: int) -> T:
    """Run a function in a thread of low priority, and return its result.

    The thread that waits for it and those that start later keep their priority. If this process leads a session, the
    whole session has the low priority meanwhile.

    Args:
        work: The function; its error is raised.
        niceness: What is added to the nice value; 1 to 19.
    """

    def run() -> T:
        # On Linux, this is the nice value of the thread alone.
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + niceness, _LOWEST))
        return work()

    session = _own_session()
    if session is not None:
        _change_session(session + niceness)
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()
    finally:
        if session is not None:
            _change_session(session)


def _own_session() -> int | None:
    """Return the nice value of the session that this process leads; None if it leads none, or without autogroups."""
    if os.getsid(0) != os.getpid():
        return None
    try:
        return int(_AUTOGROUP.read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def _change_session(niceness: int) -> None:
    for _ in range(_ATTEMPTS):
        try:
            _AUTOGROUP.write_text(str(min(niceness, _LOWEST)))
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except OSError as error:
            _log.warning("could not change the priority of the session: %s", error)
            return
        else:
            return
    _log.warning("could not change the priority of the session, since other processes do so all the time")
