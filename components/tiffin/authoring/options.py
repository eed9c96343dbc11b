"""The options that choose a pipeline and its parameters, of the commands that run one here or on a backend."""

import click

from tiffin.authoring.completion import complete_pipelines, complete_settings

pipeline_argument = click.argument("pipeline", metavar="PIPELINE|SPEC.yaml", shell_complete=complete_pipelines)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_settings,
    help="Set a parameter. Repeatable; the last value counts.",
)
no_reuse_option = click.option(
    "--no-reuse", is_flag=True, help="Compute statistics and train anew; the same as --set reuse=false."
)
params_option = click.option(
    "--params", "file", type=click.Path(), metavar="FILE.yaml", help="YAML file of parameters; --set takes precedence."
)


def with_reuse(settings: tuple[str, ...], no_reuse: bool) -> tuple[str, ...]:
    """Return the values of `--set`, with that of `--no-reuse` if it is given."""
    return (*settings, "reuse=false") if no_reuse else settings
