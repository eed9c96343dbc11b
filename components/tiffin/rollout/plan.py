"""The plan of a rollout: its steps, from the strategy or as a user writes them, and the limits of the candidate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tiffin.errors import InputError, did_you_mean
from tiffin.gateway.traffic import Traffic, check_traffic

Strategy = Literal["direct", "shadow", "canary", "ab", "shadow_canary"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_MOST_STEPS = 50
# A year: an A/B test may take weeks.
_MOST_MINUTES = 366 * 24 * 60


@dataclass(frozen=True)
class Step:
    """A part of a rollout.

    Attributes:
        weight: Share of the requests that the candidate answers, in percent.
        mirror: Share of the requests of which the candidate gets a copy, in percent; 0 with a weight.
        minutes: Least duration.
        min_requests: Least number of requests that the candidate gets in this step.
    """

    weight: float = 0.0
    mirror: float = 0.0
    minutes: float = 10.0
    min_requests: int = 100


_SHADOW = Step(mirror=100.0)
_CANARY = (Step(weight=5.0), Step(weight=25.0), Step(weight=50.0))
_STEPS: dict[Strategy, tuple[Step, ...]] = {
    "direct": (),
    "shadow": (_SHADOW,),
    "canary": _CANARY,
    "ab": (Step(weight=50.0, minutes=60.0, min_requests=1000),),
    "shadow_canary": (_SHADOW, *_CANARY),
}


@dataclass(frozen=True)
class Limits:
    """What a candidate may be worse in.

    Attributes:
        max_error_share: Share of the requests that may fail although the stable version answers them, from 0 and below 1.
        max_latency_ratio: Ratio of the candidate's p50 and p99 to those of the stable version, at least 1.
        min_agreement: Share of the copies, from 0 to 1, that the candidate answers as the stable version does; None for no
            limit.
        max_distance: Distance between the predictions of both versions, from 0 and below 1, see
            `tiffin.rollout.statistics.distributions`; None for no limit.
    """

    max_error_share: float = 0.0
    max_latency_ratio: float = 1.5
    min_agreement: float | None = None
    max_distance: float | None = None

    @property
    def needs_answers(self) -> bool:
        """Whether a limit is about answers, which only the prediction log has."""
        return self.min_agreement is not None or self.max_distance is not None


def check_strategy(strategy: str) -> None:
    """Raise an InputError unless a strategy exists."""
    if strategy not in STRATEGIES:
        raise InputError(
            f"strategy should be one of: {', '.join(STRATEGIES)}. Received: strategy='{strategy}'."
            f"{did_you_mean(strategy, STRATEGIES)}"
        )


def make_steps(strategy: str, steps: Sequence[Mapping[str, Any]] = (), *, sticky: str = "") -> tuple[Step, ...]:
    """Return the steps of a rollout.

    Args:
        strategy: One of `STRATEGIES`.
        steps: Steps in place of those of the strategy, such as `{"weight": 5, "minutes": 10}`.
        sticky: Header that divides the requests; empty for none.

    Raises:
        InputError: The strategy does not exist, or the steps are not those of one.
    """
    check_strategy(strategy)
    usual = _STEPS[strategy]  # type: ignore[index]
    if not steps:
        return usual
    if not usual:
        raise InputError(f"steps should be empty for strategy=direct, which has none. Received: {len(steps)} steps.")
    if len(steps) > _MOST_STEPS:
        raise InputError(f"steps should be at most {_MOST_STEPS}. Received: {len(steps)}.")
    made = tuple(_make_step(number, step, usual[-1]) for number, step in enumerate(steps, 1))
    for number, step in enumerate(made, 1):
        _check_step(number, step, strategy, sticky)
    kinds = [bool(step.mirror) for step in made]
    if kinds != sorted(kinds, reverse=True):
        raise InputError("steps with mirror should come before those with weight. Received: a weight before a mirror.")
    if strategy == "shadow_canary" and len(set(kinds)) == 1:
        raise InputError(
            "steps of strategy=shadow_canary should have a mirror first, and weights then. Received: only "
            f"{'mirrors' if kinds[0] else 'weights'}. Choose strategy={'shadow' if kinds[0] else 'canary'}."
        )
    return made


def _make_step(number: int, given: Mapping[str, Any], usual: Step) -> Step:
    known = ("weight", "mirror", "minutes", "min_requests")
    if not isinstance(given, Mapping):
        raise InputError(
            f"steps should be mappings such as {{'weight': 5, 'minutes': 10}}. Received: {given!r} as step {number}."
        )
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"A step should have {', '.join(known)}. Received: '{name}' in step {number}.{did_you_mean(str(name), known)}"
            )
        # KFP passes the numbers of a list as floats.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name} should be a number. Received: {value!r} in step {number}.")
        if name == "min_requests" and value != int(value):
            raise InputError(f"min_requests should be a whole number. Received: {value!r} in step {number}.")
        values[name] = int(value) if name == "min_requests" else float(value)
    return replace(usual, **{"weight": 0.0, "mirror": 0.0, **values})


def _check_step(number: int, step: Step, strategy: str, sticky: str) -> None:
    wanted = {"shadow": "mirror", "shadow_canary": "weight or mirror"}.get(strategy, "weight")
    is_wanted = bool(step.weight) if wanted == "weight" else bool(step.mirror) if wanted == "mirror" else True
    if not is_wanted or not (step.weight or step.mirror):
        raise InputError(
            f"Each step of strategy={strategy} should have {wanted} above 0. Received: weight={step.weight:g}, "
            f"mirror={step.mirror:g} in step {number}."
        )
    try:
        check_traffic(Traffic(1, step.weight, step.mirror, sticky))
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}, in step {number}.") from None
    if not 0 <= step.minutes <= _MOST_MINUTES:
        raise InputError(
            f"minutes should be from 0 to {_MOST_MINUTES}. Received: minutes={step.minutes:g} in step {number}."
        )
    if step.min_requests < 0:
        raise InputError(
            f"min_requests should be at least 0. Received: min_requests={step.min_requests} in step {number}."
        )


def check_limits(limits: Limits, steps: Sequence[Step] | None = None) -> None:
    """Raise an InputError unless all limits are in their ranges.

    Args:
        limits: The limits.
        steps: Steps of the rollout, of which some should have what a limit is about. Defaults to None: not checked.
    """
    agreement, distance = limits.min_agreement, limits.max_distance
    rules = (
        ("max_error_share", "from 0 and below 1", 0 <= limits.max_error_share < 1),
        ("max_latency_ratio", "at least 1", 1 <= limits.max_latency_ratio < math.inf),
        ("min_agreement", "from 0 to 1", agreement is None or 0 <= agreement <= 1),
        ("max_distance", "from 0 and below 1", distance is None or 0 <= distance < 1),
    )
    for name, rule, is_met in rules:
        if not is_met:
            raise InputError(f"{name} should be {rule}. Received: {name}={getattr(limits, name):g}.")
    for name, limit, kind in (("min_agreement", agreement, "mirror"), ("max_distance", distance, "weight")):
        if limit is not None and steps is not None and not any(getattr(step, kind) for step in steps):
            raise InputError(f"{name} should be left out without a step with {kind}. Received: {name}={limit:g}.")
