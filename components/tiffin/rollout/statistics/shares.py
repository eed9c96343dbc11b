"""Test whether a larger share of the candidate's requests fails, however often it is looked at.

The method. At each look, the requests since the look before are an urn: so many of the stable version, so many of the
candidate, so many of all of them failed. If the version makes no difference, each of them is as likely to be a failed one, so
the number of failed ones of the candidate is hypergeometric: its distribution is known exactly, whatever the share of errors
is. A bet multiplies the evidence by `h(x) / E[h(X)]`, with `x` the candidate's errors and `h` a growing function chosen before
`x` is known; its expectation is 1, or less if the candidate fails less often. So the evidence is a nonnegative supermartingale
that starts at 1, and the probability that it ever reaches `1 / level` is at most `level` (Ville 1939), exactly and for any
number of looks at any times. Nothing is assumed about the share of errors, which may change from look to look, as may the
weight of the candidate.

The bets, with fixed shares of the initial evidence:

- Odds ratios: `h(x) = ratio ** x`. This is the anytime-valid logrank test of ter Schure, Pérez-Ortiz, Ly and Grünwald (2024,
  Statistics in Medicine 43, 3461-3498; the k-sample tests of Turner, Ly and Grünwald 2024, J. Stat. Plan. Inference 230, are
  its sibling for unconditional counts). It finds a candidate of which most requests fail within a few requests.
- Horizons: `h(x)` is the probability that a fixed-sample test rejects once the candidate has had as many requests, by the
  normal approximation, given the evidence so far (the conditional power of Lan, Simon and Halperin 1982, Sequential Analysis
  1, 207-219, used as a martingale). The approximation only costs power; the division by `E[h(X)]` keeps the test exact. On
  2 % of errors, the best odds ratio finds 2 points more in 93 % of the cases with 2,000 requests of each version; with the
  horizons it is 96 %, where the best test of a fixed number of requests, used once, finds 98 %.

With a tolerance, a stable request that did not fail counts as failed with this probability; the evidence is the mean over all
such draws, so that it does not depend on chance.

What the test cannot see: it assumes that which version answers a request is decided by chance, request by request. If clients
stick to a version, one client that sends wrong requests in a burst is not a matter of chance.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from tiffin.errors import InputError

# Odds ratios of the bets, and the share of the initial evidence of each.
RATIOS = (1.5, 3.0, 20.0)
_RATIO_SHARE = 0.02
_LOG_RATIOS = np.log(RATIOS)[:, None]
# Requests of the candidate at which the horizons end, and the share of each. The first one is a little before 2,000, since
# looks seldom fall on the very request.
HORIZONS = (1960, 8_000, 32_000, 128_000)
_HORIZON_SHARES = (0.86, 0.05, 0.02, 0.01)
_SHARES = (_RATIO_SHARE,) * len(RATIOS) + _HORIZON_SHARES
_LOG_SHARES = np.log(_SHARES)
# Part of the evidence needed that a horizon's bet aims at: the other bets have the rest.
_AIM = 0.95
# Variance and requests that stand for what is not known at the first looks.
_PRIOR_VARIANCE, _PRIOR_REQUESTS = 0.75, 50
# A bet never loses more than this at one look, so that evidence stays a finite number.
_FLOOR = 1e-12
# Standard deviations of the draws of a tolerance that are looked at. Leaving out draws makes the evidence smaller.
_DRAWS = 5.0

_NORMAL = NormalDist()
_GRID = np.linspace(-8, 8, 16001)
_BELOW = np.array([math.erfc(-z / math.sqrt(2)) / 2 for z in _GRID])


@dataclass(frozen=True)
class Tally:
    """Requests of one version since the start of the rollout, and how many of them count as errors."""

    requests: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Evidence:
    """What the looks so far say against the candidate. All of it is needed to go on after a restart.

    Attributes:
        level: Probability, above 0 and below 1, of evidence against a candidate that is not worse. The bets aim at this
            level; evidence is valid at any other.
        stable: Requests of the stable version at the last look that counted.
        candidate: Requests of the candidate at the last look that counted.
        bets: Logarithm of the evidence of each bet.
        variance: Variance of the number of the candidate's errors if the version makes no difference.
        expected: Expected number of the candidate's errors if the version makes no difference.
    """

    level: float = 0.05
    stable: Tally = Tally()
    candidate: Tally = Tally()
    bets: tuple[float, ...] = (0.0,) * len(_SHARES)
    variance: float = 0.0
    expected: float = 0.0

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of `e_value`."""
        return _log_sum(_LOG_SHARES + np.array(self.bets))

    @property
    def e_value(self) -> float:
        """Evidence that the candidate is worse: 1 at the start, expected to stay at most 1 if it is not worse."""
        return math.exp(min(self.log_e_value, 700.0))

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value, `1 / e_value` and at most 1: below `level` with a probability of at most `level`."""
        return math.exp(min(0.0, -self.log_e_value))

    @property
    def is_worse(self) -> bool:
        """Whether the evidence suffices: `p_value` is at most `level`."""
        return self.log_e_value >= -math.log(self.level)


def look(evidence: Evidence, stable: Tally, candidate: Tally, *, tolerance: float = 0.0) -> Evidence:
    """Return the evidence after another look.

    The times of looks may depend on anything known before. If one version has had no request since the last look, the
    evidence is unchanged, and the next look compares both.

    Args:
        evidence: The evidence before; `Evidence(level=...)` at the start.
        stable: Requests and errors of the stable version since the start of the rollout.
        candidate: The same of the candidate.
        tolerance: Share of the requests, from 0 and below 1, that the candidate may fail although the stable version would
            answer them: with a tolerance `t`, a candidate is worse if its share of answered requests is below `1 - t` times
            that of the stable version. Defaults to 0.

    Raises:
        InputError: A count is lower than before or is not possible, or the tolerance is out of range.
    """
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance should be from 0 and below 1. Received: {tolerance}.")
    of_stable = _added("stable", evidence.stable, stable)
    of_candidate = _added("candidate", evidence.candidate, candidate)
    if not of_stable.requests or not of_candidate.requests:
        return evidence
    gains, variance, expected = np.full(len(_SHARES), -math.inf), 0.0, 0.0
    for extra, log_weight in _draws(of_stable.requests - of_stable.errors, tolerance):
        urn = _Urn(of_candidate.requests, of_stable.requests, of_stable.errors + of_candidate.errors + extra)
        gains = np.logaddexp(gains, log_weight + _log_gains(evidence, urn, of_candidate.errors))
        variance += math.exp(log_weight) * urn.variance
        expected += math.exp(log_weight) * urn.mean
    bets = np.array(evidence.bets) + gains
    return replace(
        evidence,
        stable=stable,
        candidate=candidate,
        bets=tuple(bets.tolist()),
        variance=evidence.variance + variance,
        expected=evidence.expected + expected,
    )


def _added(name: str, before: Tally, now: Tally) -> Tally:
    """Return the requests since the last look."""
    added = Tally(now.requests - before.requests, now.errors - before.errors)
    if not 0 <= added.errors <= added.requests:
        raise InputError(
            f"The counts of the {name} version should grow from look to look, errors by no more than requests. "
            f"Received: {now} after {before}. Add up counts across restarts of servers."
        )
    return added


def _draws(answered: int, tolerance: float) -> Iterator[tuple[int, float]]:
    """Yield the numbers of answered requests that count as failed, with the logarithms of their binomial probabilities."""
    if not tolerance or not answered:
        yield 0, 0.0
        return
    mean, spread = answered * tolerance, math.sqrt(answered * tolerance * (1 - tolerance))
    low, high = max(0, math.floor(mean - _DRAWS * spread)), min(answered, math.ceil(mean + _DRAWS * spread) + 3)
    for number in range(low, high + 1):
        log_ways = math.lgamma(answered + 1) - math.lgamma(number + 1) - math.lgamma(answered - number + 1)
        yield number, log_ways + number * math.log(tolerance) + (answered - number) * math.log1p(-tolerance)


class _Urn:
    """The candidate's possible errors among the errors of both versions, with the logarithms of their probabilities."""

    def __init__(self, candidate: int, stable: int, errors: int) -> None:
        total = candidate + stable
        self.candidate = candidate
        self.low = max(0, errors - stable)
        self.counts = np.arange(self.low, min(errors, candidate) + 1, dtype=float)
        self.mean = errors * candidate / total
        self.variance = self.mean * (stable / total) * (total - errors) / (total - 1)
        less = self.counts[:-1]
        steps = np.log((candidate - less) * (errors - less) / ((less + 1) * (stable - errors + less + 1)))
        logs = np.concatenate([[0.0], np.cumsum(steps)])
        self.logs = logs - _log_sum(logs)


