"""Completion in a shell of pipelines, components, and the keys and choices of `--set`."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from tiffin.authoring.listing import list_components, list_parameters, list_pipelines
from tiffin.errors import TiffinError


def complete_pipelines(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the pipelines that start with `incomplete`, and an item that completes the names of files."""
    return _named(list_pipelines(), incomplete)


def complete_sources(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the pipelines and components that start with `incomplete`."""
    return _named(list_pipelines() | list_components(), incomplete)[1:]


def _named(known: dict[str, str], incomplete: str) -> list[CompletionItem[str]]:
    # bash drops the items before one of files, and completes files only if no other item is left.
    files: CompletionItem[str] = CompletionItem(incomplete, type="file")
    return [files, *(CompletionItem(name, help=about) for name, about in known.items() if name.startswith(incomplete))]


def complete_settings(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return `key=` for each parameter of the pipeline that starts with `incomplete`; after `key=`, its choices."""
    known = _choices(str(ctx.params.get("pipeline") or ""))
    key, separator, _ = incomplete.partition("=")
    texts = [f"{key}={choice}" for choice in known.get(key, ())] if separator else [f"{name}=" for name in known]
    return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def _choices(pipeline: str) -> dict[str, tuple[Any, ...]]:
    """Return the parameters of a pipeline or of a spec, with their choices; none if it does not exist."""
    if not pipeline.endswith((".yaml", ".yml")):
        return list_parameters(pipeline)
    from tiffin.specs.spec import read_spec

    try:
        return {name: about.literals for name, about in read_spec(pipeline).parameters.items()}
    except TiffinError:
        return {}
