"""What the looks at a rollout have found so far: requests, errors and latencies of both versions, and the tests on them.

Gateways count from the start of their process. A look adds what each has counted since the last one, so that a gateway may
start, restart or end meanwhile.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tiffin.gateway.stats import Side
from tiffin.rollout.plan import Limits
from tiffin.rollout.statistics import decision, histograms, latencies, shares
from tiffin.rollout.statistics.decision import Decision
from tiffin.rollout.statistics.histograms import Histogram
from tiffin.rollout.statistics.latencies import LatencyEvidence
from tiffin.rollout.statistics.shares import Tally

# The tests that counts allow.
TESTS = ("errors", "latency_p50", "latency_p99")
_QUANTILES = {"latency_p50": 0.5, "latency_p99": 0.99}
_LEVELS = decision.find_levels(TESTS)
# More than rounding takes away.
_ENOUGH = 1e-9

# Gateway -> route -> what it has counted.
Reading = Mapping[str, Mapping[str, Side]]


@dataclass(frozen=True)
class Counted:
    """Requests of one version since the start of the rollout.

    Attributes:
        tally: Requests and errors.
        latency: Latencies in milliseconds.
    """

    tally: Tally = field(default_factory=Tally)
    latency: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True)
class Progress:
    """What was found so far. All of it is needed to go on after a restart.

    Attributes:
        last: What each gateway had counted at the last look.
        stable: Requests of the version in production.
        candidate: Requests of the candidate, also copies.
        step: Requests of the candidate when the step began.
        errors: Test of the errors.
        latency_p50: Test of the median latency.
        latency_p99: Test of the 99th percentile.
        looks: Number of looks.
        restarts: Number of times that a gateway was found to have restarted.
        levels: Test to its level; fixed at the start.
        answers: Tests of the answers, `agreement` and `predictions`, that have found the candidate to be worse.
    """

    last: dict[str, dict[str, Side]] = field(default_factory=dict)
    stable: Counted = field(default_factory=Counted)
    candidate: Counted = field(default_factory=Counted)
    step: int = 0
    errors: shares.Evidence = field(default_factory=lambda: shares.Evidence(level=_LEVELS["errors"]))
    latency_p50: LatencyEvidence = field(default_factory=lambda: _latency_test("latency_p50", _LEVELS))
    latency_p99: LatencyEvidence = field(default_factory=lambda: _latency_test("latency_p99", _LEVELS))
    looks: int = 0
    restarts: int = 0
    levels: dict[str, float] = field(default_factory=lambda: dict(_LEVELS))
    answers: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Requests of the candidate in this step."""
        return self.candidate.tally.requests - self.step

    @property
    def decision(self) -> Decision:
        """Whether the candidate is worse."""
        found = {
            "errors": self.errors.log_e_value,
            "latency_p50": self.latency_p50.slow.log_e_value,
            "latency_p99": self.latency_p99.slow.log_e_value,
        }
        # A test by an interval has all of its evidence or none: 1 / level if it is significant, and 0 otherwise.
        for name in self.levels.keys() - found.keys():
            found[name] = _ENOUGH - math.log(self.levels[name]) if name in self.answers else -math.inf
        return decision.decide(found, self.levels)


def begin(limits: Limits) -> Progress:
    """Return the progress before the first look: a test of the answers is on, and has a part of the level, if it has a limit."""
    limited = {"agreement": limits.min_agreement, "predictions": limits.max_distance}
    levels = decision.find_levels([*TESTS, *(name for name, limit in limited.items() if limit is not None)])
    return Progress(
        errors=shares.Evidence(level=levels["errors"]),
        latency_p50=_latency_test("latency_p50", levels),
        latency_p99=_latency_test("latency_p99", levels),
        levels=levels,
    )


def _latency_test(name: str, levels: Mapping[str, float]) -> LatencyEvidence:
    return LatencyEvidence(_QUANTILES[name], shares.Evidence(level=levels[name]))


def begin_step(progress: Progress) -> Progress:
    """Return the progress at the start of a step. Look right before, so that no look spans two steps."""
    return replace(progress, step=progress.candidate.tally.requests)


def look(progress: Progress, reading: Reading, limits: Limits) -> Progress:
    """Return the progress after another look.

    A gateway is counted from the first look on at which it is read.

    Args:
        progress: The progress before.
        reading: What each gateway that could be read has counted.
        limits: What the candidate may be worse in.
    """
    pairs = [(progress.last[name], sides) for name, sides in reading.items() if name in progress.last]
    stable, candidate = progress.stable, progress.candidate
    for before, now in pairs:
        stable = _add(stable, before, now, ("stable",))
        # A step has requests or copies; those of testers are requests too.
        candidate = _add(candidate, before, now, ("candidate", "mirror"))
    progress = replace(
        progress,
        last=progress.last | {name: dict(sides) for name, sides in reading.items()},
        stable=stable,
        candidate=candidate,
        looks=progress.looks + 1,
        restarts=progress.restarts + sum(_has_restarted(before, now) for before, now in pairs),
    )
    return _test(progress, limits)


def _test(progress: Progress, limits: Limits) -> Progress:
    stable, candidate = progress.stable, progress.candidate
    errors = shares.look(progress.errors, stable.tally, candidate.tally, tolerance=limits.max_error_share)
    tested = replace(progress, errors=errors)
    if not stable.latency.bounds or not candidate.latency.bounds:
        return tested

    def compare(before: LatencyEvidence) -> LatencyEvidence:
        return latencies.look(before, stable.latency, candidate.latency, max_ratio=limits.max_latency_ratio)

    return replace(tested, latency_p50=compare(progress.latency_p50), latency_p99=compare(progress.latency_p99))


def _add(counted: Counted, before: Mapping[str, Side], now: Mapping[str, Side], routes: tuple[str, ...]) -> Counted:
    for route in routes:
        if route in now:
            side = _increase(before.get(route, Side()), now[route])
            tally = Tally(counted.tally.requests + side.requests, counted.tally.errors + side.errors)
            counted = Counted(tally, histograms.merge([counted.latency, _histogram(side)]))
    return counted


def _increase(before: Side, now: Side) -> Side:
    """Return what was counted between two readings; all that was counted since, if the gateway has restarted."""
    if _is_lower(before, now):
        return now
    totals = now.totals
    if before.bounds:
        totals = tuple(new - old for old, new in zip(before.totals, now.totals, strict=True))
    return Side(now.requests - before.requests, now.errors - before.errors, now.bounds, totals)


def _has_restarted(before: Mapping[str, Side], now: Mapping[str, Side]) -> bool:
    return any(_is_lower(side, now[route]) for route, side in before.items() if route in now)


def _is_lower(before: Side, now: Side) -> bool:
    """Return whether a side counts from 0 again, or in other bins."""
    if now.requests < before.requests or now.errors < before.errors:
        return True
    if not before.bounds:
        return False
    return before.bounds != now.bounds or any(new < old for old, new in zip(before.totals, now.totals, strict=True))


def _histogram(side: Side) -> Histogram:
    if not side.bounds:
        return Histogram()
    # Answers above the highest bound are in no total.
    counts = [high - low for low, high in zip((0, *side.totals[:-1]), side.totals, strict=True)]
    return Histogram(side.bounds, (*counts, 0))
