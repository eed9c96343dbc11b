"""Check parameters against the rules of component inputs before a run's first step.

Without this check, a threshold for an unknown metric would fail the run only after training.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tiffin.errors import InputError
from tiffin.specs.spec import Use
from tiffin.stages import find_components


def check_values(uses: Iterable[Use], values: Mapping[str, Any]) -> None:
    """Check parameter values against the rules of the components that receive them.

    Args:
        uses: Which component inputs each parameter goes to.
        values: Parameter values by name.

    Raises:
        InputError: A value breaks a rule.
    """
    for use in uses:
        row = find_components().get(use.function)
        if row is None or use.parameter not in values:
            continue
        value = values[use.parameter]
        try:
            if rule := row.rules.get(use.name):
                rule(value)
            if isinstance(value, Mapping):
                _check_settings(row.settings.get(use.name, ()), value)
        except InputError as error:
            if use.parameter == use.name:
                raise
            raise InputError(f"Parameter '{use.parameter}' (input '{use.name}' of {use.function}): {error}") from None


def _check_settings(functions: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Check values against the rules of the components that a mapping has inputs of."""
    for function in functions:
        for name, rule in find_components()[function].rules.items():
            if name in settings:
                rule(settings[name])
