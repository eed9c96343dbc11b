"""Compile pipelines and components to YAML, deterministically; each component also gets a documentation page."""

import ast
import importlib
import os
import pkgutil
import pprint
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tiffin
import tiffin.pipelines
from tiffin.authoring.catalogue import PAGE, write_index, write_page
from tiffin.errors import InputError, did_you_mean
from tiffin.specs.adjustments import NONE, Adjustments, adjust, named_in_order, run_as_non_root
from tiffin.specs.interfaces import read_interface
from tiffin.specs.spec import Spec, read_spec
from tiffin.stages import find_components
from tiffin.storage.files import write_bytes
from tiffin.version import __version__


def pipeline_names() -> list[str]:
    """Return the names of the pipelines, sorted. Each is defined in a module of the same name in `tiffin.pipelines`."""
    return sorted(module.name for module in pkgutil.iter_modules(tiffin.pipelines.__path__))


def component_names() -> list[str]:
    """Return the names of the components, sorted."""
    return list(find_components())


def check_pipeline(name: str) -> None:
    """Check the name of a pipeline.

    Raises:
        InputError: There is no such pipeline.
    """
    known = pipeline_names()
    if name not in known:
        raise InputError(
            f"The pipeline should be a YAML file or one of: {', '.join(known) or 'none yet'}. "
            f"Received: '{name}'.{did_you_mean(name, known)}"
        )


def load_pipeline(name: str) -> Any:
    """Import the pipeline `name`.

    Raises:
        InputError: There is no such pipeline.
    """
    check_pipeline(name)
    return getattr(importlib.import_module(f"tiffin.pipelines.{name}"), name)


def compile_spec(component: Any) -> bytes:
    """Return the YAML of a pipeline or a component.

    Args:
        component: Object returned by `@dsl.pipeline` or `@dsl.component`.
    """
    # Importing kfp takes a second, which would slow `tiffin compile --help` down.
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        compiler.Compiler().compile(component, str(path))
        # The order of a protobuf mapping differs between processes. kfp sorts mappings in the YAML, but not the defaults
        # in its comments.
        content = re.sub(rb"(?m)(?<=\[Default: )[\[{].*[\]}](?=\]$)", _in_order, path.read_bytes())
    return named_in_order(content)


def _in_order(default: re.Match[bytes]) -> bytes:
    return pprint.pformat(ast.literal_eval(default.group().decode()), width=sys.maxsize, compact=True).encode()


def compile_pipeline(name: str) -> bytes:
    """Return the YAML of the pipeline `name`.

    Raises:
        InputError: There is no such pipeline.
    """
    return compile_spec(load_pipeline(name))


def find_spec(pipeline: str) -> Spec | None:
    """Read a compiled spec if `pipeline` is a path; return None if it is the name of a pipeline.

    Raises:
        InputError: There is no such pipeline, or the file is not a compiled pipeline.
    """
    if pipeline.endswith((".yaml", ".yml")) or "/" in pipeline:
        return read_spec(pipeline)
    check_pipeline(pipeline)
    return None


def load_spec(pipeline: str, adjustments: Adjustments = NONE) -> Spec:
    """Compile one of Tiffin's pipelines, or read a compiled spec.

    Args:
        pipeline: Name of a pipeline, or path of a spec.
        adjustments: Adjustments of its steps, which override the source or the spec. Defaults to none.

    Raises:
        InputError: There is no such pipeline, the file is not a compiled pipeline, or an adjustment is invalid.
    """
    return adjust(find_spec(pipeline) or read_spec(pipeline, compile_pipeline(pipeline)), adjustments)


def compile_component(name: str) -> bytes:
    """Return the YAML of the component `name`, in the format of `load_component_from_file`."""
    return run_as_non_root(read_spec(name, compile_spec(getattr(tiffin, name)))).content


def compile_catalogue(names: Iterable[str]) -> dict[str, bytes]:
    """Return the files of the folder `components` by path: components, their pages, and an index if all are included.

    Args:
        names: Names of the components.
    """
    names = list(names)
    if not names:
        return {}
    # A page's example uses the upstream components too.
    specs = {name: compile_component(name) for name in component_names()}
    interfaces = {name: read_interface(spec) for name, spec in specs.items()}
    files = {}
    for name in names:
        files[f"{name}/component.yaml"] = specs[name]
        files[f"{name}/{PAGE}"] = write_page(name, interfaces).encode()
    if set(names) == set(specs):
        files[PAGE] = write_index(interfaces).encode()
    return files


def write_specs(
    output: str | Path,
    names: tuple[str, ...] = (),
    adjustments: Adjustments = NONE,
) -> list[Path]:
    """Compile into the folder `output` and return the files, in the order written.

    Each component gets a documentation page. Everything is compiled before the first file is written, so an error
    leaves the folder unchanged.

    Args:
        output: Output folder; created if missing.
        names: Pipelines and components to compile. Defaults to all.
        adjustments: Adjustments of the steps; require a single pipeline in `names`. Defaults to none.

    Raises:
        InputError: A name is neither a pipeline nor a component, `output` is a file, or an adjustment is invalid.
    """
    pipelines, components = pipeline_names(), component_names()
    known = [*pipelines, *components]
    for name in names:
        if name not in known:
            raise InputError(
                f"A name should be a pipeline ({', '.join(pipelines) or 'none yet'}) or a component "
                f"({', '.join(components)}). Received: '{name}'.{did_you_mean(name, known)}"
            )
    if adjustments and (len(names) != 1 or names[0] not in pipelines):
        raise InputError(
            "--size, --deadline and --mount should be used with one pipeline. "
            f"Received: {', '.join(names) or 'none'}. "
            "Compile each pipeline separately."
        )
    if Path(output).exists() and not os.path.isdir(output):
        raise InputError(f"--output should be a folder. Received: '{output}', which is a file.")

    files: dict[Path, bytes] = {}
    for name in names or known:
        if name in pipelines:
            files[Path(output, f"{name}-{__version__}.yaml")] = load_spec(name, adjustments).content
    wanted = [name for name in names or known if name in components]
    files |= {Path(output, "components", path): content for path, content in compile_catalogue(wanted).items()}
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)
