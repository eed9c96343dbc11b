"""The queue between Envoy's streams and the writer. It is bounded: what does not fit is dropped, so that nobody waits."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any


class Inbox:
    """A queue of entries.

    Args:
        capacity: Most entries in the queue.
        capacity_bytes: Most bytes in the queue.

    Attributes:
        entries: Number of entries in the queue.
        received: Number of entries that came, with those that were dropped.
        read: Number of entries that were taken from the queue.
    """

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self._capacity, self._capacity_bytes = capacity, capacity_bytes
        self._batches: deque[tuple[Sequence[Any], int]] = deque()
        self._changed = threading.Condition()
        self.entries = self.received = self.read = 0
        self._bytes = 0

    def put(self, entries: Sequence[Any], size_bytes: int) -> int:
        """Add entries, and return how many were dropped because the queue is full."""
        with self._changed:
            room = self._capacity - self.entries if self._bytes + size_bytes <= self._capacity_bytes else 0
            self.received += len(entries)
            taken = entries[: max(room, 0)] if len(entries) > room else entries
            if len(taken):
                self._batches.append((taken, size_bytes))
                self.entries += len(taken)
                self._bytes += size_bytes
                self._changed.notify()
            return len(entries) - len(taken)

    def get(self, timeout_seconds: float) -> Sequence[Any]:
        """Return the oldest entries, which came together; none after a timeout."""
        with self._changed:
            if not self._batches:
                self._changed.wait(timeout_seconds)
            if not self._batches:
                return ()
            entries, size_bytes = self._batches.popleft()
            self.entries -= len(entries)
            self.read += len(entries)
            self._bytes -= size_bytes
            return entries
