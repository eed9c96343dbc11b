"""`tiffin run`."""

import sys
from typing import TextIO, cast

import click

from tiffin.authoring.options import no_reuse_option, params_option, pipeline_argument, set_option, with_reuse
from tiffin.commands.options import debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo_json
from tiffin.commands.pipeline_help import PipelineCommand
from tiffin.commands.streams import Progress


@click.command(
    cls=PipelineCommand,
    epilog=examples(
        "tiffin run training --help",
        "tiffin run training --set data=trips.csv --set label=tips",
        "tiffin run training --set epochs=20 --set 'exclude=[\"trip_id\"]' --json",
    ),
)
@pipeline_argument
@set_option
@params_option
@no_reuse_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object; progress goes to stderr.")
@click.option("--docker", is_flag=True, help="Run each step in a container of its image instead of a virtualenv.")
@click.option("--cold", is_flag=True, help="Start a new Python interpreter for each step (slower).")
@click.option("--stop-server", is_flag=True, help="Stop the model server that this run started when the run ends.")
@debug_option
def run(
    *,
    pipeline: str,
    settings: tuple[str, ...],
    no_reuse: bool,
    file: str | None,
    state: str,
    as_json: bool,
    docker: bool,
    cold: bool,
    stop_server: bool,
) -> int:
    """Run a pipeline or a compiled spec on this machine.

    Each step runs in the virtualenv of its image, or with --docker in a container of the image.

    Exit status: 0 the run succeeded, 1 it failed, 2 an argument is invalid, 3 a gate stopped the run, 4 its
    model waits for approval.
    """
    # rich and kfp take a second to import, and `tiffin run --help` needs neither.
    from tiffin.local.result_text import show_run
    from tiffin.local.runs import run_pipeline

    stream = cast("TextIO", Progress(sys.stderr if as_json else sys.stdout))
    settings = with_reuse(settings, no_reuse)
    result = run_pipeline(
        pipeline, state, settings, file, cold=cold, docker=docker, stop_server=stop_server, stream=stream
    )
    show_run(result, state_argument(state), stream)
    if as_json:
        echo_json(result.to_json())
    return result.exit_status
