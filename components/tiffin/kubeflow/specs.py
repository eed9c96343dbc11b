"""A compiled pipeline as it goes to a backend: its bytes, the version they are published as, parameters and steps."""

import graphlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tiffin import images
from tiffin.errors import InputError
from tiffin.specs.adjustments import NONE, Adjustments, adjust
from tiffin.specs.rules import Use, find_uses
from tiffin.version import __version__


@dataclass(frozen=True)
class Step:
    """A step that runs a container.

    Attributes:
        name: As the backend's tasks are named, such as `train-model`.
        gate: The gate that this step stops the run for, such as `evaluation`; None for a step that does work.
    """

    name: str
    gate: str | None = None


@dataclass(frozen=True)
class Spec:
    """A compiled pipeline.

    Attributes:
        name: Of the pipeline.
        content: The YAML.
        version: Of the package that compiled it.
        parameters: Name -> `parameterType`, `defaultValue`, `literals`, `description` of each.
        steps: In an order in which they may run.
        uses: Which inputs of components the parameters go to.
    """

    name: str
    content: bytes
    version: str
    parameters: dict[str, dict[str, Any]]
    steps: tuple[Step, ...]
    uses: tuple[Use, ...]

    @property
    def version_name(self) -> str:
        """The name it is published under: the same content has the same name.

        It begins with the pipeline's, because backends that keep pipelines as Kubernetes objects want versions' names
        to be unique in the namespace.
        """
        return f"{self.name}-{self.version}-{hashlib.sha256(self.content).hexdigest()[:12]}"


def load_spec(pipeline: str, adjustments: Adjustments = NONE) -> Spec:
    """Compile a pipeline of Tiffin's, or read a compiled one.

    Args:
        pipeline: Name of a pipeline, or path of a spec.
        adjustments: Of its steps, over what the spec says.

    Raises:
        InputError: There is no such pipeline, the file is no compiled pipeline, or an adjustment names no step or breaks a rule.
    """
    if not pipeline.endswith((".yaml", ".yml")) and "/" not in pipeline:
        from tiffin.authoring.compilation import check_pipeline, compile_pipeline

        check_pipeline(pipeline)
        return _read(compile_pipeline(pipeline, adjustments), pipeline)
    try:
        content = Path(pipeline).read_bytes()
    except OSError as error:
        raise InputError(
            f"The spec should be a YAML file. Received: '{pipeline}' ({error.strerror}). Check the path."
        ) from None
    _read(content, pipeline)
    return _read(adjust(content, adjustments), pipeline)


def _read(content: bytes, source: str) -> Spec:
    try:
        documents = list(yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        document = documents[0]
        name = document["pipelineInfo"]["name"]
        parameters = document["root"].get("inputDefinitions", {}).get("parameters", {})
        executors = document["deploymentSpec"]["executors"]
        steps = tuple(_steps(document, document["root"]))
        uses = tuple(find_uses(document))
    except (
        yaml.YAMLError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        graphlib.CycleError,
    ) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"The spec should be what `tiffin compile` writes: a compiled KFP v2 pipeline. "
            f"Received: '{source}', unreadable ({type(error).__name__}: {said}). Compile it again."
        ) from None
    return Spec(name, content, _version(source, executors), parameters, steps, uses)


def _steps(document: dict[str, Any], component: dict[str, Any]) -> Iterator[Step]:
    tasks: dict[str, dict[str, Any]] = component["dag"]["tasks"]
    upstream = {
        name: sorted(set(task.get("dependentTasks", [])) & tasks.keys()) for name, task in sorted(tasks.items())
    }
    for name in graphlib.TopologicalSorter(upstream).static_order():
        task = tasks[name]
        inner = document["components"][task["componentRef"]["name"]]
        if "dag" in inner:
            yield from _steps(document, inner)
            continue
        container = document["deploymentSpec"]["executors"][inner["executorLabel"]].get("container")
        if container:
            yield Step(name, _gate(task) if "stop_run" in container.get("args", []) else None)


def _gate(task: dict[str, Any]) -> str:
    value = task.get("inputs", {}).get("parameters", {}).get("gate", {}).get("runtimeValue", {})
    return str(value.get("constant", "a gate"))


def _version(source: str, executors: dict[str, Any]) -> str:
    """Return the version of the package that compiled a spec: an image's tag; else the file name's, else ours."""
    for executor in executors.values():
        image = executor.get("container", {}).get("image", "").partition("@")[0]
        tag = re.search(r"([^/:]+):([^/:]+)$", image)
        if tag and tag.group(1) in images.ENVIRONMENTS:
            return tag.group(2)
    named = re.search(r"-(\d+\.\d+[^/]*)\.ya?ml$", source)
    return named.group(1) if named else __version__
