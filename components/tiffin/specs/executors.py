"""The steps of a compiled pipeline, and the executors that say how their containers run."""

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from tiffin.errors import InputError, did_you_mean


def function_of(command: list[str]) -> str:
    """Return the component function that a task's command runs; an empty string where it runs none."""
    flag = "--function_to_execute"
    if flag in command[:-1]:
        return str(command[command.index(flag) + 1])
    return ""


def executors_of(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each step that runs a container, and the label of its executor."""
    for component in (document["root"], *document.get("components", {}).values()):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            label = document["components"][task["componentRef"]["name"]].get("executorLabel")
            if label and "container" in document["deploymentSpec"]["executors"][label]:
                yield name, label


def find_executor(option: str, step: str, documents: list[dict[str, Any]]) -> str:
    """Return the label of the executor of the step that an option names.

    Args:
        option: For the error.
        step: Its name or first word.
        documents: Of the spec.

    Raises:
        InputError: There is no such step, or more than one.
    """
    executors = dict(executors_of(documents[0]))
    return executors[find_step(option, step, executors)]


def find_step(option: str, step: str, known: Iterable[str]) -> str:
    """Return the step that an option names: its name, or its first word where no other begins so.

    Raises:
        InputError: There is none, or more than one.
    """
    known = sorted(known)
    name = step.replace("_", "-")
    if name in known:
        return name
    begins = [other for other in known if other.startswith(f"{name}-")]
    if len(begins) != 1:
        raise InputError(
            f"{option} should name a step: {', '.join(known)}. Received: '{step}'.{did_you_mean(name, known)}"
        )
    return begins[0]


def kubernetes_config(documents: list[dict[str, Any]], label: str) -> dict[str, Any]:
    """Return what an executor asks of Kubernetes beyond its container, as kfp-kubernetes writes it, to be changed.

    Args:
        documents: Of the spec. The second, which holds the platforms, is added where there is none.
        label: Of the executor.
    """
    if len(documents) == 1:
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}})
    config: dict[str, Any] = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].setdefault(
        label, {}
    )
    return config


def dump_spec(before: bytes, documents: list[dict[str, Any]]) -> bytes:
    """Return the YAML of a changed spec, as kfp writes it, below the comments that it had before."""
    head = b"".join(line for line in before.splitlines(keepends=True) if line.startswith(b"#"))
    return head + yaml.dump_all(documents, sort_keys=True).encode()
