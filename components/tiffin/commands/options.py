"""Options that several commands share."""

import functools
import os
import shlex
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

STATE = ".tiffin"


def _set_debug(_ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        os.environ["TIFFIN_DEBUG"] = "1"


# Every command has it as well, so that a failed command can be repeated with --debug at its end.
debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks for errors."
)


def _check_state(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    # TensorFlow reads the paths of models as patterns, and DuckDB a ? in the path of a database as the start of options.
    path = os.path.abspath(value)
    found = sorted({character for character in path if character in "*?[]{}\\" or not character.isprintable()})
    if found:
        raise click.BadParameter(
            f"the path should not have wildcards and control characters. Received: {path!r}, with {found[0]!r}. "
            "Choose another folder."
        )
    return value


state_option = click.option(
    "--state",
    default=STATE,
    show_default=True,
    type=click.Path(),
    callback=_check_state,
    help="Directory for local run state.",
)

_ADJUSTMENTS = (
    click.option(
        "--size",
        "sizes",
        multiple=True,
        metavar="STEP=SIZE",
        help="CPU, memory and accelerators of a step: small, medium, large, or request:limit, for example "
        "train=cpu=500m:2,memory=2Gi:4Gi or train=large,accelerator=nvidia.com/gpu:1. Repeatable.",
    ),
    click.option(
        "--deadline",
        "deadlines",
        multiple=True,
        metavar="STEP=TIME",
        help="Maximum running time of a step's pod in s, m, h or d, for example train=12h. Repeatable.",
    ),
)
_mount_option = functools.partial(
    click.option,
    "--mount",
    "mounts",
    multiple=True,
    metavar="STEP=CLAIM:PATH",
    help="Mount a volume claim in a step, for example deploy=tiffin-serving-root:/serving. Repeatable.",
)


def adjustment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--size`, `--deadline` and `--mount` to a command, which receives them as `adjustments`."""
    return _adjusted(command, _mount_option())


def backend_adjustment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same options to a command that talks to a backend; TIFFIN_MOUNT is the default of `--mount`.

    An entry of the variable is skipped for a pipeline without its step; one of the option is not. The variable keeps
    `publish`, `submit` and `schedule` consistent, so that they produce one version. `compile` ignores it: its output must
    not depend on the machine.
    """
    return _adjusted(command, _mount_option(envvar="TIFFIN_MOUNT", show_envvar=True))


def _adjusted(command: Callable[..., Any], mount: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def adjusted(
        *arguments: Any, sizes: tuple[str, ...], deadlines: tuple[str, ...], mounts: tuple[str, ...], **options: Any
    ) -> Any:
        from tiffin.specs.adjustments import Adjustments

        source = click.get_current_context().get_parameter_source("mounts")
        typed, usual = ((), mounts) if source == ParameterSource.ENVIRONMENT else (mounts, ())
        return command(*arguments, adjustments=Adjustments(sizes, deadlines, typed, usual), **options)

    for option in (mount, *reversed(_ADJUSTMENTS)):
        adjusted = option(adjusted)
    return adjusted


def examples(*lines: str) -> str:
    """Return the end of a command's help: command lines, one per line.

    Args:
        lines: Command lines, at most 76 characters each.
    """
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def state_argument(state: str) -> str:
    """Return the end of a command line for a state folder, quoted for a shell; empty for the default folder."""
    return "" if state == STATE else f" --state {shlex.quote(state)}"
