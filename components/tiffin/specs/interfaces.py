"""A component's interface: its inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.specs.spec import read_parameters, read_spec

# parameterType -> the Python type that kfp maps to it
_TYPES = {
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "dict",
    "TASK_FINAL_STATUS": "PipelineTaskFinalStatus",
}


@dataclass(frozen=True)
class Port:
    """An input or an output of a component.

    Attributes:
        name: Name of the input or output.
        type: Python type, such as `int` or `Dataset`.
        description: Description on one line.
        is_artifact: Whether it is an artifact; otherwise it is a parameter.
        is_required: Whether a pipeline must pass it. Defaults to True.
        default: Default value; None if there is none. Artifacts have none.
    """

    name: str
    type: str
    description: str
    is_artifact: bool
    is_required: bool = True
    default: Any = None


@dataclass(frozen=True)
class Interface:
    """The interface of a compiled component.

    Attributes:
        name: Name of the component's function.
        description: Summary line, then further lines.
        image: Container image.
        inputs: Artifacts, then parameters; of each, required ones first.
        outputs: Artifacts, then parameters.
    """

    name: str
    description: str
    image: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def to_json(self) -> dict[str, Any]:
        """Return names, types and defaults, the format of the golden file; without descriptions and image."""
        return {
            "inputs": {
                port.name: {"type": port.type} | ({} if port.is_required else {"default": port.default})
                for port in sorted(self.inputs, key=lambda port: port.name)
            },
            "outputs": {port.name: port.type for port in sorted(self.outputs, key=lambda port: port.name)},
        }


def read_interface(content: bytes) -> Interface:
    """Read the interface from a compiled component, a `component.yaml`.

    Raises:
        InputError: It is not a compiled component.
    """
    spec = read_spec("component.yaml", content)
    (step,) = spec.steps
    root = spec.documents[0]["root"]
    inputs = _ports(root.get("inputDefinitions", {}))
    return Interface(
        name=spec.name.replace("-", "_"),
        description=_description(content),
        image=step.image,
        inputs=tuple(sorted(inputs, key=lambda port: (not port.is_artifact, not port.is_required))),
        outputs=tuple(_ports(root.get("outputDefinitions", {}))),
    )


def _description(content: bytes) -> str:
    """Return the component's description, which kfp writes only to the comments at the top of the file."""
    lines: list[str] = []
    for line in content.decode().splitlines():
        if line.startswith("# Description: "):
            lines.append(line.removeprefix("# Description: "))
        elif lines and line.startswith("#              "):
            lines.append(line.removeprefix("#              "))
        elif lines:
            break
    return "\n".join(lines)


def _ports(definitions: Mapping[str, Any]) -> list[Port]:
    artifacts = [
        Port(
            name,
            about["artifactType"]["schemaTitle"].split(".")[-1],
            _on_one_line(about.get("description", "")),
            True,
            is_required=not about.get("isOptional", False),
        )
        for name, about in sorted(definitions.get("artifacts", {}).items())
    ]
    parameters = [
        Port(
            name,
            _TYPES[parameter.type],
            _on_one_line(parameter.description),
            False,
            is_required=not parameter.is_optional,
            default=parameter.default,
        )
        for name, parameter in sorted(read_parameters(definitions).items())
    ]
    return artifacts + parameters


def type_name(kind: str) -> str:
    """Return the Python type of a parameter type of KFP, such as `int` for `NUMBER_INTEGER`."""
    return _TYPES.get(kind, kind)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
