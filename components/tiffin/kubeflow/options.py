"""The options shared by the commands that use a backend. This module does not import kfp, so that `--help` is fast."""

from collections.abc import Callable
from typing import Any

import click

from tiffin.authoring.completion import complete_settings

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

_RUN = (
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=complete_settings,
        help="Set a parameter. Repeatable; the last value counts.",
    ),
    click.option(
        "--params",
        "file",
        type=click.Path(),
        metavar="FILE.yaml",
        help="YAML file of parameters; --set takes precedence.",
    ),
    click.option("--experiment", help="Experiment to group the runs under. Defaults to the pipeline's name."),
    click.option(
        "--service-account",
        envvar="TIFFIN_SERVICE_ACCOUNT",
        show_envvar=True,
        default="",
        help="Service account the pods run as. Defaults to the backend's.",
    ),
    click.option(
        "--pipeline-root", default="", metavar="URI", help="Location of the artifacts. Defaults to the backend's."
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
