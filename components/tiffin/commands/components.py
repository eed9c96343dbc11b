"""`tiffin components`."""

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.pipelines import show_list


@click.command(epilog=examples("tiffin components", "tiffin components --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@debug_option
def components(*, as_json: bool) -> None:
    """List the components.

    `tiffin compile` writes a page for each of them, with its inputs and outputs and an example.
    """
    from tiffin.authoring.listing import list_components

    show_list(list_components(), as_json=as_json)
