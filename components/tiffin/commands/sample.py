"""`tiffin sample`."""

import click

from tiffin.commands.options import debug_option


@click.command()
@click.argument("path", type=click.Path())
@click.option("--rows", default=20_000, show_default=True, type=click.IntRange(min=1), help="How many deliveries.")
@click.option("--seed", default=7, show_default=True, type=int, help="The same seed gives the same file.")
@debug_option
def sample(path: str, rows: int, seed: int) -> None:
    """Write a generated data set of deliveries to the CSV file PATH."""
    from tiffin.stages.ingest.sample import write_sample

    write_sample(path, rows=rows, seed=seed)
    click.echo(path)
