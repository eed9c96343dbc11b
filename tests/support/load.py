"""Predictions at a steady rate, from a process of their own.

    with load.sent_to("127.0.0.1:8500", "taxi", {"miles": [[1.5]]}, per_second=300) as load:
        ...  # change the model
        sent = load.stop()

Requests start when they are due, whether or not earlier ones were answered, and a latency counts from when its request was
due: a server that stops for a second delays all requests of that second. Requests are those of `AsyncClient`, which repeats
calls while the server is unavailable and asks for the metadata again after an error, as clients of users do.
"""

import asyncio
import collections
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Different messages that are kept.
_MESSAGES = 100


@dataclass(frozen=True)
class Sent:
    """The requests that were sent.

    Attributes:
        codes: `OK`, or the code or the type of the error, to the number of requests that ended with it.
        failures: Message of an error to its number; of the first 100 different ones.
        seconds: Time from the first request to the last answer.
        per_second: Requests per second that were due while they were sent.
        p50_seconds: Median latency of successful requests; NaN without one.
        p99_seconds: 99th percentile of these.
        latencies: Of each successful request, the monotonic time when it was due, and its latency, in seconds.
    """

    codes: dict[str, int]
    failures: dict[str, int]
    seconds: float
    per_second: float
    p50_seconds: float
    p99_seconds: float
    latencies: list[tuple[float, float]]

    @property
    def requests(self) -> int:
        return sum(self.codes.values())

    @property
    def failed(self) -> int:
        return self.requests - self.codes.get("OK", 0)


class Load:
    """A process that sends requests."""

    def __init__(self, **options: Any) -> None:
        # Not a fork: the process that tests fork from has imported much more than this one needs.
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Clients are not in the shell of whoever changes the model: where Linux shares the processor by sessions, the work
            # of the change would count against them.
            start_new_session=True,
        )
        assert self._process.stdout
        started = self._process.stdout.readline()
        assert started == "started\n", f"the load did not start, see the error above; it wrote {started!r}"

    def stop(self) -> Sent:
        """Send no further requests, wait for the answers, and return the result."""
        assert self._process.stdin
        self._process.stdin.close()
        return self.wait()

    def wait(self) -> Sent:
        """Wait until the time of the load is over, and return the result."""
        assert self._process.stdout
        content = self._process.stdout.read()
        assert self._process.wait() == 0
        return Sent(**json.loads(content))

    def kill(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def sent_to(
    address: str,
    model: str,
    inputs: Mapping[str, Any],
    *,
    per_second: float,
    seconds: float | None = None,
    signature: str = "",
    timeout_seconds: float = 30.0,
) -> Iterator[Load]:
    """Send requests during the block, for `seconds` or until `stop` is called.

    The block begins when the first request was answered; it must not fail.
    """
    load = Load(
        address=address,
        model=model,
        inputs=dict(inputs),
        per_second=per_second,
        seconds=seconds,
        signature=signature,
        timeout_seconds=timeout_seconds,
    )
    try:
        yield load
    finally:
        load.kill()


async def _send(
    address: str,
    model: str,
    inputs: dict[str, Any],
    per_second: float,
    seconds: float | None,
    signature: str,
    timeout_seconds: float,
    stopped: threading.Event,
) -> dict[str, Any]:
    from tiffin.serving import AsyncClient

    codes: collections.Counter[str] = collections.Counter()
    failures: collections.Counter[str] = collections.Counter()
    latencies: list[tuple[float, float]] = []
    running: set[asyncio.Task[None]] = set()

    async with AsyncClient(address, timeout_seconds=timeout_seconds) as client:

        async def request(due: float) -> None:
            try:
                await client.predict(model, inputs, signature)
            except Exception as error:  # noqa: BLE001 - every failure is counted
                codes[getattr(error, "code", type(error).__name__)] += 1
                if str(error) in failures or len(failures) < _MESSAGES:
                    failures[str(error)] += 1
            else:
                codes["OK"] += 1
                latencies.append((due, time.monotonic() - due))

        await client.predict(model, inputs, signature)  # connects, and fetches the metadata
        _write("started")
        begun = time.monotonic()
        number = 0
        while not stopped.is_set() and (seconds is None or number < seconds * per_second):
            due = begun + number / per_second
            # Also without a delay, so that answers are read.
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(request(due))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        sending = max(time.monotonic() - begun, number / per_second)
        await asyncio.gather(*running)
    ordered = sorted(seconds for _, seconds in latencies)
    return {
        "codes": codes,
        "failures": failures,
        "seconds": time.monotonic() - begun,
        "per_second": number / sending,
        "p50_seconds": percentile(ordered, 0.50),
        "p99_seconds": percentile(ordered, 0.99),
        "latencies": latencies,
    }


def percentile(ordered: list[float], share: float) -> float:
    """Return a percentile of sorted values; NaN without one."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _main() -> None:
    stopped = threading.Event()

    def wait() -> None:
        # The end of the input: `stop`, or the end of the process that started this one.
        sys.stdin.read()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    _write(json.dumps(asyncio.run(_send(**json.loads(sys.argv[1]), stopped=stopped))))


if __name__ == "__main__":
    _main()
