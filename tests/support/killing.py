"""Changes of what is served in processes that are killed: at their n-th write, or after a time.

The functions fork, so call them in a process without threads: that of `forks.pool(1)`.
"""

import contextlib
import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.serving_roots import ADA, BOB
from tiffin.governance.promotion import promoting, roll_back, unload
from tiffin.governance.verification import repair_config
from tiffin.rollout import course
from tiffin.rollout.document import read_rollout
from tiffin.rollout.plan import Step
from tiffin.rollout.settling import settle
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel

# A file is written under another name, and then renamed.
_WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


class _NotServedError(Exception):
    """The server did not serve a version."""


def _promote(served: ServedModel, version: int, **options: Any) -> None:
    with promoting(served, version, ADA, replace_newer=True, **options):
        pass


def _fail(served: ServedModel, version: int, **options: Any) -> None:
    with contextlib.suppress(_NotServedError), promoting(served, version, ADA, replace_newer=True, **options):
        raise _NotServedError


def _deploy_and_fail(served: ServedModel, version: int) -> None:
    source = Path(served.locate("versions", "1"))
    _fail(served, version, new=served.publish(source, version))


def _abort_rollout(served: ServedModel, version: int) -> None:
    """Start a rollout and abort it, or go on with that."""
    found, _ = read_rollout(served)
    rollout = found or course.start(served, version, ADA, strategy="canary", steps=(Step(weight=5.0),))
    settle(served)
    course.begin(served, rollout.id)
    course.stop(served, rollout.id, "aborted", "a test")
    course.close(served, rollout.id)


# Name of a change to a function of the model and a version.
CHANGES: dict[str, Callable[[ServedModel, int], object]] = {
    "promote": _promote,
    "fail": _fail,
    "fail, keep more": lambda served, version: _fail(served, version, keep_previous=2),
    "deploy and fail": _deploy_and_fail,
    "rollback": lambda served, _: roll_back(served, BOB),
    "unload": lambda served, _: unload(served, BOB),
    "abort": _abort_rollout,
    "repair": lambda served, _: repair_config(served, BOB),
}


def kill_at_write(root: str, name: str, version: int, number: int) -> bool:
    """Make a change in a process that is killed before its n-th write in the serving root; return whether it was killed."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _WRITES and str(arguments[0]).startswith(root) and next(writes) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    writes = itertools.count(1)
    child = os.fork()
    if not child:
        sys.addaudithook(watch)
        _end_with(lambda: CHANGES[name](ServedModel(root, "taxi"), version))
    return _wait(child)


def kill_after(root: str, seed: int, seconds: float) -> bool:
    """Promote and roll back in a process that is killed after some seconds; return whether it was killed."""
    ready, started = os.pipe()
    child = os.fork()
    if not child:
        os.write(started, b"1")
        _end_with(lambda: _change_on_and_on(ServedModel(root, "taxi"), random.Random(seed)))
    os.read(ready, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.close(ready)
    os.close(started)
    return _wait(child)


def _change_on_and_on(served: ServedModel, chance: random.Random) -> None:
    versions = served.find_versions()
    while True:
        names = ["promote", "fail"] + ["rollback"] * 2 * bool(read_history(served).standing.earlier)
        CHANGES[chance.choice(names)](served, chance.choice(versions))


def _end_with(work: Callable[[], object]) -> None:
    status = 1
    os.fsync = lambda _: None  # matters only when the machine stops
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - no exception may reach the frames of the parent
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _wait(child: int) -> bool:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), status
    return status != 0
