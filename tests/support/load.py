"""Predictions at a steady rate, from a process of their own.

    with load.sent_to("127.0.0.1:8500", "taxi", {"miles": [[1.5]]}, per_second=300) as load:
        ...  # change the model
        sent = load.stop()

They are sent as `tiffin load` sends them, see `tiffin.serving.load`, but are those of `AsyncClient`, which repeats calls while
the server is unavailable and asks for the metadata again after an error, as clients of users do.
"""

import asyncio
import collections
import contextlib
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.serving.load import Answer, Ending, Pace, send_load

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
    ending: Ending,
) -> dict[str, Any]:
    from tiffin.serving import AsyncClient

    answers: list[Answer] = []
    failures: collections.Counter[str] = collections.Counter()

    def record(answer: Answer) -> None:
        answers.append(answer)
        if answer.message and (answer.message in failures or len(failures) < _MESSAGES):
            failures[answer.message] += 1

    async with AsyncClient(address, timeout_seconds=timeout_seconds) as client:

        async def take() -> None:
            pass

        async def send(_request: None) -> None:
            await client.predict(model, inputs, signature)

        await send(None)  # connects, and fetches the metadata
        _write("started")
        requests = None if seconds is None else math.ceil(seconds * per_second)
        course = await send_load(take, send, Pace(per_second=per_second, requests=requests), record, ending)
    latencies = [(course.begun + one.due_seconds, one.seconds) for one in answers if one.code == "OK"]
    ordered = sorted(seconds for _, seconds in latencies)
    return {
        "codes": collections.Counter(one.code for one in answers),
        "failures": failures,
        "seconds": course.seconds,
        "per_second": len(answers) / course.sending_seconds if answers else 0.0,
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
    ending = Ending()

    def wait() -> None:
        # The end of the input: `stop`, or the end of the process that started this one.
        sys.stdin.read()
        ending.is_asked = True

    threading.Thread(target=wait, daemon=True).start()
    _write(json.dumps(asyncio.run(_send(**json.loads(sys.argv[1]), ending=ending))))


if __name__ == "__main__":
    _main()
