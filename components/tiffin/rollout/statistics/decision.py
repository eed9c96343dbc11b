"""All tests of a rollout together.

Each test has a weight, fixed when the rollout starts. The evidence against the candidate is the weighted mean of the tests'
e-values: its expectation is at most 1 too, if the candidate is worse in none, so that it reaches `1 / level` at any look with
a probability of at most `level`, however the tests depend on one another (Vovk and Wang 2021, Annals of Statistics 49,
1736-1754). A single test decides if its own evidence reaches `1 / (level * weight)`, as by Bonferroni's inequality; several
tests with less evidence may decide together. The evidence of all tests should come from the same looks.

Errors have most of the weight: they are the test that needs it, since 2 points more of them are hard to find in 2,000 requests.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tiffin.errors import InputError, did_you_mean

# Test -> its part of the level.
WEIGHTS = {"errors": 0.82, "latency_p99": 0.07, "latency_p50": 0.05, "agreement": 0.03, "predictions": 0.03}


@dataclass(frozen=True)
class Decision:
    """The tests of a rollout at one look.

    Attributes:
        is_worse: Whether the candidate is worse: the rollout should be aborted.
        e_value: Evidence against the candidate: 1 at the start; `1 / level` and more is enough.
        p_value: Anytime-valid p-value, `1 / e_value` and at most 1.
        leading: Test with the most weighted evidence; empty if no test has any.
        level: Probability, at any look, of aborting a candidate that is not worse.
    """

    is_worse: bool
    e_value: float
    p_value: float
    leading: str
    level: float


def find_levels(tests: Iterable[str], *, level: float = 0.05) -> dict[str, float]:
    """Return the level of each test, for its evidence and for `decide`; they add up to `level`.

    Args:
        tests: Tests that are on, of `WEIGHTS`. They must not change during the rollout.
        level: Probability, above 0 and below 1, of aborting a candidate that is not worse. Defaults to 0.05.

    Raises:
        InputError: A test does not exist, or none is on.
    """
    chosen = sorted({*tests})
    for name in chosen:
        if name not in WEIGHTS:
            raise InputError(
                f"tests should be of {', '.join(WEIGHTS)}. Received: '{name}'.{did_you_mean(name, WEIGHTS)}"
            )
    if not chosen:
        raise InputError(f"tests should have at least one of {', '.join(WEIGHTS)}. Received: none.")
    total = sum(WEIGHTS[name] for name in chosen)
    return {name: level * WEIGHTS[name] / total for name in chosen}


def decide(log_e_values: Mapping[str, float], levels: Mapping[str, float]) -> Decision:
    """Return the decision at a look.

    Args:
        log_e_values: Test to the natural logarithm of its e-value, as of `Evidence.log_e_value`; minus infinity is an e-value
            of 0. A test that has no evidence yet, such as without requests, is left out and counts as 1.
        levels: Test to its level, of `find_levels`.

    Raises:
        InputError: A test has no level.
    """
    if unknown := sorted(log_e_values.keys() - levels.keys()):
        raise InputError(f"Each test should have a level, of {', '.join(levels)}. Received: '{unknown[0]}'.")
    level = math.fsum(levels.values())
    weighted = {name: log_e_values.get(name, 0.0) + math.log(part / level) for name, part in levels.items()}
    leading = max(weighted, key=lambda name: weighted[name])
    most = weighted[leading]
    log = most if most == -math.inf else most + math.log(math.fsum(math.exp(one - most) for one in weighted.values()))
    return Decision(
        is_worse=log >= -math.log(level),
        e_value=math.exp(min(log, 700.0)),
        p_value=math.exp(min(0.0, -log)),
        leading=leading if log_e_values.get(leading, 0.0) > 0 else "",
        level=level,
    )
