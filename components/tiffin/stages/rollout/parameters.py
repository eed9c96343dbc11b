"""Rules of the rollout stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.gateway.traffic import Traffic, check_traffic
from tiffin.rollout.plan import Limits, check_limits, check_strategy, make_steps

__all__ = ["check_strategy"]


def check_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    """Raise an InputError unless the parameter `steps` has the steps of some strategy."""
    kinds = {bool(step.get("mirror")) for step in steps if isinstance(step, Mapping)}
    make_steps(
        {frozenset({True}): "shadow", frozenset({True, False}): "shadow_canary"}.get(frozenset(kinds), "canary"), steps
    )


def make_limits(given: Mapping[str, Any]) -> Limits:
    """Return the limits in the parameter `limits`.

    Raises:
        InputError: A limit does not exist, is no number, or is out of its range.
    """
    known = [field.name for field in dataclasses.fields(Limits)]
    for name, value in given.items():
        if name not in known:
            raise InputError(f"limits should have: {', '.join(known)}. Received: '{name}'.{did_you_mean(name, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{name} in limits should be a number. Received: {value!r}.")
    limits = Limits(**given)
    check_limits(limits)
    return limits


def check_limits_given(given: Mapping[str, Any]) -> None:
    """Raise an InputError unless the parameter `limits` has limits in their ranges."""
    make_limits(given)


def check_sticky(header: str) -> None:
    """Raise an InputError unless the parameter `sticky` is empty or the name of a header."""
    check_traffic(Traffic(1, 1.0, 0.0, header))


def check_version(version: int) -> None:
    """Raise an InputError unless `version` is the number of a version."""
    if version < 1:
        raise InputError(f"version should be at least 1. Received: version={version}.")


def check_leaving(version: int) -> None:
    """Raise an InputError unless `version` is the number of a version, or 0 for the one in production."""
    if version < 0:
        raise InputError(f"version should be at least 1, or 0 for the one in production. Received: version={version}.")


def check_deadline_hours(hours: float) -> None:
    """Raise an InputError unless the parameter `deadline_hours` is a positive number."""
    if not 0 < hours < math.inf:
        raise InputError(f"deadline_hours should be above 0. Received: deadline_hours={hours}.")


def check_load_seconds(seconds: float) -> None:
    """Raise an InputError unless the parameter `load_seconds` is a positive number."""
    if not 0 < seconds < math.inf:
        raise InputError(f"load_seconds should be above 0. Received: load_seconds={seconds}.")


def check_look_seconds(seconds: float) -> None:
    """Raise an InputError unless the parameter `look_seconds` is at least 0.1."""
    if not 0.1 <= seconds < math.inf:
        raise InputError(f"look_seconds should be at least 0.1. Received: look_seconds={seconds}.")
