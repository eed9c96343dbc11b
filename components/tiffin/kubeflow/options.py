"""The options shared by the commands that use a backend. This module does not import kfp, so that `--help` is fast."""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from tiffin.authoring.options import no_reuse_option, params_option, set_option
from tiffin.printing import printable

_CONNECTION = (
    click.option(
        "--host",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        help="Address of the KFP API. Defaults to the cluster of this pod or of the kubeconfig.",
    ),
    click.option(
        "--namespace",
        envvar="TIFFIN_NAMESPACE",
        show_envvar=True,
        help="Profile namespace. Required on a multi-user backend.",
    ),
    click.option(
        "--token-file",
        type=click.Path(),
        help="File with a bearer token, read again for each request. Defaults to the environment variables "
        "TIFFIN_KFP_TOKEN and TIFFIN_KFP_COOKIE, then to kfp.Client's settings for IAP.",
    ),
    click.option(
        "--ca-file", type=click.Path(), help="PEM file of the certificate authority that signed the host's certificate."
    ),
)


class RunCommand(click.Command):
    """A command with `--set`. An unknown option is often a parameter of the pipeline."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; for an unknown option, suggest visible options and `--set`."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            visible = [name for option in self.get_params(ctx) if not _is_hidden(option) for name in option.opts]
            name = error.option_name
            # The pipeline's parameters are not known yet: `--lable` is nearer to `--label` than to any option.
            nearest = difflib.get_close_matches(name, [name for name in visible if name.startswith("--")], 1, 0.75)
            hint = f"Did you mean '{nearest[0]}'? " if nearest else ""
            message = (
                f"No such option '{name}'. {hint}Set a parameter of the pipeline with --set {name.lstrip('-')}=VALUE."
            )
            raise click.NoSuchOption(name, message, ctx=ctx) from None


def _is_hidden(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.hidden


def _check_root(_ctx: click.Context, _parameter: click.Parameter, root: str) -> str:
    if root and not re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+://[^/]", root):
        raise click.BadParameter(
            f"should be a URI of a store that all steps can write to, such as gs://bucket/runs or s3://bucket/runs. "
            f"Received: '{root}'."
        )
    return root


_RUN = (
    set_option,
    params_option,
    no_reuse_option,
    click.option("--experiment", help="Experiment to group the runs under. Defaults to the pipeline's name."),
    click.option(
        "--service-account",
        envvar="TIFFIN_SERVICE_ACCOUNT",
        show_envvar=True,
        default="",
        help="Service account the pods run as. Defaults to the backend's.",
    ),
    click.option(
        "--pipeline-root",
        default="",
        metavar="URI",
        callback=_check_root,
        help="Location of the artifacts, such as gs://bucket/runs. Defaults to the backend's.",
    ),
    click.option(
        "--allow-paths",
        is_flag=True,
        help="Accept absolute paths below no volume of the spec, such as files in the image or volumes of a PodDefault.",
    ),
    click.option("--shared", is_flag=True, help="Publish for all namespaces of a multi-user backend."),
)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--host`, `--namespace`, `--token-file` and `--ca-file` to a command."""
    for option in reversed(_CONNECTION):
        command = option(command)
    return command


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of runs and recurring runs to a command."""
    for option in reversed(_RUN):
        command = option(command)
    return command


def show_warnings(lines: Iterable[str]) -> list[str]:
    """Print warnings to standard error and return them as a list."""
    lines = list(lines)
    for line in lines:
        click.echo(f"warning: {printable(line)}", err=True)
    return lines
