"""`tiffin schedule`."""

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


@click.group(epilog=examples("tiffin schedule list", "tiffin schedule set nightly training --cron @daily"))
@debug_option
def schedule() -> None:
    """Manage recurring runs on a Kubeflow Pipelines backend."""


@schedule.command(
    "set",
    cls=PipelineCommand,
    epilog=examples("tiffin schedule set nightly training --cron '0 3 * * *' --set epochs=20"),
)
@click.argument("name")
@pipeline_argument
@click.option(
    "--cron",
    required=True,
    metavar="SCHEDULE",
    help="Schedule in UTC: @daily, or crontab fields such as '0 3 * * mon-fri'.",
)
@run_options
@connection_options
@backend_adjustment_options
@debug_option
def set_(
    *,
    name: str,
    pipeline: str,
    cron: str,
    settings: tuple[str, ...],
    no_reuse: bool,
    file: str | None,
    experiment: str | None,
    service_account: str,
    pipeline_root: str,
    allow_paths: bool,
    shared: bool,
    host: str | None,
    namespace: str | None,
    token_file: str | None,
    ca_file: str | None,
    adjustments: "Adjustments",
) -> None:
    """Create or replace the recurring run NAME.

    Setting it again with the same options changes nothing, except that a paused run is resumed.

    Schedules are in UTC unless the backend's administrator set CRON_SCHEDULE_TIMEZONE.
    """
    from tiffin.authoring.compilation import load_spec
    from tiffin.kubeflow.checks import check_paths, image_warnings
    from tiffin.kubeflow.connection import connect
    from tiffin.kubeflow.cron import read_cron
    from tiffin.kubeflow.publication import publish_spec
    from tiffin.kubeflow.schedule import set_recurring
    from tiffin.kubeflow.submission import find_experiment, run_settings
    from tiffin.specs.adjustments import find_skipped
    from tiffin.specs.notifications import unchecked_tags
    from tiffin.specs.parameters import gather_parameters

    read_cron(cron)
    spec = load_spec(pipeline, adjustments)
    arguments = gather_parameters(spec, with_reuse(settings, no_reuse), file)
    check_paths(spec, arguments, allow_paths=allow_paths)
    show_warnings([*find_skipped(spec, adjustments), *image_warnings(spec), *unchecked_tags(spec, arguments)])
    backend = connect(host, namespace, token_file, ca_file)
    published = publish_spec(backend, spec, shared=shared)
    experiment_id = find_experiment(backend, experiment or spec.name)
    wanted = run_settings(published, experiment_id, arguments, service_account, pipeline_root)
    recurring, became = set_recurring(backend, name, cron, published, wanted)
    echo(f"{recurring.name} {became}: {published.version} at {recurring.typed}")


@schedule.command("list", epilog=examples("tiffin schedule list --json"))
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@debug_option
def list_(
    *, host: str | None, namespace: str | None, token_file: str | None, ca_file: str | None, as_json: bool
) -> None:
    """List the recurring runs of the namespace: schedule, pipeline, next run, and the result of the last one.

    Times are in UTC.
    """
    from tiffin.kubeflow.connection import connect
    from tiffin.kubeflow.listing import list_schedules, show_schedules

    found = list_schedules(connect(host, namespace, token_file, ca_file))
    if as_json:
        for one in found:
            echo_json(one.to_json())
    else:
        show_schedules(found, sys.stdout)


def _changes(action: str, done: str, about: str) -> click.Command:
    @click.command(action, help=about, epilog=examples(f"tiffin schedule {action} nightly"))
    @click.argument("name")
    @connection_options
    @debug_option
    def change(
        *, name: str, host: str | None, namespace: str | None, token_file: str | None, ca_file: str | None
    ) -> None:
        from tiffin.kubeflow.connection import connect
        from tiffin.kubeflow.schedule import change_recurring

        change_recurring(connect(host, namespace, token_file, ca_file), name, action)
        echo(f"{name} {done}.")

    return change


schedule.add_command(_changes("pause", "paused", "Pause the recurring run NAME until it is resumed."))
schedule.add_command(_changes("resume", "resumed", "Resume the recurring run NAME."))
schedule.add_command(_changes("delete", "deleted", "Delete the recurring run NAME and keep its past runs."))
