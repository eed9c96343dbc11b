"""Addresses of notifications among the parameters of a run."""

import os
from collections.abc import Mapping
from typing import Any

from tiffin.notifications.addresses import VARIABLE, choose_addresses, is_url
from tiffin.specs.spec import Spec
from tiffin.stages import find_components
from tiffin.stages.traits import NOTIFICATIONS

_INPUT = "notify_to"


def check_addresses(spec: Spec, arguments: Mapping[str, Any]) -> None:
    """Raise an InputError if an address of a run that notifies people is wrong, or a tag unknown, on this machine.

    For runs whose steps have the environment of this machine.

    Args:
        spec: The pipeline.
        arguments: Parameter values by name.
    """
    for values in _lists(spec, arguments).values():
        choose_addresses(values)


def unchecked_tags(spec: Spec, arguments: Mapping[str, Any]) -> list[str]:
    """Return a warning for tags that could not be checked, since TIFFIN_NOTIFY is set only where the steps run.

    Args:
        spec: The pipeline.
        arguments: Parameter values by name.
    """
    if os.environ.get(VARIABLE):
        return []
    tags = {one for values in _lists(spec, arguments).values() for one in values if not is_url(one)}
    if not tags:
        return []
    return [
        f"The tags {', '.join(sorted(tags))} of {_INPUT} are not checked: {VARIABLE} is not set here. The steps take it from the "
        "Secret tiffin-notify."
    ]


def _lists(spec: Spec, arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the parameters with addresses, by name."""
    rows = find_components()
    names = {
        use.parameter
        for use in spec.uses
        if use.name == _INPUT and use.function in rows and NOTIFICATIONS in rows[use.function].needs
    }
    return {name: arguments.get(name, spec.parameters[name].default) or [] for name in sorted(names)}
