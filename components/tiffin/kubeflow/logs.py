"""The log of a step on a backend.

A backend has it in one of two places: the API server has the route of `_routes` that is not part of its documented API, and
the dashboard's server, which is the only one that Kubeflow's gateway exposes, has another. Both need the name of the pod,
which the API does not return. It returns IDs of Argo's nodes, from which the name follows.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tiffin.kubeflow.connection import Backend, read_tail
from tiffin.specs.logs import step_lines
from tiffin.specs.spec import Spec

# Time for all requests of one log.
SECONDS = 60.0
_MAIN, _DRIVER = "system-container-impl", "system-container-driver"


def read_log(
    backend: Backend, spec: Spec, step: str, run: Mapping[str, Any], states: Collection[str] = ("FAILED",)
) -> list[str]:
    """Return the last lines of a step's log, at most 64 KiB, of its last attempt; none if the backend does not return it.

    Args:
        backend: Return value of `connect`.
        spec: Spec of the run.
        step: Name of the step.
        run: The run with its tasks, from the API.
        states: States of the tasks to look at. Defaults to those that failed.
    """
    deadline = time.monotonic() + SECONDS
    tasks = run.get("run_details", {}).get("task_details", [])
    for pod in _pods(spec, step, tasks, states):
        for path, query in _routes(backend, run, pod):
            if time.monotonic() >= deadline:
                return []
            text = read_tail(backend, path, query, deadline)
            lines = step_lines(text) if text else []
            if lines:
                return lines
    return []


def log_command(backend: Backend, run_id: str) -> str:
    """Return the command line that prints the last log lines of a run's pods."""
    return f"kubectl logs -n {backend.namespace or 'kubeflow'} -l pipeline/runid={run_id} -c main --tail=50 --prefix"


def _routes(backend: Backend, run: Mapping[str, Any], pod: str) -> list[tuple[str, dict[str, str]]]:
    run_id = run["run_id"]
    day = run.get("created_at", "").partition("T")[0]
    dashboard = {"podname": pod, "runid": run_id, "podnamespace": backend.namespace, "createdat": day}
    return [(f"/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log", {}), ("/k8s/pod/logs", dashboard)]


def _pods(spec: Spec, step: str, tasks: Sequence[Mapping[str, Any]], states: Collection[str]) -> Iterator[str]:
    """Yield the possible names of a step's pod, or of its driver's, most likely first."""
    known = {node for task in tasks for node in _children(task)}
    templates = {step: _templates(spec, step), f"{step}-driver": [_DRIVER]}
    for task in tasks:
        name = task.get("display_name", "")
        if task.get("state") not in states or name not in templates:
            continue
        # The attempts of a task are its children, and the last one has the log that counts. A driver without retries has no
        # children; its own ID follows from that of the DAG that it is in.
        own = (_extended(parent, f".{name}") for parent in sorted(known)) if name != step else ()
        for node in [*reversed(_children(task)), *(node for node in own if node in known)]:
            yield from _names(_innermost(node, known), templates[name])
            # The API server looks for the archived logs of the node itself, and of those in it.
            yield node


def _children(task: Mapping[str, Any]) -> list[str]:
    # An ID is the workflow's name and a hash; the node of the whole workflow has none.
    nodes = [child.get("pod_name", "") for child in task.get("child_tasks", [])]
    return [node for node in nodes if node.rpartition("-")[2].isdecimal()]


def _innermost(node: str, known: set[str]) -> str:
    """Return the ID of the pod in a node: of the last attempt, and of the executor in the DAG that is a step.

    A node with retries has a child for each attempt, named like the node with `(0)`, `(1)`, ... at the end. Kubeflow
    Pipelines gives retries to every template by default, so that a pod is `step(0).executor(0)`.
    """
    while True:
        attempts = 0
        while _extended(node, f"({attempts})") in known:
            attempts += 1
        inner = _extended(node, f"({attempts - 1})" if attempts else ".executor")
        if inner not in known:
            return node
        node = inner


def _extended(node: str, text: str) -> str:
    """Return the ID of the node whose name is that of `node` with `text` at its end.

    The hash in an ID is the FNV-1a hash of the name, which can be continued.
    """
    workflow, _, digits = node.rpartition("-")
    hashed = int(digits)
    for byte in text.encode():
        hashed = (hashed ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{hashed}"


def _names(node: str, templates: Sequence[str]) -> Iterator[str]:
    workflow, _, hashed = node.rpartition("-")
    for template in templates:
        yield f"{workflow}-{template}-{hashed}"
    # With Argo's option POD_NAMES=v1, and in the archive.
    yield node


def _templates(spec: Spec, step: str) -> list[str]:
    """Return the names that the backend's compiler may give to a step's template."""
    config: Mapping[str, Any] = {}
    for document in spec.documents[1:]:
        kubernetes = document.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        executor = next(one.executor for one in spec.steps if one.name == step)
        config = kubernetes.get("executors", {}).get(executor, {})
    metadata = config.get("podMetadata")
    counts = [len(metadata.get(name, {})) for name in ("annotations", "labels")] if metadata else []
    prefix = f"metadata-{counts[0]}-{counts[1]}-" if counts else ""
    # The second is that of a step with retries.
    return [f"{prefix}{_MAIN}", f"{prefix}retry-{_MAIN}"]
