"""Rollouts that are drawn by chance: requests, errors, latencies and predictions of two versions, look by look."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tiffin.rollout.statistics import decision, distributions, latencies, shares
from tiffin.rollout.statistics.histograms import Histogram

TESTS = tuple(decision.WEIGHTS)
# TensorFlow Serving's bins of :tensorflow:serving:request_latency, in microseconds.
BOUNDS = tuple(10 * 1.8**power for power in range(33))
BINS = tuple(number / 50 for number in range(1, 50))
# The median and the spread of the logarithm of a request's latency.
MEDIAN, SPREAD = 8_000.0, 0.5
_NORMAL = NormalDist()


def _chances(below: Sequence[float]) -> np.ndarray:
    return np.diff([0.0, *below, 1.0])


LATENCIES = _chances([_NORMAL.cdf(math.log(bound / MEDIAN) / SPREAD) for bound in BOUNDS])
# Scores of the distribution Beta(2, 2).
SCORES = _chances([3 * bound**2 - 2 * bound**3 for bound in BINS])


@dataclass(frozen=True)
class Plan:
    """How a rollout goes.

    Attributes:
        steps: Weight of the candidate and number of looks of each step.
        errors: Share of errors of the stable version.
        more_errors: Points that the candidate has more.
        slower: Factor of the candidate's latency.
        requests: Requests between two looks, of both versions together.
        most: Requests of the candidate after which the rollout ends.
        tests: Tests that are on.
    """

    steps: tuple[tuple[float, int], ...]
    errors: float
    more_errors: float = 0.0
    slower: float = 1.0
    requests: int = 50
    most: int = 2000
    tests: tuple[str, ...] = TESTS


class Side:
    """What one version has counted since the start."""

    def __init__(self, errors: float, slower: float = 1.0) -> None:
        self._errors = errors
        self._latencies = _chances([_NORMAL.cdf(math.log(bound / MEDIAN / slower) / SPREAD) for bound in BOUNDS])
        self.requests = self.errors = 0
        self._times, self._scores = np.zeros(len(BOUNDS) + 1, int), np.zeros(len(BINS) + 1, int)

    def answer(self, requests: int, chance: np.random.Generator) -> None:
        self.requests += requests
        self.errors += int(chance.binomial(requests, self._errors))
        self._times += chance.multinomial(requests, self._latencies)
        self._scores += chance.multinomial(requests, SCORES)

    @property
    def tally(self) -> shares.Tally:
        return shares.Tally(self.requests, self.errors)

    @property
    def times(self) -> Histogram:
        return Histogram(BOUNDS, tuple(self._times.tolist()))

    @property
    def scores(self) -> Histogram:
        return Histogram(BINS, tuple(self._scores.tolist()))


def run(plan: Plan, chance: np.random.Generator) -> tuple[str, int]:
    """Return the test that led to an abort, or an empty text, and the requests that the candidate had answered."""
    levels = decision.find_levels(plan.tests)
    stable, candidate = Side(plan.errors), Side(plan.errors + plan.more_errors, plan.slower)
    errors = shares.Evidence(level=levels["errors"])
    slow = {
        name: latencies.LatencyEvidence(quantile, shares.Evidence(level=levels[name]))
        for name, quantile in (("latency_p50", 0.5), ("latency_p99", 0.99))
        if name in levels
    }
    for weight in _weights(plan):
        requests = int(chance.binomial(plan.requests, weight))
        if candidate.requests + requests > plan.most:
            break
        candidate.answer(requests, chance)
        stable.answer(plan.requests - requests, chance)
        errors = shares.look(errors, stable.tally, candidate.tally)
        found = {"errors": errors.log_e_value}
        if slow:
            times = stable.times, candidate.times
            slow = {name: latencies.look(one, *times) for name, one in slow.items()}
            found |= {name: one.slow.log_e_value for name, one in slow.items()}
        if "predictions" in levels:
            compared = distributions.compare(stable.scores, candidate.scores, level=levels["predictions"])
            found["predictions"] = compared.log_e_value
        if (decided := decision.decide(found, levels)).is_worse:
            return decided.leading, candidate.requests
    return "", candidate.requests


def _weights(plan: Plan) -> Iterator[float]:
    for weight, looks in plan.steps:
        yield from (weight for _ in range(looks))


def best_power(errors: float, more: float, weight: float, requests: int, level: float) -> float:
    """Return how often the best test of a fixed number of requests finds more errors, by the normal approximation.

    No test that is valid at repeated looks finds more of them by then, since it could be used once, at the end.
    """
    others, share = requests * (1 - weight) / weight, errors + more
    pooled = weight * share + (1 - weight) * errors
    without = math.sqrt(pooled * (1 - pooled) * (1 / requests + 1 / others))
    with_ = math.sqrt(share * (1 - share) / requests + errors * (1 - errors) / others)
    return _NORMAL.cdf((more + _NORMAL.inv_cdf(level) * without) / with_)
