"""All tests of a rollout together."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.simulated_rollouts import Plan, best_power, run
from tiffin.errors import InputError
from tiffin.rollout.statistics.decision import WEIGHTS, decide, find_levels


def test_without_evidence() -> None:
    found = decide({}, find_levels(["errors"]))

    assert (found.is_worse, found.e_value, found.p_value, found.leading) == (False, 1, 1, "")


def test_the_levels_add_up() -> None:
    assert math.fsum(WEIGHTS.values()) == pytest.approx(1)
    assert find_levels(["errors"]) == {"errors": 0.05}
    assert find_levels(WEIGHTS) == pytest.approx({name: 0.05 * weight for name, weight in WEIGHTS.items()})
    assert math.fsum(find_levels(["errors", "predictions"], level=0.01).values()) == pytest.approx(0.01)


def test_one_test_is_enough() -> None:
    levels = find_levels(WEIGHTS)
    for name, level in levels.items():
        others = dict.fromkeys(WEIGHTS.keys() - {name}, -math.inf)

        assert decide({**others, name: -math.log(level) + 1e-9}, levels).is_worse
        assert not decide({**others, name: -math.log(level) - 1e-9}, levels).is_worse
        assert decide({**others, name: 9.0}, levels).leading == name


def test_several_tests_decide_together() -> None:
    levels = {"errors": 0.025, "latency_p99": 0.025}
    found = decide({"errors": math.log(25), "latency_p99": math.log(16)}, levels)

    assert found.e_value == pytest.approx(20.5)
    assert (found.is_worse, found.p_value, found.leading) == (True, pytest.approx(1 / 20.5), "errors")
    assert not decide(dict.fromkeys(levels, -math.inf), levels).is_worse
    assert decide(dict.fromkeys(levels, -math.inf), levels).e_value == 0


@given(st.dictionaries(st.sampled_from(list(WEIGHTS)), st.floats(-1e4, 1e4), min_size=1))
def test_any_evidence(logs: dict[str, float]) -> None:
    found = decide(logs, find_levels(WEIGHTS))

    assert 0 <= found.p_value <= 1
    assert math.isfinite(found.e_value)
    assert found.is_worse == (found.e_value >= 1 / found.level)


@pytest.mark.parametrize(("tests", "named"), [([], "none"), (["error"], "'error'.*'errors'")])
def test_tests_that_do_not_exist(tests: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        find_levels(tests)


def test_a_test_without_a_level() -> None:
    with pytest.raises(InputError, match="'predictions'"):
        decide({"predictions": 0.0}, find_levels(["errors"]))


def rollouts(plan: Plan, number: int) -> list[str]:
    return [run(plan, np.random.default_rng([7, seed]))[0] for seed in range(number)]


# Smaller versions of tests/benchmarks/rollout_tests.py.
@pytest.mark.parametrize(
    "steps", [((0.05, 60),), ((0.5, 50),), ((0.05, 30), (0.25, 20), (0.5, 20))], ids=["5:95", "50:50", "steps"]
)
def test_an_unchanged_candidate_is_seldom_aborted(steps: tuple[tuple[float, int], ...]) -> None:
    """40 rollouts: 5 % would be 2; 7 or more would come about by 0.5 %."""
    aborted = sum(map(bool, rollouts(Plan(steps, 0.01), 40)))

    assert aborted <= 6


@pytest.mark.parametrize(("weight", "errors", "number"), [(0.5, 0.0, 20), (0.5, 0.01, 30), (0.05, 0.01, 8)])
def test_a_candidate_with_more_errors_is_aborted(weight: float, errors: float, number: int) -> None:
    aborted = rollouts(Plan(((weight, 1000),), errors, 0.02), number)

    assert aborted.count("errors") >= 0.95 * number


def test_a_slower_candidate_is_aborted() -> None:
    aborted = rollouts(Plan(((0.5, 100),), 0.01, slower=2.0), 5)

    assert {*aborted} <= {"latency_p50", "latency_p99"}


def test_the_best_test_of_a_fixed_number_of_requests() -> None:
    # Of R's power.prop.test(n = 2000, p1 = 0.02, p2 = 0.04, sig.level = 0.05, alternative = "one.sided").
    assert best_power(0.02, 0.02, 0.5, 2000, 0.05) == pytest.approx(0.981, abs=0.001)
    assert best_power(0.05, 0.02, 0.5, 2000, 0.05) < 0.95
