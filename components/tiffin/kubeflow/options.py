"""The options that commands to a backend share. It imports no kfp, so that `--help` is quick."""

from collections.abc import Callable
from typing import Any

import click

_CONNECTION = (
    click.option(
        "--host",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        help="Address of the KFP API. Defaults to the cluster that this pod or the kubeconfig is in.",
    ),
    click.option(
        "--namespace",
        envvar="TIFFIN_NAMESPACE",
        show_envvar=True,
        help="Profile namespace. Needed where several users share the backend.",
    ),
    click.option(
        "--token-file",
        type=click.Path(),
        help="File with a bearer token, read again for each request. TIFFIN_KFP_TOKEN and TIFFIN_KFP_COOKIE in the "
        "environment serve as well, and what kfp.Client reads for IAP.",
    ),
    click.option("--ca-file", type=click.Path(), help="PEM file of the authority that signed the host's certificate."),
)

_RUN = (
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a parameter; may be repeated."),
    click.option("--params", "file", type=click.Path(), metavar="FILE.yaml", help="Set parameters from a YAML file."),
    click.option("--experiment", help="That runs are filed under. Defaults to the pipeline's name."),
    click.option(
        "--service-account",
        envvar="TIFFIN_SERVICE_ACCOUNT",
        show_envvar=True,
        default="",
        help="That the pods act as. Defaults to the backend's.",
    ),
    click.option("--pipeline-root", default="", metavar="URI", help="For artifacts. Defaults to the backend's."),
    click.option("--shared", is_flag=True, help="Keep the pipeline where all namespaces see it."),
)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--host`, `--namespace`, `--token-file` and `--ca-file` to a command."""
    for option in reversed(_CONNECTION):
        command = option(command)
    return command


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command what a run and a recurring run are given."""
    for option in reversed(_RUN):
        command = option(command)
    return command
