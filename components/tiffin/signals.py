"""The signals that tell a program to end."""

import math
import signal
import time

# A signal that arrives just before a wait does not end it, so waits are short. See the note of `signal.signal` in Python:
# its handlers run between two instructions of the main thread.
_TICK_SECONDS = 0.1


class StopSignal:
    """Whether SIGTERM or SIGINT has come. Of the main thread only.

    Not a `threading.Event`: the handler may interrupt the main thread while that holds the event's lock, and would wait for it
    forever.
    """

    def __init__(self) -> None:
        self._has_come = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, *_: object) -> None:
        self._has_come = True

    def is_set(self) -> bool:
        """Return whether a signal has come."""
        return self._has_come

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait for a signal; return whether one has come.

        Args:
            seconds: Longest wait. Defaults to no limit.
        """
        end = time.monotonic() + seconds
        while not self._has_come and (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, _TICK_SECONDS))
        return self._has_come
