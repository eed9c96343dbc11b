"""The names in a compiled spec that become names of files and folders."""

from collections.abc import Iterator, Mapping
from typing import Any

from tiffin.errors import InputError
from tiffin.printing import printable

# Bytes; a file system takes 255, to which a run adds its time.
_LONGEST = 200


def check_names(document: Mapping[str, Any]) -> None:
    """Raise unless the names of a pipeline spec that a run uses as folders stay within their folder.

    Args:
        document: The pipeline spec: the first document of the YAML.

    Raises:
        InputError: A name is that of another folder, or no name at all.
    """
    for place, name in _names(document):
        if not _is_plain(name):
            raise InputError(
                "A name in a spec should be one that a folder can have: a text of 1 to 200 bytes without '/', '\\' and control "
                f"characters. Received: {printable(place)} {printable(repr(name))}. Rename it in the pipeline's source, and "
                "compile it again."
            )


def _is_plain(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name.encode(errors="replace")) <= _LONGEST
        and name.strip(". ") != ""
        and not any(character in "/\\" or not character.isprintable() for character in name)
    )


def _names(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield each name with the place where it stands."""
    yield "pipelineInfo.name", document["pipelineInfo"]["name"]
    components = document.get("components", {})
    for executor in document.get("deploymentSpec", {}).get("executors", {}):
        yield "executors", executor
    for name, component in {"root": document["root"], **components}.items():
        yield "components", name
        for task, about in component.get("dag", {}).get("tasks", {}).items():
            yield f"components.{name}.dag.tasks", task
            yield f"components.{name}.dag.tasks.{task}.componentRef.name", about["componentRef"]["name"]
        for kind in ("inputDefinitions", "outputDefinitions"):
            for what, definitions in component.get(kind, {}).items():
                for each in definitions:
                    yield f"components.{name}.{kind}.{what}", each
