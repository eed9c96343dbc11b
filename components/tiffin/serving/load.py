"""Send requests at a steady rate, or as fast as a number of clients get answers.

At a steady rate, requests start when they are due, whether or not earlier ones were answered, and a latency counts from when
its request was due: a server that stops for a second delays all requests of that second. What the process itself is late
counts as well, and is recorded apart.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

# Requests under way at once; a server that stops answering would else fill the memory. Further ones are late.
MAX_RUNNING = 4096
# At a steady rate, requests that are due and not sent this long after the end of the time are not sent any more.
GRACE_SECONDS = 1.0
# The longest time until an ending is noticed.
_LOOK_SECONDS = 0.1
_PAUSE_SECONDS = 0.001

# Returns the next request.
Take = Callable[[], Awaitable[Any]]
# Sends a request; returns the version that answered, None if the server does not say, or raises an error.
Send = Callable[[Any], Awaitable[int | None]]


@dataclass(frozen=True)
class Pace:
    """How fast requests are sent, and when it ends.

    Attributes:
        per_second: Requests per second; None for `concurrency`.
        concurrency: Number of clients, each of which sends a request once its last one was answered; None for `per_second`.
        seconds: Time during which requests are sent; None for no end.
        requests: Number of requests; None for no end.
    """

    per_second: float | None = None
    concurrency: int | None = None
    seconds: float | None = None
    requests: int | None = None


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        request: The request, as it was taken.
        due_seconds: Time from the start of the load until the request was due.
        late_seconds: Time from then until it was sent.
        seconds: Time from when it was due until its end.
        code: `OK`, or the code or the type of the error.
        message: The error; empty without one.
        version: Version that answered; None if unknown.
    """

    request: Any
    due_seconds: float
    late_seconds: float
    seconds: float
    code: str
    message: str
    version: int | None


@dataclass
class Ending:
    """A wish to end before time, of another thread or a signal.

    Attributes:
        is_asked: Whether to send no more requests. Defaults to False.
        is_urgent: Whether not to wait for answers either. Defaults to False.
    """

    is_asked: bool = False
    is_urgent: bool = False


@dataclass(frozen=True)
class Course:
    """The times of a load.

    Attributes:
        begun: Monotonic time when the first request was due, in seconds.
        sending_seconds: Time during which requests were sent.
        seconds: Time until the last answer.
        unsent: Requests that were due and not sent in time.
        is_full: Whether requests waited because `MAX_RUNNING` others were under way.
    """

    begun: float
    sending_seconds: float
    seconds: float
    unsent: int
    is_full: bool


async def send_load(take: Take, send: Send, pace: Pace, record: Callable[[Answer], None], ending: Ending) -> Course:
    """Send requests, and wait for their answers.

    Args:
        take: Returns the next request.
        send: Sends a request.
        pace: How fast, and until when.
        record: Called with each answer.
        ending: Ends the load before time.

    Returns:
        When requests were sent.
    """
    load = _Load(take, send, pace, record, ending)
    try:
        await (load.send_in_turn() if pace.per_second is None else load.send_steadily(pace.per_second))
        sending_seconds = time.monotonic() - load.begun
        if pace.per_second is not None:
            # The last request has a time of its own.
            sending_seconds = max(sending_seconds, load.number / pace.per_second)
        await load.wait()
    finally:
        # After an error of `take`, too.
        await load.cancel()
    return Course(load.begun, sending_seconds, time.monotonic() - load.begun, load.unsent, load.is_full)


class _Load:
    """The requests under way."""

    def __init__(self, take: Take, send: Send, pace: Pace, record: Callable[[Answer], None], ending: Ending) -> None:
        self._take, self._send, self._pace, self._record, self._ending = take, send, pace, record, ending
        self._running: set[asyncio.Task[None]] = set()
        self.begun = time.monotonic()
        self.number = self.unsent = 0
        self.is_full = False

    async def send_steadily(self, per_second: float) -> None:
        """Send each request when it is due."""
        last = math.inf if self._pace.seconds is None else self.begun + self._pace.seconds + GRACE_SECONDS
        wanted = self._wanted(per_second)
        while self.number < wanted and not self._ending.is_asked:
            due = self.begun + self.number / per_second
            # Also without a delay, so that answers are read.
            await asyncio.sleep(min(max(0.0, due - time.monotonic()), _LOOK_SECONDS))
            if time.monotonic() < due:
                continue
            if time.monotonic() > last:
                self.unsent = int(wanted - self.number)
                return
            if len(self._running) >= MAX_RUNNING:
                self.is_full = True
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._start(self._answer(await self._take(), due))
            self.number += 1

    async def send_in_turn(self) -> None:
        """Let each client send a request once its last one was answered."""
        clients = [self._start(self._ask_on()) for _ in range(self._pace.concurrency or 1)]
        while self._running and not self._ending.is_asked:
            await asyncio.wait(self._running, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
            for client in clients:
                if client.done():
                    client.result()

    async def wait(self) -> None:
        """Wait for the answers."""
        while self._running and not self._ending.is_urgent:
            await asyncio.wait(self._running, timeout=_LOOK_SECONDS)

    async def cancel(self) -> None:
        """Cancel the requests under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _wanted(self, per_second: float) -> float:
        """Return the number of requests of the whole load."""
        if self._pace.requests is not None:
            return self._pace.requests
        return math.inf if self._pace.seconds is None else math.ceil(self._pace.seconds * per_second)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _ask_on(self) -> None:
        last = math.inf if self._pace.seconds is None else self.begun + self._pace.seconds
        wanted = math.inf if self._pace.requests is None else self._pace.requests
        while time.monotonic() < last and self.number < wanted and not self._ending.is_asked:
            self.number += 1
            request = await self._take()
            await self._answer(request, time.monotonic())

    async def _answer(self, request: Any, due: float) -> None:
        started, code, message, version = time.monotonic(), "OK", "", None
        try:
            version = await self._send(request)
        except asyncio.CancelledError:
            code, message = "CANCELLED", "The load was ended before the answer."
            raise
        except Exception as error:  # noqa: BLE001 - every failure is counted
            code, message = getattr(error, "code", type(error).__name__), str(error)
        finally:
            seconds = time.monotonic() - due
            self._record(Answer(request, due - self.begun, started - due, seconds, code, message, version))
