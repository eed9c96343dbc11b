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
params_option = click.option(
    "--params", "file", type=click.Path(), metavar="FILE.yaml", help="YAML file of parameters; --set takes precedence."
)
