"""The steps of a compiled pipeline, found in its DAGs, branches, loops and exit handlers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tiffin.stages import find_components

# Components that kfp makes of conditions, loops and exit handlers; others with a DAG are nested pipelines.
_GROUP = re.compile(r"comp-(condition|condition-branches|exit-handler|for-loop)-\d+")


@dataclass(frozen=True)
class Step:
    """A step that runs a container.

    Attributes:
        name: Task name, used by backends and command options. Not unique: a nested pipeline may use it too.
        component: Component name, used by local runs. Unique in the spec.
        executor: Label of the step's executor in the deployment spec.
        image: Container image.
        function: Name of the component's function; empty if the container does not run one.
        inputs: Component input -> the pipeline parameter passed to it unchanged.
        gate: Name of the gate, such as `evaluation`, if the step stops the run for a gate; otherwise None.
        memory_limit: Memory limit in bytes; None if the spec has none.
        constants: Component input -> the value that the pipeline passes to it in every run.
        title: Display name; with the component name if several steps have the same one.
        follows_failures: Whether it also runs after a step that failed, as the exit step does. Defaults to False.
        is_nested: Whether it is a step of a pipeline that is itself a step. Defaults to False.
    """

    name: str
    component: str
    executor: str
    image: str
    function: str
    inputs: Mapping[str, str]
    gate: str | None = None
    memory_limit: int | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    follows_failures: bool = False
    is_nested: bool = False


def function_of(command: Sequence[str]) -> str:
    """Return the name of the component function that a task's command runs; empty if it runs none."""
    flag = "--function_to_execute"
    if flag in command[:-1]:
        return str(command[command.index(flag) + 1])
    return ""


def read_steps(document: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the steps of a compiled pipeline in a valid execution order.

    Args:
        document: The pipeline spec: the first document of the YAML.
    """
    root = document["root"]
    parameters = root.get("inputDefinitions", {}).get("parameters", {})
    steps = list(_walk(document, root, {name: name for name in parameters}, {}))
    count = Counter(step.title for step in steps)
    for step in steps:
        yield step if count[step.title] == 1 else replace(step, title=f"{step.title} ({step.component})")


def _walk(
    document: Mapping[str, Any],
    component: Mapping[str, Any],
    origins: Mapping[str, str],
    fixed: Mapping[str, Any],
    *,
    follows_failures: bool = False,
    is_nested: bool = False,
) -> Iterator[Step]:
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
        constants = _constants(taken, fixed, inner)
        policy = tasks[name].get("triggerPolicy", {})
        follows = follows_failures or policy.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if "dag" in inner:
            nested = is_nested or not _GROUP.fullmatch(reference)
            yield from _walk(document, inner, inputs, constants, follows_failures=follows, is_nested=nested)
            continue
        label = inner["executorLabel"]
        container = document["deploymentSpec"]["executors"][label].get("container")
        # An importer has no container; kfp runs it itself.
        if container is None:
            continue
        function = function_of([*container.get("command", []), *container.get("args", [])])
        row = find_components().get(function)
        gate = constants.get(row.gate, "a gate") if row and row.gate else None
        # kfp writes the limit twice: `memoryLimit` in units of 10^9 bytes, and the original string.
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
            constants,
            title=tasks[name].get("taskInfo", {}).get("name") or name,
            follows_failures=follows,
            is_nested=is_nested,
        )


def _constants(taken: Mapping[str, Any], fixed: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a task whose value is the same in every run, to that value.

    Args:
        taken: Inputs that the task is given, as the spec has them.
        fixed: Inputs of the DAG around it whose value is the same in every run.
        inner: Component of the task. A nested pipeline has its own defaults for what it is not given.
    """
    found: dict[str, Any] = {}
    if "dag" in inner:
        about = inner.get("inputDefinitions", {}).get("parameters", {})
        found = {key: one["defaultValue"] for key, one in about.items() if key not in taken and "defaultValue" in one}
    for key, source in taken.items():
        if "runtimeValue" in source:
            found[key] = source["runtimeValue"].get("constant")
        elif source.get("componentInputParameter") in fixed:
            found[key] = fixed[source["componentInputParameter"]]
    return found


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Sort tasks topologically and by name, the order of kfp.local."""
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
