"""Rules of the deploy stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

import math
import re

from tiffin.errors import InputError, did_you_mean
from tiffin.rollout.plan import check_strategy

__all__ = ["check_strategy"]

# What a version needs before it is served.
RULES = ("none", "required", "four_eyes")


def check_version(version: int) -> None:
    """Raise an InputError unless `version` is the number of a version."""
    if version < 1:
        raise InputError(f"version should be at least 1. Received: version={version}.")


def check_deadline(seconds: float) -> None:
    """Raise an InputError unless the parameter `deadline_seconds` is a positive number."""
    if not 0 < seconds < math.inf:
        raise InputError(f"deadline_seconds should be above 0. Received: deadline_seconds={seconds}.")


def check_keep_previous(number: int) -> None:
    """Raise an InputError unless the parameter `keep_previous` is from 0 to 10."""
    if not 0 <= number <= 10:
        raise InputError(f"keep_previous should be from 0 to 10. Received: keep_previous={number}.")


def check_approval(rule: str) -> None:
    """Raise an InputError unless the parameter `approval` is one of the rules."""
    if rule not in RULES:
        raise InputError(
            f"approval should be one of: {', '.join(RULES)}. Received: approval='{rule}'.{did_you_mean(rule, RULES)}"
        )


def check_watch(duration: str) -> None:
    """Raise an InputError unless the parameter `watch` is empty or a time, such as 2m."""
    if duration and not re.fullmatch(r"\d{1,6}(\.\d+)?[smh]|0", duration):
        raise InputError(
            f"watch should be a time in s, m or h, such as 2m, or 0 for no watch. Received: watch='{duration[:50]}'."
        )
