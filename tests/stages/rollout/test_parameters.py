"""Rules of the parameters."""

import pytest

from tiffin.errors import InputError
from tiffin.rollout.plan import Limits
from tiffin.stages.rollout.parameters import (
    check_deadline_hours,
    check_look_seconds,
    check_steps,
    check_sticky,
    make_limits,
)


def test_empty_values_are_those_of_the_strategy():
    check_steps([])
    check_sticky("")
    assert make_limits({}) == Limits()


@pytest.mark.parametrize(
    "steps",
    [
        [{"mirror": 100.0}],
        [{"weight": 5.0, "minutes": 10.0}, {"weight": 50.0, "min_requests": 100.0}],
        [{"mirror": 10.0}, {"weight": 5.0}],
    ],
)
def test_steps_of_any_strategy_are_accepted(steps):
    check_steps(steps)


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ([{"weight": 101.0}], "101"),
        ([{"weight": 5.0, "mirror": 5.0}], "mirror"),
        ([{"weight": 5.0}, {"mirror": 5.0}], "weight"),
        ([{"wieght": 5.0}], "wieght"),
        ([5.0], "5.0"),
        ([{"weight": "5"}], "'5'"),
    ],
)
def test_other_steps_are_refused(steps, named):
    with pytest.raises(InputError, match=named):
        check_steps(steps)


def test_limits_are_those_of_a_rollout():
    assert make_limits({"max_error_share": 0.01, "max_latency_ratio": 2.0}) == Limits(
        max_error_share=0.01, max_latency_ratio=2.0
    )


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"max_errors": 0.1}, "max_errors"),
        ({"max_error_share": 1.0}, "max_error_share=1"),
        ({"max_latency_ratio": 0.5}, "max_latency_ratio=0.5"),
        ({"max_error_share": "a lot"}, "a lot"),
        ({"max_error_share": True}, "True"),
    ],
)
def test_other_limits_are_refused(limits, named):
    with pytest.raises(InputError, match=named):
        make_limits(limits)


def test_times_are_positive():
    check_deadline_hours(0.1)
    check_look_seconds(0.1)
    for check, value in ((check_deadline_hours, 0.0), (check_deadline_hours, float("inf")), (check_look_seconds, 0.01)):
        with pytest.raises(InputError, match=str(value)):
            check(value)
