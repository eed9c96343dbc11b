import math
from typing import Any

import pytest

from tiffin.errors import InputError
from tiffin.rollout.plan import STRATEGIES, Limits, Step, check_limits, make_steps


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        ("direct", []),
        ("shadow", [(0, 100)]),
        ("canary", [(5, 0), (25, 0), (50, 0)]),
        ("ab", [(50, 0)]),
        ("shadow_canary", [(0, 100), (5, 0), (25, 0), (50, 0)]),
    ],
)
def test_each_strategy_has_steps(strategy: str, shares: list[tuple[float, float]]) -> None:
    assert [(step.weight, step.mirror) for step in make_steps(strategy)] == shares


def test_steps_of_a_user() -> None:
    steps = make_steps("canary", [{"weight": 1}, {"weight": 10.0, "minutes": 0.5, "min_requests": 20.0}])

    assert steps == (Step(1, 0, 10, 100), Step(10, 0, 0.5, 20))
    assert make_steps("shadow_canary", [{"mirror": 10}, {"weight": 5}]) == (Step(mirror=10), Step(weight=5))


@pytest.mark.parametrize(
    ("strategy", "steps", "named"),
    [
        ("cannary", [], "canary"),
        ("direct", [{"weight": 5}], "direct"),
        ("canary", [{"wieght": 5}], "weight"),
        ("canary", ["5"], "'5'"),
        ("canary", [{"weight": "5"}], "'5'"),
        ("canary", [{"weight": True}], "True"),
        ("canary", [{"weight": math.nan}], "nan"),
        ("canary", [{"weight": 101}], "101"),
        ("canary", [{"weight": 0}], "weight=0"),
        ("canary", [{"minutes": 5}], "weight=0"),
        ("canary", [{"mirror": 5}], "mirror=5"),
        ("canary", [{"weight": 5}, {"weight": 5, "minutes": -1}], "step 2"),
        ("canary", [{"weight": 5, "min_requests": 1.5}], "1.5"),
        ("canary", [{"weight": 5, "min_requests": -1}], "-1"),
        ("canary", [{"weight": 5}] * 51, "51"),
        ("shadow", [{"weight": 5}], "weight=5"),
        ("shadow", [{"weight": 5, "mirror": 5}], "mirror=5"),
        ("shadow_canary", [{"weight": 5}, {"mirror": 5}], "weight"),
        ("shadow_canary", [{"mirror": 5}], "shadow"),
        ("shadow_canary", [{"weight": 5}], "canary"),
    ],
)
def test_steps_that_are_none(strategy: str, steps: list[Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_steps(strategy, steps)


def test_a_header_that_is_none() -> None:
    with pytest.raises(InputError, match="sticky"):
        make_steps("canary", [{"weight": 5}], sticky="X User")


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_error_share=1),
        Limits(max_error_share=-0.1),
        Limits(max_latency_ratio=0.9),
        Limits(max_latency_ratio=math.inf),
        Limits(max_error_share=math.nan),
        Limits(min_agreement=1.1),
        Limits(min_agreement=-0.1),
        Limits(max_distance=1),
        Limits(max_distance=math.nan),
    ],
)
def test_limits_out_of_range(limits: Limits) -> None:
    with pytest.raises(InputError):
        check_limits(limits)


def test_usual_limits_are_valid() -> None:
    check_limits(Limits())
    check_limits(Limits(min_agreement=1, max_distance=0), make_steps("shadow_canary"))
    assert len(STRATEGIES) == 5


@pytest.mark.parametrize(
    ("strategy", "limits"),
    [("canary", Limits(min_agreement=0.9)), ("shadow", Limits(max_distance=0.1)), ("direct", Limits(max_distance=0.1))],
)
def test_limits_of_what_no_step_has(strategy: str, limits: Limits) -> None:
    assert limits.needs_answers
    with pytest.raises(InputError, match=r"min_agreement|max_distance"):
        check_limits(limits, make_steps(strategy))
