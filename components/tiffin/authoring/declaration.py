"""The decorator `pipeline`: takes defaults and descriptions of parameters from components, and supports choices.

A parameter without a default, or without a description in the docstring, takes it from the component input that it is
passed to. Parameters are keyword-only, so that one without a default may follow one with a default:

    @pipeline(name="training", display_name="Train a model")
    def training(*, data: str, label: str = "late") -> None: ...

Here `data` has the default and the description of the component's input.

A `Literal` becomes a dropdown on the dashboard. Specs support choices since KFP 2.16: the backend checks every run against
them, and the dashboard of 2.17 shows a dropdown. kfp 2.17's compiler does not write them yet, so the decorator adds them.
"""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import docstring_parser
from google.protobuf import json_format
from kfp import dsl

from tiffin.errors import InputError
from tiffin.specs.spec import Parameter, read_parameters
from tiffin.specs.steps import read_steps
from tiffin.specs.wiring import check_wiring


def pipeline(name: str, display_name: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a pipeline as `dsl.pipeline` does, with `Literal` parameters and inherited defaults and descriptions.

    Args:
        name: Name of the pipeline.
        display_name: Name on the dashboard.

    Raises:
        InputError: A Literal mixes types, a default is not one of the choices, or a parameter without a default is
            passed to components with different defaults; or an artifact is passed to an input for another kind.
    """
    compiled = dsl.pipeline(name=name, display_name=display_name)

    def declare(function: Callable[..., Any]) -> Any:
        signature = inspect.signature(function)
        choices = {
            parameter.name: get_args(parameter.annotation)
            for parameter in signature.parameters.values()
            if get_origin(parameter.annotation) == Literal
        }
        types = {parameter: _type_of(parameter, values) for parameter, values in choices.items()}

        @functools.wraps(function)
        def traced(*values: Any) -> Any:
            return function(**dict(zip(signature.parameters, values, strict=True)))

        # Compile once without defaults: only a compiled pipeline shows where its parameters are passed to.
        traced.__signature__ = _signature(signature, types, {})  # type: ignore[attr-defined]
        document = json_format.MessageToDict(compiled(traced).pipeline_spec)
        check_wiring(document)
        inputs = _find_inputs(document)
        traced.__signature__ = _signature(signature, types, inputs)  # type: ignore[attr-defined]
        traced.__doc__ = _describe(function, display_name, signature, inputs)
        declared = compiled(traced)
        _add_choices(declared, choices)
        return declared

    return declare


def _signature(
    signature: inspect.Signature, types: Mapping[str, type], inputs: Mapping[str, Mapping[str, Parameter]]
) -> inspect.Signature:
    return signature.replace(
        parameters=[
            parameter.replace(
                # Only keyword-only parameters without a default may follow those with one.
                kind=inspect.Parameter.KEYWORD_ONLY,
                annotation=types.get(parameter.name, parameter.annotation),
                default=_default(parameter, inputs.get(parameter.name, {})),
            )
            for parameter in signature.parameters.values()
        ]
    )


def _default(parameter: inspect.Parameter, inputs: Mapping[str, Parameter]) -> Any:
    """Return a parameter's own default, else that of its component inputs; empty if one of these is required."""
    if parameter.default is not inspect.Parameter.empty or not inputs:
        return parameter.default
    defaults = [one.default for one in inputs.values()]
    if any(default is None for default in defaults):
        return inspect.Parameter.empty
    if any(default != defaults[0] for default in defaults):
        received = ", ".join(f"{function} {one.default!r}" for function, one in inputs.items())
        raise InputError(
            f"The parameter '{parameter.name}' should have a default in the pipeline, because its components have "
            f"different defaults. Received: {received}."
        )
    return defaults[0]


def _describe(
    function: Callable[..., Any],
    display_name: str,
    signature: inspect.Signature,
    inputs: Mapping[str, Mapping[str, Parameter]],
) -> str:
    """Return the function's docstring, completed with the components' descriptions of parameters.

    Of several components, the description of one that requires the parameter is preferred.
    """
    text = inspect.getdoc(function) or ""
    # kfp reads a docstring that starts with `Args:` as the description.
    head = re.split(r"(?m)^(?:Args|Returns):$", text)[0].rstrip() or display_name
    returns = re.search(r"(?ms)^Returns:$.*", text)
    own = {described.arg_name: described.description for described in docstring_parser.parse(text).params}
    lines = []
    for name in signature.parameters:
        described = sorted(inputs.get(name, {}).values(), key=lambda one: one.default is not None)
        about = own.get(name) or next((one.description for one in described if one.description), "")
        if about:
            lines.append(textwrap.indent(f"{name}: {textwrap.indent(about, '    ').lstrip()}", "    "))
    parts = [head, "\n".join(["Args:", *lines]) if lines else "", returns.group() if returns else ""]
    return "\n\n".join(part for part in parts if part)


def _find_inputs(document: Mapping[str, Any]) -> dict[str, dict[str, Parameter]]:
    """Return the component inputs of each parameter of a compiled pipeline: parameter -> function -> input."""
    found: dict[str, dict[str, Parameter]] = {}
    for step in read_steps(document):
        inputs = read_parameters(document["components"][f"comp-{step.component}"].get("inputDefinitions", {}))
        for name, parameter in step.inputs.items():
            # A parameter in a text, as in f"run of {name}", reaches the step under a name that is no input of its component.
            if name in inputs:
                found.setdefault(parameter, {})[step.function or step.component] = inputs[name]
    return found


def _add_choices(declared: Any, choices: Mapping[str, tuple[Any, ...]]) -> None:
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


def _type_of(parameter: str, values: tuple[Any, ...]) -> type:
    types = {type(value) for value in values}
    if len(types) != 1 or not types <= {str, int}:
        raise InputError(
            f"The choices of '{parameter}' should be either all strings or all whole numbers. Received: {values}."
        )
    found: type = types.pop()
    return found