def _log_gains(evidence: Evidence, urn: _Urn, errors: int) -> np.ndarray:
    """Return the logarithm of what each bet is multiplied by: `h(x) / E[h(X)]`."""
    if len(urn.counts) == 1:
        return np.zeros(len(_SHARES))
    heights = np.zeros((len(_SHARES), len(urn.counts)))
    heights[: len(RATIOS)] = _LOG_RATIOS * urn.counts
    for number, horizon in enumerate(HORIZONS, len(RATIOS)):
        # The probability of reaching the aim that the evidence of this bet stands for.
        chance = math.exp(evidence.bets[number]) * evidence.level * _SHARES[number] * _AIM
        if evidence.candidate.requests < horizon and _FLOOR < chance < 1 - _FLOOR:
            heights[number] = _conditional_power(evidence, urn, horizon, chance)
    logs = heights + urn.logs
    most = logs.max(axis=1)
    gains: np.ndarray = heights[:, errors - urn.low] - most - np.log(np.exp(logs - most[:, None]).sum(axis=1))
    return gains


def _conditional_power(evidence: Evidence, urn: _Urn, horizon: int, chance: float) -> np.ndarray:
    """Return the logarithms of the probabilities of a rejection at the horizon, which is `chance` before the look."""
    had = evidence.candidate.requests + urn.candidate
    if had >= horizon:
        tail = np.cumsum(np.exp(urn.logs[::-1]))[::-1]
        return np.where(tail <= chance, 0.0, math.log(_FLOOR))
    known = evidence.variance + urn.variance
    rest = (known + _PRIOR_VARIANCE) * (horizon - had) / (had + _PRIOR_REQUESTS)
    needed = math.sqrt(urn.variance + rest) * _NORMAL.inv_cdf(1 - chance)
    above = np.interp((urn.counts - urn.mean - needed) / math.sqrt(rest), _GRID, _BELOW)
    logs: np.ndarray = np.log(np.maximum(above, _FLOOR))
    return logs


def _log_sum(logs: np.ndarray) -> float:
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).sum()))
