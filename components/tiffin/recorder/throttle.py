"""How many requests Envoy sends the recorder: fewer on a busy machine, so that the clients do not wait for the log.

To record a request takes time of Envoy, which serves the clients, and of the recorder. While the processors are idle for a
part of the time, that costs nobody anything. On a machine that is busy it may take 2 % of their time: the recorder writes the
share of the requests that fits into a file, which Envoy's filter reads every second. What Envoy leaves out is counted.

The share falls at once, and rises slowly while the machine is busy, so that loads that come and go find it low.
"""

import os
import time
from pathlib import Path

# Part of the machine's time that recording may take though the machine is busy, and part that is idle until then.
BUDGET, RESERVE = 0.02, 0.2
SECONDS = 1.0
_LEAST = 0.001
# Of each new measurement in the running means; and of the last load, in each second, where the new one is lower.
_WEIGHT, _KEPT = 0.5, 0.95
# Time of Envoy for a request that it sends, as a multiple of the recorder's. See "Decisions" in the documentation.
_ENVOY = 0.6
_STAT = Path("/proc/stat")


def choose_share(needed: float, taken: float, idle: float) -> float:
    """Return the share of the requests to record, from 0.001 to 1.

    Args:
        needed: Part of the machine's time that it takes to record all requests. It may exceed 1.
        taken: Part of the machine's time that recording takes now.
        idle: Part of the machine's time that is idle, from 0 to 1.
    """
    room = max(BUDGET, taken + idle - RESERVE)
    return min(max(room / needed, _LEAST), 1.0) if needed > 0 else 1.0


class Throttle:
    """Measures the machine and itself, and keeps the share in a file.

    Args:
        path: The file; None to record all requests.

    Attributes:
        share: Share of the requests that Envoy sends.
    """

    def __init__(self, path: Path | None) -> None:
        self.share = 1.0
        self._needed = 0.0
        self._means: dict[str, float] = {}
        self._last = _measure(0, 0)
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._write()

    def adjust(self, received: int, read: int) -> None:
        """Choose the share by what was measured since the last call.

        Args:
            received: Requests that the recorder has received so far.
            read: Requests that it has read so far. They are fewer while the queue grows.
        """
        now = _measure(received, read)
        spent = {name: value - self._last[name] for name, value in now.items()}
        if self._file is None or spent["seconds"] <= 0 or spent["all"] <= 0:
            return
        self._last = now
        sent = self._mean("sent", spent["received"] / spent["seconds"])
        share = self._mean("share", self.share)
        idle = self._mean("idle", spent["idle"] / spent["all"])
        own = self._mean("own", spent["own"] / spent["seconds"] / (os.cpu_count() or 1))
        done = self._mean("read", spent["read"] / spent["seconds"])
        taken = sent * own * (1 + _ENVOY) / done if done else 0.0
        self._needed = max(taken / share, self._needed * _KEPT)
        self.share = choose_share(self._needed, taken, idle)
        self._write()

    def _mean(self, name: str, value: float) -> float:
        before = self._means.get(name, value)
        self._means[name] = before + (value - before) * _WEIGHT
        return self._means[name]

    def _write(self) -> None:
        """Write the file in place. It always has the same few bytes, so that nobody reads a part of them."""
        if self._file is not None:
            os.pwrite(self._file, f"{self.share:.4f}\n".encode(), 0)


def _measure(received: int, read: int) -> dict[str, float]:
    """Return both numbers, the time, this process's time of processors, and the idle and whole time of the machine's."""
    # https://man7.org/linux/man-pages/man5/proc_stat.5.html: user, nice, system, idle, iowait, irq, softirq, steal
    try:
        times = [int(number) for number in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        times = [0, 0, 0, 1, 0, 0, 0, 0]
    return {
        "received": received,
        "read": read,
        "seconds": time.monotonic(),
        "own": time.process_time(),
        "idle": times[3] + times[4],
        "all": sum(times),
    }
