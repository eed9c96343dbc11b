"""Names, descriptions and parameters of pipelines and components, read from their source.

Importing them would import kfp, which takes a second: too long for `--help` and for completion in a shell.
"""

import ast
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tiffin.pipelines
from tiffin.stages import find_stages


def list_pipelines() -> dict[str, str]:
    """Return the pipelines: name to the first line of its docstring, sorted by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(tiffin.pipelines.__path__))
    return {name: _summary(function) for name in names for function in _functions(f"tiffin.pipelines.{name}", name)}


def list_components() -> dict[str, str]:
    """Return the components: name to the first line of its docstring, sorted by name."""
    found = {
        name: _summary(function)
        for stage, rows in find_stages().items()
        for name in rows
        for function in _functions(f"tiffin.stages.{stage}.component", name)
    }
    return dict(sorted(found.items()))


def list_parameters(pipeline: str) -> dict[str, tuple[Any, ...]]:
    """Return the parameters of a pipeline in the order of its source, each with its choices; none if it is unknown."""
    if pipeline not in list_pipelines():
        return {}
    arguments = [
        argument
        for function in _functions(f"tiffin.pipelines.{pipeline}", pipeline)
        for argument in (*function.args.args, *function.args.kwonlyargs)
    ]
    return {argument.arg: _choices(argument.annotation) for argument in arguments}


def _functions(module: str, name: str) -> Iterator[ast.FunctionDef]:
    """Yield the function `name` of a module, without importing the module."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            yield node


def _summary(function: ast.FunctionDef) -> str:
    return (ast.get_docstring(function) or "").partition("\n")[0]


def _choices(annotation: ast.expr | None) -> tuple[Any, ...]:
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Literal"):
        found = ast.literal_eval(annotation.slice)
        return found if isinstance(found, tuple) else (found,)
    return ()
