"""What a spec's steps need of others: services, such as a model server, with their addresses, and an approval."""

from collections.abc import Mapping
from typing import Any

from tiffin.specs.spec import Spec
from tiffin.stages import find_components
from tiffin.stages.traits import Service


def find_unaddressed(spec: Spec, values: Mapping[str, Any]) -> list[Service]:
    """Return the services that steps need and whose address no parameter sets, sorted by name.

    Args:
        spec: The pipeline.
        values: Parameter values by name.
    """
    found = {
        service.name: service
        for step in spec.steps
        for service in needs_of(step.function)
        if service.parameter and not values.get(step.inputs.get(service.parameter, ""))
    }
    return [found[name] for name in sorted(found)]


def find_waiting(spec: Spec, values: Mapping[str, Any]) -> list[str]:
    """Return the names of the steps whose model waits for approval once they have succeeded.

    Args:
        spec: The pipeline.
        values: Parameter values by name.
    """
    rows = find_components()
    found = []
    for step in spec.steps:
        name = rows[step.function].approval if step.function in rows else ""
        parameter = step.inputs.get(name, "")
        default = spec.parameters[parameter].default if parameter in spec.parameters else "none"
        if name and step.constants.get(name, values.get(parameter, default)) not in ("none", "", None):
            found.append(step.name)
    return found


def needs_of(function: str) -> tuple[Service, ...]:
    """Return the services that a component's function needs; none for components that are not Tiffin's."""
    row = find_components().get(function)
    return row.needs if row else ()
