"""Find the services that a spec's steps need, such as a model server, and whether the run has their addresses."""

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


def needs_of(function: str) -> tuple[Service, ...]:
    """Return the services that a component's function needs; none for components that are not Tiffin's."""
    row = find_components().get(function)
    return row.needs if row else ()
