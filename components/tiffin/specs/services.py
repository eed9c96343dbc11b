"""What a spec's steps need of others: services, such as a model server, with their addresses, an approval, a gateway."""

from collections.abc import Callable, Mapping
from typing import Any

from tiffin.specs.spec import Spec
from tiffin.stages import find_components
from tiffin.stages.traits import Service, Traits


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
    return _find(spec, values, lambda row: row.approval, "none", "none")


def find_rollouts(spec: Spec, values: Mapping[str, Any]) -> list[str]:
    """Return the names of the steps that roll a model out step by step, which needs a gateway.

    Args:
        spec: The pipeline.
        values: Parameter values by name.
    """
    # With another policy, a decision in the run never leads to a rollout.
    if _find(spec, values, lambda row: row.policy, "retrain", "retrain"):
        return []
    return _find(spec, values, lambda row: row.rollout, "direct", "canary")


def _find(
    spec: Spec, values: Mapping[str, Any], input_of: Callable[[Traits], str], usual: str, unset: str
) -> list[str]:
    """Return the names of the steps with an input that their traits name, and another value of it than the usual one.

    Args:
        spec: The pipeline.
        values: Parameter values by name.
        input_of: Returns the name of the input, from the traits of a component.
        usual: The usual value.
        unset: The component's own default.
    """
    rows = find_components()
    found = []
    for step in spec.steps:
        name = input_of(rows[step.function]) if step.function in rows else ""
        parameter = step.inputs.get(name, "")
        default = spec.parameters[parameter].default if parameter in spec.parameters else unset
        if name and step.constants.get(name, values.get(parameter, default)) not in (usual, "", None):
            found.append(step.name)
    return found


def needs_of(function: str) -> tuple[Service, ...]:
    """Return the services that a component's function needs; none for components that are not Tiffin's."""
    row = find_components().get(function)
    return row.needs if row else ()
