"""The services that a spec's steps talk to, such as a model server, and whether the run says where they are."""

from collections.abc import Iterable, Mapping
from typing import Any

from tiffin.specs.spec import Use
from tiffin.stages import find_components
from tiffin.stages.traits import Service


def find_unaddressed(functions: Iterable[str], uses: Iterable[Use], values: Mapping[str, Any]) -> list[Service]:
    """Return the services that some steps need and whose address no parameter gives, sorted by name.

    Args:
        functions: Names of the steps' component functions.
        uses: Which inputs of components the pipeline's parameters go to.
        values: The parameters' values.
    """
    given = {(use.function, use.name) for use in uses if values.get(use.parameter)}
    found = {
        service.name: service
        for function in functions
        for service in needs_of(function)
        if service.parameter and (function, service.parameter) not in given
    }
    return [found[name] for name in sorted(found)]


def needs_of(function: str) -> tuple[Service, ...]:
    """Return the services that a component's function talks to; none where the component is not Tiffin's."""
    row = find_components().get(function)
    return row.needs if row else ()
