"""Read a compiled spec. Local runs, submission, adjustments and interfaces all use this reader."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiffin import images
from tiffin.errors import InputError
from tiffin.specs.names import check_names
from tiffin.specs.steps import Step, read_steps
from tiffin.specs.wiring import check_wiring
from tiffin.specs.yaml_text import load_documents
from tiffin.version import __version__


@dataclass(frozen=True)
class Parameter:
    """A parameter of a pipeline or a component.

    Attributes:
        name: Name of the parameter.
        type: KFP's type name, such as `NUMBER_INTEGER`.
        default: Default value; None if there is none.
        literals: Allowed values; empty if any value of the type is allowed.
        description: Description from the docstring; may be empty.
        is_optional: Whether a run may omit it. Defaults to False.
    """

    name: str
    type: str
    default: Any = None
    literals: tuple[Any, ...] = ()
    description: str = ""
    is_optional: bool = False


@dataclass(frozen=True)
class Use:
    """A pipeline parameter that is passed to a component's input.

    Attributes:
        parameter: Name of the pipeline parameter.
        function: Name of the component's function.
        name: Name of the component's input.
    """

    parameter: str
    function: str
    name: str


@dataclass(frozen=True)
class Spec:
    """A compiled pipeline or component.

    Attributes:
        name: Name of the pipeline, or of the component with hyphens.
        version: Version of the package that compiled it, from the tag of its images or the file name; None if unknown.
        parameters: Parameters by name.
        steps: Steps in a valid execution order.
        content: The YAML as bytes.
        documents: The parsed YAML documents: the pipeline spec and, if present, the platform spec.
    """

    name: str
    version: str | None
    parameters: Mapping[str, Parameter]
    steps: tuple[Step, ...]
    content: bytes = field(repr=False)
    documents: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def version_name(self) -> str:
        """The name of the published version, derived from the content.

        It starts with the pipeline's name, because backends that store pipelines as Kubernetes objects require version
        names to be unique in the namespace.
        """
        return f"{self.name}-{self.version or __version__}-{hashlib.sha256(self.content).hexdigest()[:12]}"

    @property
    def environments(self) -> list[str]:
        """Names of the virtualenvs of its images, sorted.

        Raises:
            InputError: An image is not one of Tiffin's.
        """
        return sorted({images.environment(step.image) for step in self.steps})

    @property
    def memory_limits(self) -> dict[str, int]:
        """Function name -> memory limit in bytes; the largest if a component is used several times."""
        limits = [(step.function, step.memory_limit) for step in self.steps if step.memory_limit is not None]
        return dict(sorted(limits))

    @property
    def uses(self) -> tuple[Use, ...]:
        """The component inputs that the parameters are passed to."""
        return tuple(
            Use(parameter, step.function, name) for step in self.steps for name, parameter in step.inputs.items()
        )


def read_spec(source: str | Path, content: bytes | None = None) -> Spec:
    """Read a compiled spec.

    Args:
        source: Path of the file. With `content`, a name for error messages.
        content: The YAML. Defaults to the content of the file.

    Raises:
        InputError: The file cannot be read, is not a compiled spec, or passes an artifact to an input for another kind.
    """
    if content is None:
        try:
            content = Path(source).read_bytes()
        except OSError as error:
            raise InputError(
                f"The spec should be a readable YAML file. Received: '{source}' ({error.strerror})."
            ) from None
    try:
        documents = tuple(load_documents(content))
        check_names(documents[0])
        steps = tuple(read_steps(documents[0]))
        spec = Spec(
            documents[0]["pipelineInfo"]["name"],
            _version(steps, str(source)),
            read_parameters(documents[0]["root"].get("inputDefinitions", {})),
            steps,
            content,
            documents,
        )
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:500]
        raise InputError(
            f"The spec should be a compiled KFP v2 pipeline. "
            f"Received: '{source}' ({type(error).__name__}: {reason}). Write it with `tiffin compile` or kfp's compiler."
        ) from None
    check_wiring(spec.documents[0])
    return spec


def read_parameters(definitions: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters among the inputs or outputs of a pipeline or component, by name.

    Args:
        definitions: The spec's `inputDefinitions` or `outputDefinitions`.
    """
    return {
        name: Parameter(
            name,
            about["parameterType"],
            _as_declared(about.get("defaultValue"), about["parameterType"]),
            tuple(_as_declared(value, about["parameterType"]) for value in about.get("literals", [])),
            about.get("description", ""),
            about.get("isOptional", False),
        )
        for name, about in definitions.get("parameters", {}).items()
    }


def _as_declared(value: Any, kind: str) -> Any:
    """Return a value with whole numbers as int; a spec stores them as floats."""
    if isinstance(value, list):
        return [_as_declared(item, "") for item in value]
    if isinstance(value, dict):
        return {key: _as_declared(item, "") for key, item in value.items()}
    return int(value) if isinstance(value, float) and kind != "NUMBER_DOUBLE" and value.is_integer() else value


def _version(steps: tuple[Step, ...], source: str) -> str | None:
    for step in steps:
        tag = re.search(r"([^/:]+):([^/:]+)$", step.image.partition("@")[0])
        if tag and tag.group(1) in images.ENVIRONMENTS:
            return tag.group(2)
    named = re.search(r"-(\d+\.\d+[^/]*)\.ya?ml$", source)
    return named.group(1) if named else None
