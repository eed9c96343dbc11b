"""Parameters with a fixed choice of values: a `Literal` becomes a dropdown on the dashboard.

Specs carry a parameter's choices since KFP 2.16: the backend holds every run to them, and the dashboard of 2.17 offers
them as a dropdown. kfp 2.17's compiler does not write them yet, so they are added to what it made.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

from kfp import dsl

from tiffin.errors import InputError


def pipeline(name: str, display_name: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a pipeline as `dsl.pipeline` does, with parameters that may be `Literal`s.

    Args:
        name: Of the pipeline.
        display_name: As the dashboard shows it.

    Raises:
        InputError: A Literal mixes types, or its parameter's default is none of its values.
    """

    def declare(function: Callable[..., Any]) -> Any:
        annotations: dict[str, Any] = function.__annotations__
        choices = {
            parameter: get_args(annotation)
            for parameter, annotation in annotations.items()
            if get_origin(annotation) == Literal
        }
        for parameter, values in choices.items():
            annotations[parameter] = _type_of(parameter, values)
        declared = dsl.pipeline(name=name, display_name=display_name)(function)
        parameters = declared.pipeline_spec.root.input_definitions.parameters
        for parameter, values in choices.items():
            default = declared.component_spec.inputs[parameter].default
            if default is not None and default not in values:
                raise InputError(f"The default of '{parameter}' should be one of {values}. Received: {default!r}.")
            for value in values:
                added = parameters[parameter].literals.add()
                if isinstance(value, str):
                    added.string_value = value
                else:
                    added.number_value = value
        return declared

    return declare


def _type_of(parameter: str, values: tuple[Any, ...]) -> type:
    types = {type(value) for value in values}
    if len(types) != 1 or not types <= {str, int}:
        raise InputError(
            f"The choices of '{parameter}' should all be strings, or all whole numbers. Received: {values}."
        )
    found: type = types.pop()
    return found
