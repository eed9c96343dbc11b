"""The processes of --processes: forked, heard, replaced when one is lost, stopped.

Whoever keeps them has no threads and runs no TensorFlow, so that it can fork at any time.
"""

import dataclasses
import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tiffin.model_server import channel

_log = logging.getLogger(__name__)
# The waits before one takes the place of another that did not come as far as to serve.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 10.0
_GRACE_SECONDS = 10.0


@dataclasses.dataclass(eq=False)
class Process:
    """A process that serves, or is about to.

    Attributes:
        pid: Its id.
        channel: The owner's end of the conversation with it.
        stated: The number of the last states it knows.
        is_admitted: Whether it was told to open the ports.
        is_open: Whether it has.
    """

    pid: int
    channel: channel.Channel
    stated: int = 0
    is_admitted: bool = False
    is_open: bool = False


class Processes:
    """Those that run now."""

    def __init__(self, count: int, run: Callable[[channel.Channel], None]) -> None:
        """Start none yet.

        Args:
            count: How many there are to be.
            run: Is the worker, in a new process.
        """
        self._count, self._run = count, run
        self._running: list[Process] = []
        self._selector = selectors.DefaultSelector()
        self._wait_seconds = 0.0
        self._spawn_at = 0.0

    def __iter__(self) -> Iterator[Process]:
        return iter(self._running)

    def spawn(self) -> Process | None:
        """Start a process where one is missing and its time has come, else return None."""
        if len(self._running) >= self._count or time.monotonic() < self._spawn_at:
            return None
        ours, theirs = channel.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                for process in self._running:
                    process.channel.close()
                self._selector.close()
                self._run(theirs)
                status = 0
            except BaseException:  # noqa: BLE001 - nothing may leave this frame: it is the parent's
                _log.exception("A serving process ends:")
            finally:
                os._exit(status)
        theirs.close()
        process = Process(pid, ours)
        self._running.append(process)
        self._selector.register(ours.socket, selectors.EVENT_READ, process)
        return process

    def tell(self, **message: Any) -> None:
        """Send a message to all."""
        for process in self._running:
            process.channel.send(**message)

    def hear(self, timeout: float) -> Iterator[tuple[Process, dict[str, Any]]]:
        """Yield what they say; one that is gone is taken off the list.

        Args:
            timeout: Seconds to wait where nobody says anything.
        """
        for key, _ in self._selector.select(timeout):
            messages = key.data.channel.receive()
            if messages is None:
                self._lose(key.data)
            for message in messages or []:
                yield key.data, message

    def opened(self, process: Process) -> None:
        """Take note that a process serves."""
        process.is_open = True
        self._wait_seconds = 0.0

    def end(self, process: Process) -> None:
        """End a process that does not serve and is not going to: another one tries in its place."""
        os.kill(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End all, after their requests in flight."""
        self.tell(do="stop")
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self._running:
            while os.waitpid(process.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(process.pid, signal.SIGKILL)
                time.sleep(0.02)

    def _lose(self, process: Process) -> None:
        self._selector.unregister(process.channel.socket)
        process.channel.close()
        self._running.remove(process)
        _, status = os.waitpid(process.pid, 0)
        _log.error("Process %d is gone (status %d); another takes its place", process.pid, status)
        if not process.is_open:
            # What ended it may well end the next: try at longer and longer intervals.
            self._wait_seconds = min(max(2 * self._wait_seconds, _FIRST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
            self._spawn_at = time.monotonic() + self._wait_seconds
