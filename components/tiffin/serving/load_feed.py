"""The requests of a file, over and over in its order, made ahead of time."""

import asyncio
import collections
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tiffin.errors import InputError
from tiffin.serving.load import Answer, Course, Ending, Pace, send_load
from tiffin.serving.load_requests import Request, Sender
from tiffin.serving.stream import Answer as RowAnswer

# A file of more requests, or of more bytes, is read again each time.
KEPT_REQUESTS = 10_000
KEPT_BYTES = 64 << 20
# Requests that are made before they are due.
_AHEAD_REQUESTS = 1000
_AHEAD_BYTES = 64 << 20
# Rows after which a file of which none can be sent is not read on.
_HOPELESS_ROWS = 10_000
_PAUSE_SECONDS = 0.001
_CLOSING_SECONDS = 5.0


class Feed:
    """The requests of a file, over and over: a thread makes them ahead of time.

    They are kept if the file is small; otherwise it is read again each time. Rows that cannot be sent are counted once.

    Args:
        name: Name of the file in errors.
        first: Requests of the file, and answers for rows that cannot be sent.
        reopen: Opens the same once more.
    """

    def __init__(
        self,
        name: str,
        first: Iterator[Request | RowAnswer],
        reopen: Callable[[], AbstractContextManager[Iterator[Request | RowAnswer]]],
    ) -> None:
        self._name, self._reopen = name, reopen
        self._lock = threading.Lock()
        self._made: collections.deque[Request] = collections.deque()
        self._made_bytes = 0
        self._kept: list[Request] = []
        self._is_small = True
        self._cycle: Iterator[Request] | None = None
        self._error: BaseException | None = None
        self._is_closed = self._is_over = False
        self.taken = self.skipped = 0
        self.first_skipped: RowAnswer | None = None
        # Requests of the file; None until it was read once.
        self.size: int | None = None
        self._thread = threading.Thread(target=self._run, args=(first,), name="load", daemon=True)
        self._thread.start()

    async def take(self) -> Request:
        """Return the next request.

        Raises:
            InputError: The file has no row that can be sent, or cannot be read again.
        """
        self.taken += 1
        while self._cycle is None:
            # Before looking for a request: the thread may add the last one in between.
            is_over = self._is_over
            if self._made:
                with self._lock:
                    request = self._made.popleft()
                    self._made_bytes -= len(request.message)
                return request
            if not is_over:
                await asyncio.sleep(_PAUSE_SECONDS)
            elif self._error:
                raise self._error
            else:
                self._cycle = itertools.cycle(self._kept)
        return next(self._cycle)

    async def wait_until_full(self, ending: Ending) -> None:
        """Wait until requests are made ahead, so that the first ones are not late.

        Args:
            ending: Ends the wait before time.

        Raises:
            InputError: The file has no row that can be sent.
        """
        while not (self._is_full() or self._is_over or ending.is_asked):
            await asyncio.sleep(_PAUSE_SECONDS)
        if self._error and not self._made:
            raise self._error

    def close(self) -> None:
        """End the thread; one that waits for a bucket is left alone."""
        self._is_closed = True
        self._thread.join(_CLOSING_SECONDS)

    def _run(self, first: Iterator[Request | RowAnswer]) -> None:
        try:
            made = self._put(first, is_first=True)
            if made is None:
                return
            if not made:
                raise self._nothing()
            self.size = made
            while not self._is_small and made is not None:
                with self._reopen() as again:
                    made = self._put(again, is_first=False)
                if made == 0:
                    raise self._nothing()
        except BaseException as error:  # noqa: BLE001 - raised by `take`
            self._error = error
        finally:
            self._is_over = True

    def _put(self, found: Iterator[Request | RowAnswer], is_first: bool) -> int | None:
        """Pass on requests and return their number; None if the feed was closed."""
        made = size = 0
        for one in found:
            if self._is_closed:
                return None
            if isinstance(one, Request):
                made += 1
                size += len(one.message)
                self._is_small = self._is_small and made <= KEPT_REQUESTS and size <= KEPT_BYTES
                if is_first and self._is_small:
                    self._kept.append(one)
                elif is_first:
                    self._kept.clear()
                if not self._pass_on(one):
                    return None
            elif is_first:
                self.skipped += 1
                # Rows whose values cannot be read come before others of their chunk.
                if self.first_skipped is None or one.row.number < self.first_skipped.row.number:
                    self.first_skipped = one
                if not made and self.skipped >= _HOPELESS_ROWS:
                    raise self._nothing()
        return made

    def _pass_on(self, request: Request) -> bool:
        """Add a request once there is room; return whether there was, before the feed was closed."""
        while self._is_full():
            if self._is_closed:
                return False
            time.sleep(_PAUSE_SECONDS)
        with self._lock:
            self._made.append(request)
            self._made_bytes += len(request.message)
        return True

    def _is_full(self) -> bool:
        return len(self._made) >= _AHEAD_REQUESTS or self._made_bytes >= _AHEAD_BYTES

    def _nothing(self) -> InputError:
        if self.first_skipped is None:
            return InputError(f"'{self._name}' should have rows to send. Received: 0 rows. Choose another file.")
        return InputError(
            f"'{self._name}' should have rows that can be sent. Received: {self.skipped:,} that cannot. "
            f"The first, row {self.first_skipped.row.number}: {self.first_skipped.error}"
        )


def run_load(
    feed: Feed, open_sender: Callable[[], Sender], pace: Pace, record: Callable[[Answer], None], ending: Ending
) -> Course:
    """Send the requests of a feed by a connection of their own, and return when they were sent; see `send_load`.

    Raises:
        ServingError: There is no connection to the server.
        InputError: The file has no row that can be sent.
    """

    async def run() -> Course:
        async with open_sender() as sender:
            await feed.wait_until_full(ending)
            return await send_load(feed.take, sender.send, pace, record, ending)

    return asyncio.run(run())
