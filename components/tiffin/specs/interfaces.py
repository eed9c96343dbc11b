"""A component's interface: what pipelines that load it rely on, and whether a change of it breaks them.

Versions follow semver: before 1.0.0 the second number says that something breaks and the third that nothing does;
from 1.0.0 on, the first says that something breaks and the second that something came to it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

# parameterType -> the type in Python that kfp makes it from
_TYPES = {
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "dict",
    "TASK_FINAL_STATUS": "PipelineTaskFinalStatus",
}

_BREAKS_NOTHING = {"input added, optional", "input made optional", "output added", "component added"}


@dataclass(frozen=True)
class Port:
    """An input or an output of a component.

    Attributes:
        name: As pipelines pass it.
        type: In Python, such as `int` or `Dataset`.
        description: One line.
        is_artifact: Whether it is an artifact, not a parameter.
        is_required: Whether a pipeline has to pass it.
        default: What it is where none is passed; None where there is no default, as for every artifact.
    """

    name: str
    type: str
    description: str
    is_artifact: bool
    is_required: bool = True
    default: Any = None


@dataclass(frozen=True)
class Interface:
    """What a compiled component says of itself.

    Attributes:
        name: As it is imported, such as `train_model`.
        description: The first line alone, then the rest.
        image: That it runs in.
        inputs: Artifacts first, then parameters, those that are required before the others.
        outputs: Artifacts first.
    """

    name: str
    description: str
    image: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what pipelines rely on, as a golden keeps it: no words and no image."""
        return {
            "inputs": {
                port.name: {"type": port.type} | ({} if port.is_required else {"default": port.default})
                for port in sorted(self.inputs, key=lambda port: port.name)
            },
            "outputs": {port.name: port.type for port in sorted(self.outputs, key=lambda port: port.name)},
        }


@dataclass(frozen=True)
class Change:
    """One difference between two interfaces.

    Attributes:
        what: Such as `input removed`.
        name: Of the input or output.
        before: Its type, or its default; empty where there was none.
        after: The same now.
    """

    what: str
    name: str
    before: str = ""
    after: str = ""

    @property
    def is_breaking(self) -> bool:
        """Whether a pipeline that worked may fail, or do something else."""
        return self.what not in _BREAKS_NOTHING

    def __str__(self) -> str:
        values = f" ({self.before} -> {self.after})" if self.before or self.after else ""
        return f"{self.what}: {self.name}{values}"


def read_interface(spec: bytes) -> Interface:
    """Read the interface from a compiled component, a `component.yaml`."""
    document = next(yaml.safe_load_all(spec))
    (component,) = document["components"].values()
    (executor,) = document["deploymentSpec"]["executors"].values()
    inputs = _ports(component.get("inputDefinitions", {}))
    return Interface(
        name=document["pipelineInfo"]["name"].replace("-", "_"),
        description=_description(spec),
        image=executor["container"]["image"],
        inputs=tuple(sorted(inputs, key=lambda port: (not port.is_artifact, not port.is_required))),
        outputs=tuple(_ports(component.get("outputDefinitions", {}))),
    )


def _description(spec: bytes) -> str:
    """Return the component's description, which kfp keeps in the comments before the spec and nowhere else."""
    lines: list[str] = []
    for line in spec.decode().splitlines():
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
            _words(about),
            True,
            is_required=not about.get("isOptional", False),
        )
        for name, about in sorted(definitions.get("artifacts", {}).items())
    ]
    parameters = [
        Port(
            name,
            _TYPES[about["parameterType"]],
            _words(about),
            False,
            is_required=not about.get("isOptional", False),
            default=_as_declared(about.get("defaultValue"), about["parameterType"]),
        )
        for name, about in sorted(definitions.get("parameters", {}).items())
    ]
    return artifacts + parameters


def _words(about: Mapping[str, Any]) -> str:
    return " ".join(about.get("description", "").split())


def _as_declared(default: Any, kind: str) -> Any:
    """Return a default with its whole numbers, which a spec keeps as floats."""
    if isinstance(default, list):
        return [_as_declared(value, "") for value in default]
    if isinstance(default, dict):
        return {key: _as_declared(value, "") for key, value in default.items()}
    return int(default) if isinstance(default, float) and kind != "NUMBER_DOUBLE" and default.is_integer() else default


def compare_interfaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the differences between two interfaces.

    A default that changes breaks: a pipeline that does not pass the input does something else from then on.

    Args:
        before: As `Interface.to_json` gives it.
        after: The same.
    """
    changes = []
    for name in sorted({*before["inputs"], *after["inputs"]}):
        old, new = before["inputs"].get(name), after["inputs"].get(name)
        if new is None:
            changes.append(Change("input removed", name))
        elif old is None:
            changes.append(Change("input added, optional" if "default" in new else "input added, required", name))
        elif old["type"] != new["type"]:
            changes.append(Change("input of another type", name, old["type"], new["type"]))
        elif "default" in old and "default" not in new:
            changes.append(Change("input made required", name))
        elif "default" not in old and "default" in new:
            changes.append(Change("input made optional", name))
        elif old != new:
            changes.append(Change("input with another default", name, repr(old["default"]), repr(new["default"])))
    for name in sorted({*before["outputs"], *after["outputs"]}):
        was, now = before["outputs"].get(name), after["outputs"].get(name)
        if now is None:
            changes.append(Change("output removed", name))
        elif was is None:
            changes.append(Change("output added", name))
        elif was != now:
            changes.append(Change("output of another type", name, was, now))
    return changes


def required_version(before: str, changes: Iterable[Change]) -> str:
    """Return the lowest version that these changes may be released as.

    Args:
        before: The version that they are changes to, such as `0.1.0`.
        changes: From `compare_interfaces`. None ask for no other version.
    """
    changes = list(changes)
    major, minor, patch = parse_version(before)
    if not changes:
        return before
    breaking = any(change.is_breaking for change in changes)
    if major == 0:
        return f"0.{minor + 1}.0" if breaking else f"0.{minor}.{patch + 1}"
    return f"{major + 1}.0.0" if breaking else f"{major}.{minor + 1}.0"


def parse_version(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version, so that versions can be compared."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def find_shortfall(
    released: Mapping[str, Any], since: str, interfaces: Mapping[str, Any], version: str
) -> tuple[str, list[str]]:
    """Return the version that the changes since a release ask for, and the changes, if `version` is below it.

    Args:
        released: Interface of each component of the release, as `Interface.to_json` gives it.
        since: Version of the release.
        interfaces: The same of each component now.
        version: Of the source now.

    Returns:
        `version` and no changes where it is high enough.
    """
    nothing: dict[str, Any] = {"inputs": {}, "outputs": {}}
    changes: list[tuple[str, Change]] = []
    for name in sorted({*released, *interfaces}):
        if name not in interfaces:
            changes.append((name, Change("component removed", name)))
        elif name not in released:
            changes.append((name, Change("component added", name)))
        else:
            found = compare_interfaces({**nothing, **released[name]}, {**nothing, **interfaces[name]})
            changes += [(name, change) for change in found]
    needed = required_version(since, [change for _, change in changes])
    if parse_version(version) >= parse_version(needed):
        return version, []
    return needed, [
        f"{name}: {'BREAKS pipelines' if change.is_breaking else 'breaks nothing'}: {change}"
        for name, change in changes
    ]
