"""Rules of the retrain stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from tiffin.artifacts.retraining import POLICIES, TRIGGERS
from tiffin.errors import InputError


def check_trigger(trigger: str) -> None:
    """Raise an InputError unless the parameter `trigger` is known."""
    if trigger not in TRIGGERS:
        raise InputError(f"trigger should be {', '.join(TRIGGERS)}. Received: '{trigger}'.")


def check_policy(policy: str) -> None:
    """Raise an InputError unless the parameter `policy` is known."""
    if policy not in POLICIES:
        raise InputError(f"policy should be {', '.join(POLICIES)}. Received: '{policy}'.")
