"""Watch the errors of a model after a change: whether more requests fail than before.

    before = read_counters(url, "taxi").total
    ...  # the change, until a server has the new version
    watched = watch(lambda: read_counters(url, "taxi"), before=before, check=...)
    if watched.is_worse: ...  # roll back

The test. At each look, the requests since the start of the watch are compared with a limit: `max_error_share` on top of the
share of errors before the change. They are worse if so many errors would occur by chance, in as many requests of which the
limit's share fails, with a probability of less than `FALSE_ALARMS / looks`. This is the exact binomial test: it holds where
the one-sided lower limit of Clopper and Pearson (1934, Biometrika 26, 404-413) for the share of errors is above the limit.
By Bonferroni's inequality, all looks of a watch together give a false alarm with a probability of at most `FALSE_ALARMS`, as
long as requests fail independently of one another at a share up to the limit. Shares below the limit give far fewer: none of
200,000 simulated watches of 1 % with a limit of 5 % was stopped.

The share before the change is an upper limit too, so that a service whose clients always send 5 % wrong requests is not worse
for that, also if few requests were counted. With fewer than `LEAST_BEFORE` requests the share is unknown, and counts as 0.

What the test cannot see: a client that sends its wrong requests in a burst is not a matter of chance; servers count without
the version, so that requests to servers that still have the old version are among those counted.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tiffin.errors import InputError
from tiffin.serving.counters import Counts, Reading, difference, has_restarted

# Probability that a watch finds errors that are not there.
FALSE_ALARMS = 0.001
# Fewer errors are no reason to roll back, however small the limit is.
LEAST_ERRORS = 3
# Requests before the change that are needed to know the share of their errors.
LEAST_BEFORE = 300
# The normal distribution's quantile of 95 %.
_Z_BEFORE = 1.645

PAUSE_SECONDS = 5.0
# A watch ends if no server can be read at the first looks.
_FIRST_LOOKS = 3


@dataclass(frozen=True)
class Watched:
    """The result of a watch.

    Attributes:
        seconds: Time from the start of the watch to its end.
        counts: Requests since the start.
        before: Requests before the change.
        limit: Share of errors that the requests were compared with: `max_error_share` on top of the share before.
        is_worse: Whether the errors pass the limit.
        servers: Number of servers that were read.
        restarts: Number of times that a server was found to have restarted.
        unread: Server that could not be read at the last look, to the reason.
        problem: Why the watch was not possible; empty if it was.
    """

    seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    before: Counts = field(default_factory=Counts)
    limit: float = 0.0
    is_worse: bool = False
    servers: int = 0
    restarts: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def summary(self) -> str:
        """The result as a clause, such as `12 of 40 requests failed in 20 s (12 INVALID_ARGUMENT), 0 of 500 before`."""
        if self.problem:
            return f"the watch was not possible: {self.problem}"
        if not self.counts.requests:
            return f"no requests in {self.seconds:.0f} s, so nothing is known about their errors"
        statuses = ", ".join(f"{number} {status}" for status, number in self.counts.errors.items())
        return (
            f"{self.counts.failed} of {self.counts.requests} requests failed in {self.seconds:.0f} s"
            f"{f' ({statuses})' if statuses else ''}, {self.before.failed} of {self.before.requests} before; "
            f"the limit is {100 * self.limit:.3g} %"
        )


def check_max_error_share(share: float) -> None:
    """Raise an InputError unless a bound is a share of requests above 0 and below 1."""
    if not 0 < share < 1:
        raise InputError(
            f"max_error_share should be above 0 and below 1. Received: {share}. Pass 0.05 to allow 5 % more errors."
        )


def watch(
    read: Callable[[], Reading],
    *,
    seconds: float = 120.0,
    max_error_share: float = 0.05,
    before: Counts | None = None,
    check: Callable[[], object] | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> Watched:
    """Read the counts until the time is over or too many requests have failed, and return the result.

    A server is counted from the first look at which it is read. At a look at which it cannot be read, its counts are missing
    until it can be read again. The watch is not possible if no server is read at the first three looks, or at all looks
    after the first one.

    Args:
        read: Returns the counts at this time.
        seconds: Duration of the watch in seconds, above 0. Defaults to 120.
        max_error_share: Share of requests, above 0 and below 1, that may fail on top of the share before the change. Defaults
            to 0.05.
        before: Requests before the change, such as those since the servers started. Defaults to none: their share of errors
            counts as 0.
        check: Called at each look; ends the watch by raising an error, such as after another change.
        pause_seconds: Time between looks in seconds. Defaults to 5.

    Raises:
        InputError: `max_error_share` is out of range.
    """
    check_max_error_share(max_error_share)
    before = before or Counts()
    limit = min(1.0, max_error_share + find_share_before(before))
    looks = max(1, math.ceil(seconds / pause_seconds))
    latest: dict[str, Counts] = {}
    counts, restarts, compared, is_worse = Counts(), 0, 0, False
    reading, reasons = Reading(), dict[str, str]()
    start = time.monotonic()
    for look in range(looks + 1):
        time.sleep(max(0.0, start + min(look * pause_seconds, seconds) - time.monotonic()))
        if check:
            check()
        reading = read()
        reasons.update(reading.unread)
        compared += bool(latest) and bool(reading.servers)
        counts += difference(latest, reading.servers)
        restarts += sum(has_restarted(latest[name], now) for name, now in reading.servers.items() if name in latest)
        latest |= reading.servers
        is_worse = are_worse(counts, limit, FALSE_ALARMS / looks)
        if is_worse or (not latest and look + 1 >= _FIRST_LOOKS):
            break
    return Watched(
        seconds=time.monotonic() - start,
        counts=counts,
        before=before,
        limit=limit,
        is_worse=is_worse,
        servers=len(latest),
        restarts=restarts,
        unread=dict(reading.unread),
        problem="" if compared else "; ".join(f"{server}: {reason}" for server, reason in sorted(reasons.items())),
    )


def find_share_before(before: Counts) -> float:
    """Return the upper limit of the share of errors before a change; 0 if there are too few requests to know it.

    It is the one-sided limit of Wilson (1927, JASA 22, 209-212) with 95 % confidence.
    """
    number = before.requests
    if number < LEAST_BEFORE:
        return 0.0
    share, squared = before.failed / number, _Z_BEFORE**2 / number
    spread = _Z_BEFORE * math.sqrt(share * (1 - share) / number + squared / (4 * number))
    return (share + squared / 2 + spread) / (1 + squared)


def are_worse(counts: Counts, limit: float, level: float) -> bool:
    """Return whether so many errors have a probability below `level` if a request fails with the probability `limit`."""
    return counts.failed >= LEAST_ERRORS and chance_of(counts.failed, counts.requests, limit) < level


def chance_of(errors: int, requests: int, share: float) -> float:
    """Return the probability of at least `errors` errors in `requests` requests, each with the probability `share`.

    1 means that so many errors are certain, 0 that they are impossible: the upper tail of the binomial distribution.
    """
    if errors <= 0 or share >= 1:
        return 1.0
    if errors > requests or share <= 0:
        return 0.0
    if errors <= requests * share:
        # The terms fall on both sides of the mean: add up the shorter tail.
        return 1 - chance_of(requests - errors + 1, requests, 1 - share)
    term = math.exp(
        math.lgamma(requests + 1)
        - math.lgamma(errors + 1)
        - math.lgamma(requests - errors + 1)
        + errors * math.log(share)
        + (requests - errors) * math.log1p(-share)
    )
    total, number = 0.0, errors
    while term > total * 1e-16 and number <= requests:
        total += term
        term *= (requests - number) / (number + 1) * share / (1 - share)
        number += 1
    return total
