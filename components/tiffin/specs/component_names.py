"""Names of components and executors in a spec with nested pipelines.

kfp numbers the components of a nested pipeline in the order of a protobuf mapping, which differs between processes. Here they are
named by their tasks, level by level: the steps of the pipeline itself have the names without a number, those of a pipeline in it
come later.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def name_in_order(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the documents of a spec with components and executors that are named by the order of their tasks.

    Args:
        documents: The pipeline spec and, if there is one, the platform spec.
    """
    document = documents[0]
    names: dict[str, str] = {}
    labels: dict[str, str] = {}
    for task, reference in _walk(document):
        if reference not in names:
            names[reference] = _next(f"comp-{task}", names.values())
            label = document["components"][reference].get("executorLabel")
            if label and label not in labels:
                labels[label] = _next(f"exec-{task}", labels.values())
    executors = document.get("deploymentSpec", {}).get("executors", {})
    document = {
        **document,
        "root": _renamed(document["root"], names, labels),
        "components": {
            names[old]: _renamed(one, names, labels) for old, one in document["components"].items() if old in names
        },
        "deploymentSpec": {
            **document.get("deploymentSpec", {}),
            "executors": {labels[old]: one for old, one in executors.items() if old in labels},
        },
    }
    return [document, *(_platforms(one, labels) for one in documents[1:])]


def _walk(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each task and its component, level by level and sorted by name."""
    level = [document["root"]]
    while level:
        below = []
        for component in level:
            for task, about in sorted(component.get("dag", {}).get("tasks", {}).items()):
                reference = about["componentRef"]["name"]
                yield task, reference
                below.append(document["components"][reference])
        level = below


def _next(name: str, taken: Any) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _renamed(component: Mapping[str, Any], names: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, Any]:
    found = dict(component)
    if "executorLabel" in found:
        found["executorLabel"] = labels[found["executorLabel"]]
    if "dag" in found:
        tasks = {
            name: {**task, "componentRef": {**task["componentRef"], "name": names[task["componentRef"]["name"]]}}
            for name, task in found["dag"]["tasks"].items()
        }
        found["dag"] = {**found["dag"], "tasks": tasks}
    return found


def _platforms(document: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    platforms = {}
    for name, platform in document.get("platforms", {}).items():
        spec = platform.get("deploymentSpec", {})
        executors = {labels[old]: one for old, one in spec.get("executors", {}).items() if old in labels}
        platforms[name] = {**platform, "deploymentSpec": {**spec, "executors": executors}}
    return {**document, "platforms": platforms}
