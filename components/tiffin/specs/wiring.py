"""Check that a component's input artifact comes from the output of the same name, or of one that its traits name.

KFP compares the types of artifacts when it compiles, but schema, statistics and evaluation all have the type
`system.Artifact`, which takes any artifact. Types of our own would be compared; backends accept only those that KFP defines.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tiffin import images
from tiffin.errors import InputError
from tiffin.specs.steps import function_of
from tiffin.stages import find_components

# Function and output of the component that writes an artifact.
Origin = tuple[str, str]


def check_wiring(document: Mapping[str, Any]) -> None:
    """Check the artifacts that Tiffin's components pass to one another.

    Args:
        document: The pipeline spec: the first document of the YAML.

    Raises:
        InputError: A component gets an artifact of another kind.
    """
    for step, function, name, (producer, output) in _connections(document, document["root"], {}):
        names = (name, *find_components()[function].takes.get(name, ()))
        if output not in names:
            wanted = " or ".join(f"'{one}'" for one in names)
            raise InputError(
                f"The input '{name}' of {function} should be an output {wanted}. Received: the output '{output}' of "
                f"{producer}, in the step '{step}'. Pass the output {wanted} of the step that writes it."
            )


def _connections(
    document: Mapping[str, Any], component: Mapping[str, Any], given: Mapping[str, Origin]
) -> Iterator[tuple[str, str, str, Origin]]:
    """Yield step, function and input of each artifact that passes from one of Tiffin's components to another."""
    tasks: Mapping[str, Any] = component["dag"]["tasks"]
    for step, task in tasks.items():
        inner = document["components"][task["componentRef"]["name"]]
        taken = {
            name: origin
            for name, source in task.get("inputs", {}).get("artifacts", {}).items()
            if (origin := _origin(document, tasks, source, given)) is not None
        }
        if "dag" in inner:
            yield from _connections(document, inner, taken)
        elif function := _function(document, inner):
            yield from ((step, function, name, origin) for name, origin in taken.items())


def _origin(
    document: Mapping[str, Any], tasks: Mapping[str, Any], source: Mapping[str, Any], given: Mapping[str, Origin]
) -> Origin | None:
    """Return the component and the output that an artifact comes from; None if it is not one of Tiffin's components."""
    if "componentInputArtifact" in source:
        return given.get(source["componentInputArtifact"])
    found = source.get("taskOutputArtifact", {})
    if found.get("producerTask") not in tasks:
        return None
    output = found["outputArtifactKey"]
    inner = document["components"][tasks[found["producerTask"]]["componentRef"]["name"]]
    if "dag" not in inner:
        function = _function(document, inner)
        return (function, output) if function else None
    for selected in inner["dag"].get("outputs", {}).get("artifacts", {}).get(output, {}).get("artifactSelectors", []):
        below = {
            "producerTask": selected.get("producerSubtask"),
            "outputArtifactKey": selected.get("outputArtifactKey"),
        }
        if origin := _origin(document, inner["dag"]["tasks"], {"taskOutputArtifact": below}, {}):
            return origin
    return None


def _function(document: Mapping[str, Any], component: Mapping[str, Any]) -> str:
    """Return the function of one of Tiffin's components; empty for any other."""
    label = component.get("executorLabel", "")
    container = document["deploymentSpec"]["executors"].get(label, {}).get("container") or {}
    function = function_of([*container.get("command", []), *container.get("args", [])])
    row = find_components().get(function)
    with contextlib.suppress(InputError):
        if row and images.environment(container["image"]) == row.environment:
            return function
    return ""
