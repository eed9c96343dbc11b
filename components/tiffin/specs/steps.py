"""The steps of a compiled pipeline: the one walk through its dags, branches, loops and exit handlers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiffin.stages import find_components


@dataclass(frozen=True)
class Step:
    """A step that runs a container.

    Attributes:
        name: Of its task, as a backend and the options of commands call it. A pipeline within the
            pipeline may have a step of the same name.
        component: Of its component, as a local run calls it: unique in the spec.
        executor: Label of the executor that says how its container runs.
        image: The container image it runs in.
        function: Name of the component's function; empty where it runs none.
        inputs: Input of the component -> the pipeline's parameter that goes there as it is.
        gate: The gate that this step stops the run for, such as `evaluation`; None for a step that does work.
        memory_limit: In bytes; None where the spec sets none.
    """

    name: str
    component: str
    executor: str
    image: str
    function: str
    inputs: Mapping[str, str]
    gate: str | None = None
    memory_limit: int | None = None


def function_of(command: Sequence[str]) -> str:
    """Return the component function that a task's command runs; an empty string where it runs none."""
    flag = "--function_to_execute"
    if flag in command[:-1]:
        return str(command[command.index(flag) + 1])
    return ""


def read_steps(document: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the steps of a compiled pipeline, in an order in which they may run.

    Args:
        document: The first of the spec, as it is in the YAML.
    """
    root = document["root"]
    parameters = root.get("inputDefinitions", {}).get("parameters", {})
    yield from _walk(document, root, {name: name for name in parameters})


def _walk(document: Mapping[str, Any], component: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Step]:
    tasks: Mapping[str, Any] = component["dag"]["tasks"]
    for name in _in_order(tasks):
        reference: str = tasks[name]["componentRef"]["name"]
        inner = document["components"][reference]
        taken = tasks[name].get("inputs", {}).get("parameters", {})
        inputs = {
            key: origins[source["componentInputParameter"]]
            for key, source in taken.items()
            if source.get("componentInputParameter") in origins
        }
        if "dag" in inner:
            yield from _walk(document, inner, inputs)
            continue
        label = inner["executorLabel"]
        container = document["deploymentSpec"]["executors"][label].get("container")
        # An importer brings an artifact in; it runs inside kfp, in no image.
        if container is None:
            continue
        function = function_of([*container.get("command", []), *container.get("args", [])])
        row = find_components().get(function)
        gate = taken.get(row.gate, {}).get("runtimeValue", {}).get("constant", "a gate") if row and row.gate else None
        # kfp writes the limit twice: in thousand millions of bytes, and as it was given.
        memory = container.get("resources", {}).get("memoryLimit")
        yield Step(
            name,
            reference.removeprefix("comp-"),
            label,
            container["image"],
            function,
            inputs,
            None if gate is None else str(gate),
            round(float(memory) * 1e9) if memory else None,
        )


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Order tasks so that each follows what it depends on, by name where that leaves a choice, as kfp.local runs them."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        for upstream in sorted(tasks[name].get("dependentTasks", [])):
            if upstream in tasks and upstream not in ordered:
                visit(upstream)
        if name not in ordered:
            ordered.append(name)

    for name in sorted(tasks):
        visit(name)
    return ordered
