"""Finished files on their way into the log, beside the writer: a slow disk or bucket does not hold up decoding.

A file that cannot be stored is tried again, with pauses that grow to half a minute. Meanwhile others wait behind it, up to
`_WAITING` of them; then the writer waits, the queue fills, and requests are dropped and counted. After a quarter of an hour a
file is dropped too.
"""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass

from tiffin import storage
from tiffin.errors import Conflict, StorageError, explain
from tiffin.recorder.metrics import Metrics
from tiffin.storage import files

_WAITING = 4
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_GIVE_UP_SECONDS = 900.0


@dataclass(frozen=True)
class Finished:
    """A complete file.

    Attributes:
        model: Name of the model.
        uri: Location to store it at.
        content: The content.
        rows: Number of its rows.
        finished: Time when it was complete, of `time.monotonic`.
    """

    model: str
    uri: str
    content: bytes
    rows: int
    finished: float


class Delivery:
    """A thread that stores files in order."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._files: deque[Finished] = deque()
        self._changed = threading.Condition()
        # None while the recorder runs; then the time, of `time.monotonic`, at which it ends.
        self._end: float | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of files that are not stored yet."""
        return len(self._files)

    def put(self, file: Finished) -> None:
        """Add a file, after waiting until there is room for it."""
        with self._changed:
            while len(self._files) >= _WAITING and self._end is None:
                self._changed.wait()
            self._files.append(file)
            self._changed.notify_all()

    def close(self) -> None:
        """Store the files that wait, until the end that `hurry` set; drop the rest."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(max(0.0, (self._end or 0.0) - time.monotonic()) + 1)
        with self._changed:
            for file in self._files:
                self._drop(file, "the recorder ends")
            self._files.clear()

    def hurry(self, end: float) -> None:
        """End pauses, and wait for room no more: the recorder ends at a time of `time.monotonic`."""
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            with self._changed:
                while not self._files:
                    if self._is_closed:
                        return
                    self._changed.wait()
                file = self._files[0]
            problem = _store(file)
            now = time.monotonic()
            with self._changed:
                if problem and self._end is None and now < file.finished + _GIVE_UP_SECONDS:
                    self._metrics.report("storage", problem)
                    self._changed.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                    continue
                if problem and self._end is not None and now < self._end:
                    self._changed.wait(_PAUSE_SECONDS)
                    continue
                if not self._files:  # dropped at the end
                    return
                self._files.popleft()
                self._changed.notify_all()
            if problem:
                self._drop(file, problem)
            else:
                pause = _PAUSE_SECONDS
                self._metrics.count_file(file.model, len(file.content), file.rows)

    def _drop(self, file: Finished, problem: str) -> None:
        self._metrics.drop_rows(file.rows)
        self._metrics.report("storage", f"'{file.uri}' with {file.rows} rows was dropped: {problem}")


def _store(file: Finished) -> str:
    """Store a file, and return why it could not be stored; empty if it was."""
    try:
        if "://" in file.uri:
            storage.write_new(file.uri, file.content)
        else:
            # A lock, as `write_new` has it, would be a file in every folder of an hour.
            files.write_bytes(os.path.abspath(file.uri), file.content, durable=True)
    except Conflict:
        # The answer to an earlier attempt was lost: no other recorder has this name.
        return ""
    except (StorageError, OSError) as error:
        return explain(error) or str(error)
    return ""
