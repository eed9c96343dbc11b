"""The figures of a load: requests by code, latencies in bins, versions that answered, and the course by second.

Memory does not grow with the number of requests.
"""

import collections
import math
from dataclasses import dataclass

from tiffin.serving.load import Answer, Course

# A request that is sent later than this is late. The sleep of an event loop is shorter.
LATE_SECONDS = 0.01
# Seconds whose figures are kept.
MAX_SECONDS = 3600
# Width of the bins: a latency is at most 1 % less than the one that is reported, by second 5 %.
_RATIO, _RATIO_BY_SECOND = 1.01, 1.05
_LEAST_SECONDS = 1e-6


class Histogram:
    """Numbers of latencies, in bins of which each is wider than the one before.

    Args:
        ratio: Upper edge of a bin, divided by its lower edge. Defaults to 1.01.
    """

    def __init__(self, ratio: float = _RATIO) -> None:
        self._width = math.log(ratio)
        self._bins: collections.Counter[int] = collections.Counter()
        self.count = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count a latency."""
        self._bins[math.ceil(math.log(max(seconds, _LEAST_SECONDS)) / self._width)] += 1
        self.count += 1
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float | None:
        """Return the least latency, rounded up to a bin, that a share of all does not exceed; None without any."""
        left = share * self.count
        for place in sorted(self._bins):
            left -= self._bins[place]
            if left <= 1e-9:
                return min(math.exp(place * self._width), self.longest)
        return None


@dataclass(frozen=True)
class Latency:
    """Latencies of successful requests in seconds; None without one."""

    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True)
class Second:
    """The requests that were due in a second of the load.

    Attributes:
        second: Number of the second, from 0.
        requests: Requests that were sent.
        failed: Those that failed.
        latency_seconds: Latencies of the others.
    """

    second: int
    requests: int
    failed: int
    latency_seconds: Latency


@dataclass(frozen=True)
class Figures:
    """The figures of a load.

    Attributes:
        requests: Requests that were sent.
        answered: Those that were answered without an error.
        failed: The others.
        rows: Rows in all of them.
        seconds: Time from the first request to the last answer.
        sent_per_second: Requests per second while they were sent.
        unsent: Requests that were due and not sent in time.
        is_full: Whether requests waited because `MAX_RUNNING` others were under way.
        late: Requests that were sent more than `LATE_SECONDS` after they were due.
        longest_late_seconds: The longest time between the two.
        codes: `OK`, or the code of the error, to the number of requests; the most frequent first.
        messages: Code of an error to its first message.
        latency_seconds: Latencies of answered requests, from when they were due.
        versions: Version that answered to the number of requests.
        by_second: The first `MAX_SECONDS` seconds.
    """

    requests: int
    answered: int
    failed: int
    rows: int
    seconds: float
    sent_per_second: float
    unsent: int
    is_full: bool
    late: int
    longest_late_seconds: float
    codes: dict[str, int]
    messages: dict[str, str]
    latency_seconds: Latency
    versions: dict[int, int]
    by_second: tuple[Second, ...]


class Tally:
    """Counts answers while they come."""

    def __init__(self) -> None:
        self.codes: collections.Counter[str] = collections.Counter()
        self.latencies = Histogram()
        self._rows = self._late = 0
        self._longest_late_seconds = 0.0
        self._messages: dict[str, str] = {}
        self._versions: collections.Counter[int] = collections.Counter()
        self._seconds: dict[int, tuple[collections.Counter[str], Histogram]] = {}

    @property
    def requests(self) -> int:
        """Number of requests."""
        return self.codes.total()

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        return self.requests - self.codes["OK"]

    def record(self, answer: Answer, rows: int) -> None:
        """Count an answer.

        Args:
            answer: The answer.
            rows: Number of rows in its request.
        """
        self.codes[answer.code] += 1
        self._rows += rows
        self._late += answer.late_seconds > LATE_SECONDS
        self._longest_late_seconds = max(self._longest_late_seconds, answer.late_seconds)
        if answer.code == "OK":
            self.latencies.add(answer.seconds)
        else:
            self._messages.setdefault(answer.code, answer.message)
        if answer.version is not None:
            self._versions[answer.version] += 1
        second = int(answer.due_seconds)
        if second < MAX_SECONDS:
            codes, latencies = self._seconds.setdefault(second, (collections.Counter(), Histogram(_RATIO_BY_SECOND)))
            codes[answer.code] += 1
            if answer.code == "OK":
                latencies.add(answer.seconds)

    def figures(self, course: Course) -> Figures:
        """Return the figures of a load that is over."""
        return Figures(
            requests=self.requests,
            answered=self.codes["OK"],
            failed=self.failed,
            rows=self._rows,
            seconds=course.seconds,
            sent_per_second=self.requests / course.sending_seconds if course.sending_seconds else 0.0,
            unsent=course.unsent,
            is_full=course.is_full,
            late=self._late,
            longest_late_seconds=self._longest_late_seconds,
            codes=dict(self.codes.most_common()),
            messages={code: self._messages[code] for code, _ in self.codes.most_common() if code in self._messages},
            latency_seconds=_latency(self.latencies),
            versions=dict(sorted(self._versions.items())),
            by_second=tuple(
                Second(number, codes.total(), codes.total() - codes["OK"], _latency(latencies))
                for number, (codes, latencies) in sorted(self._seconds.items())
            ),
        )


def _latency(found: Histogram) -> Latency:
    return Latency(
        found.quantile(0.5), found.quantile(0.9), found.quantile(0.99), found.longest if found.count else None
    )
