"""The rules that components have for their inputs, where a run can be held to them before its first step.

A threshold for a metric that there is not would else be found after the training.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError
from tiffin.specs.executors import function_of
from tiffin.stages import find_components


@dataclass(frozen=True)
class Use:
    """A parameter of a pipeline as an input of a component.

    Attributes:
        parameter: Of the pipeline.
        function: Of the component.
        name: Of the component's input.
    """

    parameter: str
    function: str
    name: str


def find_uses(document: Mapping[str, Any]) -> Iterator[Use]:
    """Yield where the parameters of a compiled pipeline go to, through its branches and loops."""
    parameters = document["root"].get("inputDefinitions", {}).get("parameters", {})
    yield from _uses(document, document["root"], {name: name for name in parameters})


def _uses(document: Mapping[str, Any], component: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Use]:
    for task in component["dag"]["tasks"].values():
        inner = document["components"][task["componentRef"]["name"]]
        taken = task.get("inputs", {}).get("parameters", {})
        given = {
            name: origins[source["componentInputParameter"]]
            for name, source in taken.items()
            if source.get("componentInputParameter") in origins
        }
        if "dag" in inner:
            yield from _uses(document, inner, given)
            continue
        container = document["deploymentSpec"]["executors"][inner["executorLabel"]].get("container", {})
        function = function_of([*container.get("command", []), *container.get("args", [])])
        for name, parameter in given.items():
            yield Use(parameter, function, name)


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
