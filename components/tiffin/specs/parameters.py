"""Read a run's parameters from the command line and a file, and check them against the spec before the run."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.governance.identity import current_user
from tiffin.masking import masked
from tiffin.specs.rules import check_values
from tiffin.specs.spec import Parameter, Spec
from tiffin.specs.yaml_text import InvalidYaml, load_yaml
from tiffin.stages import find_components

# Characters of a value in an error.
_SHOWN = 500

# parameterType -> description, example, and predicate. Unlike in Python, a bool does not count as an int here.
_TYPES: dict[str, tuple[str, str, Callable[[Any], bool]]] = {
    "STRING": ("a string", "text", lambda value: isinstance(value, str)),
    "NUMBER_INTEGER": ("a whole number", "10", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "NUMBER_DOUBLE": ("a number", "0.5", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "BOOLEAN": ("true or false", "true", lambda value: isinstance(value, bool)),
    "LIST": ("a list", '["a", "b"]', lambda value: isinstance(value, list)),
    "STRUCT": ("a mapping", '{"a": 1}', lambda value: isinstance(value, dict)),
}


# The option that stands for a setting, and the setting.
NO_REUSE = ("--no-reuse", "reuse=false")


def gather_parameters(spec: Spec, settings: Iterable[str] = (), file: str | Path | None = None) -> dict[str, Any]:
    """Return the parameter values of a run: those of the file, overridden by the settings.

    A parameter for the person who asks for the run has the name of the current user, unless it is set.

    Args:
        spec: Spec to run.
        settings: Strings `key=value`. Values of string parameters are taken literally, others are parsed as YAML or JSON.
        file: YAML file with a mapping of names to values. Defaults to no file.

    Raises:
        InputError: A setting or the file cannot be read, a name is unknown, a value has the wrong type or breaks a rule
            of its component, or a required value is missing.
    """
    declared = spec.parameters
    values: dict[str, Any] = {}
    for name, value in (_read_file(file) if file is not None else {}).items():
        _check_name(name, declared, f"The file '{file}'")
        values[name] = _checked(value, declared[name], f"in '{file}'")
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise InputError(f"--set should be KEY=VALUE. Received: '{setting}'. Write --set '{setting}=VALUE'.")
        name = name.strip()
        _check_name(name, declared, f"--set, or {NO_REUSE[0]}," if setting == NO_REUSE[1] else "--set")
        values[name] = _checked(_parse(text, declared[name]), declared[name], "in --set")
    # kfp.local needs a value for each parameter without a default, even if the parameter is optional.
    missing = [name for name, about in declared.items() if name not in values and about.default is None]
    if missing:
        raise InputError(
            f"Missing required parameters: {', '.join(missing)}. "
            f"Add {' '.join(f'--set {name}=VALUE' for name in missing)}."
        )
    check_values(spec.uses, values)
    return _requesters(spec) | values


def _requesters(spec: Spec) -> dict[str, Any]:
    """Return the parameters that a component takes as the person who asks for the run, with the current user."""
    rows = find_components()
    names = [use.parameter for use in spec.uses if use.function in rows and rows[use.function].requester == use.name]
    return {name: current_user() for name in names if not spec.parameters[name].default}


def with_defaults(spec: Spec, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all parameters of a run: those that differ from their defaults, and the others."""
    values = {name: arguments.get(name, about.default) for name, about in spec.parameters.items()}
    different = {name: value for name, value in values.items() if value != spec.parameters[name].default}
    return different, {name: value for name, value in values.items() if name not in different}


def masked_value(value: Any) -> Any:
    """Return a JSON value with the secrets in its texts masked."""
    if isinstance(value, dict):
        return {key: masked_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked_value(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def _read_file(path: str | Path) -> dict[str, Any]:
    try:
        values = load_yaml(Path(path).read_bytes())
    except (OSError, InvalidYaml) as error:
        raise InputError(
            f"--params should be a readable YAML file. Received: '{path}' "
            f"({error.strerror if isinstance(error, OSError) else error})."
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(
            f"--params should be a YAML file with a mapping of names to values. "
            f"Received: '{path}' with a {type(values).__name__}. Write one `name: value` per line."
        )
    return values


def _check_name(name: str, declared: Mapping[str, Any], where: str) -> None:
    if name not in declared:
        raise InputError(
            f"{where} should name a parameter of the pipeline: {', '.join(declared) or 'it has none'}. "
            f"Received: '{name}'.{did_you_mean(name, declared)}"
        )


def _parse(text: str, parameter: Parameter) -> Any:
    if parameter.type == "STRING":
        return text
    try:
        value = load_yaml(text)
    except InvalidYaml as error:
        raise InputError(
            f"The parameter '{parameter.name}' should be {_wanted(parameter.type)}. "
            f"Received: '{_shortened(text)}' in --set ({error}). "
            "Put the whole KEY=VALUE in quotes for the shell."
        ) from None
    if parameter.type == "NUMBER_DOUBLE" and isinstance(value, str):
        # YAML 1.1 reads 1e-3 as a string.
        try:
            value = float(text)
        except ValueError:
            return value
    return value


def _checked(value: Any, parameter: Parameter, where: str) -> Any:
    kind = parameter.type
    holds = _TYPES[kind][2] if kind in _TYPES else lambda _value: True
    if kind == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not holds(value):
        raise InputError(
            f"The parameter '{parameter.name}' should be {_wanted(kind)}. "
            f"Received: {_shortened(json.dumps(value, default=str))}, {_kind_of(value)}, {where}."
        )
    if parameter.literals and value not in parameter.literals:
        names = [str(choice) for choice in parameter.literals]
        raise InputError(
            f"The parameter '{parameter.name}' should be one of: {', '.join(names)}. "
            f"Received: {_shortened(json.dumps(value))} {where}.{did_you_mean(str(value), names)}"
        )
    if (key := _other_key(value)) is not None:
        raise InputError(
            f"The parameter '{parameter.name}' should have texts as keys of its mappings. "
            f"Received: {key[0]!r} {where}. "
            "YAML reads on, no and 1 as booleans and numbers. Put the key in quotes."
        )
    try:
        # Refuse YAML types that JSON lacks, such as dates, and NaN and infinities.
        json.dumps(value, allow_nan=False)
        # kfp.local refuses an integer, such as 0, for a float parameter.
        return float(value) if kind == "NUMBER_DOUBLE" else value
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"The parameter '{parameter.name}' should hold only JSON values. Received: {_shortened(repr(value))} {where}. "
            "Put strings in quotes."
        ) from None


def _other_key(value: Any) -> tuple[Any] | None:
    """Return the first key of a mapping that is not a text, in a tuple, at any depth; None if there is none."""
    if isinstance(value, dict):
        inner: Iterable[Any] = value.values()
        for key in value:
            if not isinstance(key, str):
                return (key,)
    else:
        inner = value if isinstance(value, list) else ()
    return next((found for found in map(_other_key, inner) if found), None)


def _wanted(kind: str) -> str:
    if kind not in _TYPES:
        return f"a {kind}"
    description, example, _ = _TYPES[kind]
    return f"{description}, such as {example}"


def _kind_of(value: Any) -> str:
    for description, _, holds in _TYPES.values():
        if holds(value):
            return description
    return "no value" if value is None else f"a {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
