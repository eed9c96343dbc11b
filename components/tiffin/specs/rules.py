"""The rules that components have for their inputs, where a run can be held to them before its first step.

A threshold for a metric that there is not would else be found after the training.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tiffin.errors import InputError
from tiffin.specs.spec import Use
from tiffin.stages import find_components


def check_values(uses: Iterable[Use], values: Mapping[str, Any]) -> None:
    """Hold the values of parameters to the rules of the components that get them.

    Raises:
        InputError: A value breaks a rule.
    """
    for use in uses:
        row = find_components().get(use.function)
        rule = row.rules.get(use.name) if row else None
        if rule is None or use.parameter not in values:
            continue
        try:
            rule(values[use.parameter])
        except InputError as error:
            if use.parameter == use.name:
                raise
            raise InputError(f"The parameter '{use.parameter}' goes to {use.function} as {use.name}. {error}") from None
