"""`tiffin compile`."""

from typing import TYPE_CHECKING

import click

from tiffin.authoring.completion import complete_sources
from tiffin.commands.options import adjustment_options, debug_option, examples
from tiffin.commands.output import echo

if TYPE_CHECKING:
    from tiffin.specs.adjustments import Adjustments


@click.command(epilog=examples("tiffin compile", "tiffin compile training --size train=large --deadline train=12h"))
@click.argument("names", nargs=-1, metavar="[PIPELINE|COMPONENT]...", shell_complete=complete_sources)
@click.option(
    "--output", "-o", default="build", show_default=True, type=click.Path(), help="Directory to write the files to."
)
@adjustment_options
@debug_option
def compile(names: tuple[str, ...], output: str, adjustments: "Adjustments") -> None:
    """Compile pipelines and components to YAML; all of them by default.

    Writes <pipeline>-<version>.yaml, components/<component>/component.yaml and its README.md, and an index of all
    components. The output is deterministic: the same source gives the same bytes.
    """
    from tiffin.authoring.compilation import write_specs

    for path in write_specs(output, names, adjustments):
        echo(path)
