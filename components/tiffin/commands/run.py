"""`tiffin run`."""

import json
import sys

import click

from tiffin.commands.options import debug_option, state_option, stop_command


@click.command()
@click.argument("pipeline", metavar="PIPELINE|SPEC.yaml")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set a parameter; may be repeated.")
@click.option("--params", "file", type=click.Path(), metavar="FILE.yaml", help="Set parameters from a YAML file.")
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last; progress goes to standard error.")
@click.option("--docker", is_flag=True, help="Run every step in a container of its image.")
@click.option("--cold", is_flag=True, help="Start a new interpreter for every step.")
@click.option("--stop-server", is_flag=True, help="Stop the model server at the end, if this run started it.")
@debug_option
def run(
    *,
    pipeline: str,
    settings: tuple[str, ...],
    file: str | None,
    state: str,
    as_json: bool,
    docker: bool,
    cold: bool,
    stop_server: bool,
) -> int:
    """Run a pipeline, or a compiled spec, on this machine.

    Each step runs in the virtualenv that stands for its image, with --docker in a container of the image itself. The
    exit status is 0 when the run succeeded, 3 when a gate stopped it, 1 when it failed otherwise, 2 when an argument
    breaks a rule.
    """
    # rich and kfp take a second to import, and `tiffin run --help` needs neither.
    from tiffin.local.results import show_run
    from tiffin.local.runs import run_pipeline

    stream = sys.stderr if as_json else sys.stdout
    result = run_pipeline(
        pipeline, state, settings, file, cold=cold, docker=docker, stop_server=stop_server, stream=stream
    )
    show_run(result, stop_command(state), stream)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
    return result.exit_status
