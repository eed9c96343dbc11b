"""`tiffin pipelines`."""

from collections.abc import Mapping

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo, echo_json


@click.command(epilog=examples("tiffin pipelines", "tiffin run training --help"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@debug_option
def pipelines(*, as_json: bool) -> None:
    """List the pipelines.

    `tiffin run PIPELINE --help` lists the parameters of one of them.
    """
    from tiffin.authoring.listing import list_pipelines

    show_list(list_pipelines(), as_json=as_json)


def show_list(found: Mapping[str, str], *, as_json: bool) -> None:
    """Print names and descriptions, as columns or as JSON."""
    if as_json:
        for name, about in found.items():
            echo_json({"name": name, "description": about})
        return
    formatter = click.Context(click.Command("list")).make_formatter()
    formatter.write_dl(list(found.items()))
    echo(formatter.getvalue(), nl=False)
