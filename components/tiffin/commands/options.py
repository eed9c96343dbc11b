"""Options that several commands share."""

import functools
import os
import shlex
from collections.abc import Callable
from typing import Any

import click

STATE = ".tiffin"


def _set_debug(_ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        os.environ["TIFFIN_DEBUG"] = "1"


# Every command takes it too: who meets an error repeats the command with --debug behind it.
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks for errors."
)


state_option = click.option(
    "--state", default=STATE, show_default=True, type=click.Path(), help="Folder for all that runs here keep."
)

_ADJUSTMENTS = (
    click.option(
        "--size",
        "sizes",
        multiple=True,
        metavar="STEP=SIZE",
        help="small, medium, large, or explicit: cpu=500m:2,memory=2Gi:4Gi,accelerator=nvidia.com/gpu:1.",
    ),
    click.option(
        "--deadline",
        "deadlines",
        multiple=True,
        metavar="STEP=TIME",
        help="How long its pod may run, such as train=12h, in s, m, h or d.",
    ),
)
_mount_option = functools.partial(
    click.option,
    "--mount",
    "mounts",
    multiple=True,
    metavar="STEP=CLAIM:PATH",
    help="Mount a volume, such as deploy=tiffin-serving-root:/serving.",
)


def adjustment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that change a pipeline's steps; it gets them as `adjustments`."""
    return _adjusted(command, _mount_option())


def backend_adjustment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give them to a command to a backend, whose cluster TIFFIN_MOUNT may describe.

    Said once for all of these commands, it has them make one version and not two. What is compiled for review is not
    changed by where it is compiled.
    """
    return _adjusted(command, _mount_option(envvar="TIFFIN_MOUNT", show_envvar=True))


def _adjusted(command: Callable[..., Any], mount: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def adjusted(
        *arguments: Any, sizes: tuple[str, ...], deadlines: tuple[str, ...], mounts: tuple[str, ...], **options: Any
    ) -> Any:
        from tiffin.specs.adjustments import Adjustments

        return command(*arguments, adjustments=Adjustments(sizes, deadlines, mounts), **options)

    for option in (mount, *reversed(_ADJUSTMENTS)):
        adjusted = option(adjusted)
    return adjusted


def stop_command(state: str) -> str:
    """Return the command that stops the model server of a state folder."""
    return "tiffin serve --stop" + ("" if state == STATE else f" --state {shlex.quote(state)}")
