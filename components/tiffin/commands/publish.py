"""`tiffin publish`."""

from typing import TYPE_CHECKING

import click

from tiffin.authoring.completion import complete_pipelines
from tiffin.commands.options import backend_adjustment_options, debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.kubeflow.options import connection_options, show_warnings

if TYPE_CHECKING:
    from tiffin.specs.adjustments import Adjustments


@click.command(epilog=examples("tiffin publish training --host https://kfp.example.com --namespace team"))
@click.argument("pipelines", nargs=-1, metavar="[PIPELINE|SPEC.yaml]...", shell_complete=complete_pipelines)
@connection_options
@click.option("--shared", is_flag=True, help="Publish for all namespaces of a multi-user backend.")
@backend_adjustment_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@debug_option
def publish(
    *,
    pipelines: tuple[str, ...],
    host: str | None,
    namespace: str | None,
    token_file: str | None,
    ca_file: str | None,
    shared: bool,
    adjustments: "Adjustments",
    as_json: bool,
) -> None:
    """Upload pipelines, or new versions of them, to a Kubeflow Pipelines backend; all pipelines by default.

    A version's name contains the package version and a digest of the spec; publishing an unchanged spec again does
    nothing.
    """
    from tiffin.authoring.compilation import load_spec, pipeline_names
    from tiffin.kubeflow.checks import image_warnings
    from tiffin.kubeflow.connection import connect
    from tiffin.kubeflow.publication import publish_spec
    from tiffin.specs.adjustments import find_skipped

    chosen = pipelines or pipeline_names()
    if adjustments.is_for_one and len(chosen) != 1:
        raise click.UsageError(
            "--size, --deadline and --mount should be used with one pipeline. "
            f"Received: {', '.join(chosen) or 'none'}. Publish each pipeline separately."
        )
    # Read every spec before the first upload.
    specs = [load_spec(pipeline, adjustments) for pipeline in chosen]
    warnings = {spec.name: [*find_skipped(spec, adjustments), *image_warnings(spec)] for spec in specs}
    show_warnings(dict.fromkeys(line for lines in warnings.values() for line in lines))
    backend = connect(host, namespace, token_file, ca_file)
    for spec in specs:
        published = publish_spec(backend, spec, shared=shared)
        if as_json:
            echo_json({**published.to_json(), "warnings": warnings[spec.name]})
        else:
            echo(f"{published.version} {'published' if published.is_new else 'already published'} at {backend.host}")
