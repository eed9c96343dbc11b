"""`tiffin sample`."""

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo


@click.command(epilog=examples("tiffin sample deliveries.csv", "tiffin sample strike.csv --rows 500 --world strike"))
@click.argument("path", type=click.Path())
@click.option(
    "--rows",
    default=20_000,
    show_default=True,
    type=click.IntRange(1, 100_000_000),
    metavar="N",
    help="Number of rows; one row is one delivery.",
)
@click.option("--seed", default=7, show_default=True, type=int, metavar="N", help="Seed of the random generator.")
@click.option(
    "--unreadable", is_flag=True, help="Make one row in 500 unreadable, as in a real export and in sample:deliveries."
)
@click.option(
    "--world",
    default="usual",
    show_default=True,
    metavar="NAME",
    help="What has changed: usual, airport (a new zone), strike (slow cars), or metres (another unit of a column).",
)
@debug_option
def sample(path: str, rows: int, seed: int, unreadable: bool, world: str) -> None:
    """Write sample data, generated deliveries, to the CSV file PATH.

    The same --rows, --seed and --world give the same file. A model that was trained on the usual world can meet the others.
    """
    from tiffin.stages.ingest.sample import write_sample

    write_sample(path, rows=rows, seed=seed, unreadable=unreadable, world=world)
    echo(path)
