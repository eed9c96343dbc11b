"""`tiffin submit`."""

import datetime
import sys
from typing import TYPE_CHECKING

import click

from tiffin.authoring.options import pipeline_argument, with_reuse
from tiffin.commands.options import backend_adjustment_options, debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.commands.pipeline_help import PipelineCommand
from tiffin.kubeflow.options import connection_options, run_options, show_warnings

if TYPE_CHECKING:
    from tiffin.specs.adjustments import Adjustments


@click.command(
    cls=PipelineCommand,
    epilog=examples("tiffin submit training --set data=gs://bucket/trips.csv --wait"),
)
@pipeline_argument
@run_options
@click.option("--name", metavar="NAME", help="Run name.  [default: the pipeline's name and the time]")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Follow the run until it ends.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop waiting after this time; the run continues.  [default: no limit]",
)
@click.option("--poll", type=click.FloatRange(min=0.05), default=3, show_default=True, metavar="SECONDS", hidden=True)
@connection_options
@backend_adjustment_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object; progress goes to stderr.")
@debug_option
def submit(
    *,
    pipeline: str,
    settings: tuple[str, ...],
    no_reuse: bool,
    file: str | None,
    experiment: str | None,
    service_account: str,
    pipeline_root: str,
    allow_paths: bool,
    shared: bool,
    name: str | None,
    wait: bool,
    timeout: float | None,
    poll: float,
    host: str | None,
    namespace: str | None,
    token_file: str | None,
    ca_file: str | None,
    adjustments: "Adjustments",
    as_json: bool,
) -> int:
    """Run a pipeline or a compiled spec on a Kubeflow Pipelines backend.

    Parameters are checked before anything is sent, and the pipeline is published if necessary.

    Exit status with --wait: 0 the run succeeded, 1 it failed, 2 an argument is invalid, 3 a gate stopped the run,
    4 its model waits for approval.
    Ctrl-C stops waiting; the run continues.
    """
    from tiffin.authoring.compilation import load_spec
    from tiffin.kubeflow.checks import check_paths, image_warnings
    from tiffin.kubeflow.connection import connect
    from tiffin.kubeflow.publication import publish_spec
    from tiffin.kubeflow.submission import find_experiment, follow_run, run_settings, show_end, submit_run
    from tiffin.specs.adjustments import find_skipped
    from tiffin.specs.notifications import unchecked_tags
    from tiffin.specs.parameters import gather_parameters
    from tiffin.specs.services import find_waiting

    if timeout is not None and not wait:
        raise click.UsageError("--timeout limits --wait, which is not given. Add --wait, or remove --timeout.")
    stream = sys.stderr if as_json else sys.stdout
    spec = load_spec(pipeline, adjustments)
    arguments = gather_parameters(spec, with_reuse(settings, no_reuse), file)
    check_paths(spec, arguments, allow_paths=allow_paths)
    warnings = show_warnings(
        [*find_skipped(spec, adjustments), *image_warnings(spec), *unchecked_tags(spec, arguments)]
    )
    backend = connect(host, namespace, token_file, ca_file)
    published = publish_spec(backend, spec, shared=shared)
    experiment = experiment or spec.name
    wanted = run_settings(published, find_experiment(backend, experiment), arguments, service_account, pipeline_root)
    run_name = name or f"{spec.name} {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    submission = submit_run(backend, spec, published, experiment, run_name, wanted)
    submission.waits = tuple(find_waiting(spec, arguments))
    if wait:
        follow_run(backend, spec, submission, stream, timeout_seconds=timeout, poll_seconds=poll)
        show_end(submission, stream)
    else:
        echo(f"Submitted {published.version}: {submission.url}", file=stream)
    if as_json:
        echo_json({**submission.to_json(), "warnings": warnings})
    return submission.exit_status if wait else 0
