"""`tiffin monitor rules`: recording rules and alert rules for a Prometheus."""

from pathlib import Path
from typing import Any

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo
from tiffin.observability.thresholds import ALERTS, Thresholds

_USUAL = Thresholds()


def _check_severities(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        alert, equals, severity = value.partition("=")
        if not equals:
            raise click.BadParameter(
                f"it should be ALERT=SEVERITY, such as TiffinDrift=info. Received: '{value}'. Alerts: {', '.join(ALERTS)}."
            )
        found[alert] = severity
    return found


@click.command(
    short_help="Print alert rules for Prometheus.",
    epilog=examples(
        "tiffin monitor rules --output rules.yml",
        "tiffin monitor rules model --max-error-share 0.02 --no-traffic-for 6h",
        "tiffin monitor rules model --operator --output rules.yaml",
    ),
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--max-error-share",
    type=float,
    default=_USUAL.max_error_share,
    show_default=True,
    metavar="SHARE",
    help="Share of failed requests that is allowed, from 0 to 1.",
)
@click.option(
    "--min-errors",
    type=int,
    default=_USUAL.min_errors,
    show_default=True,
    metavar="NUMBER",
    help="Least number of failed requests in 5 minutes.",
)
@click.option(
    "--max-p99-seconds",
    type=float,
    default=_USUAL.max_p99_seconds,
    show_default=True,
    metavar="SECONDS",
    help="99th percentile of the latency that is allowed; 0 for no alert.",
)
@click.option(
    "--no-traffic-for",
    default=_USUAL.no_traffic_for,
    show_default=True,
    metavar="TIME",
    help="Time without a request, in s, m, h or d; '' for no alert.",
)
@click.option(
    "--monitoring-every",
    default=_USUAL.monitoring_every,
    show_default=True,
    metavar="TIME",
    help="Time between two runs of the monitoring; an alert after twice this time.",
)
@click.option(
    "--max-dropped-share",
    type=float,
    default=_USUAL.max_dropped_share,
    show_default=True,
    metavar="SHARE",
    help="Share of the requests that the prediction log may lack, from 0 to 1.",
)
@click.option(
    "--severity",
    "severities",
    multiple=True,
    callback=_check_severities,
    metavar="ALERT=SEVERITY",
    help="Severity of an alert.  [default: critical of TiffinErrors, else warning]. Repeatable.",
)
@click.option("--operator", is_flag=True, help="Print a PrometheusRule for the Prometheus Operator.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write the rules to a file."
)
@debug_option
def rules(*, models: tuple[str, ...], operator: bool, output: Path | None, **thresholds: Any) -> None:
    """Print rules for Prometheus about the MODELs in production; about all models without a name.

    Load one file: name all models with the same thresholds together. Alerts are about errors, latency, no requests, drift,
    decay, and monitoring or a prediction log that has stopped.
    """
    from tiffin.observability.rules import format_operator_rules, format_rules, make_rules

    groups = make_rules(models, Thresholds(**thresholds))
    text = format_operator_rules(groups) if operator else format_rules(groups)
    if output is None:
        echo(text.rstrip("\n"))
        return
    from tiffin.storage.files import write_bytes

    write_bytes(output, text.encode())
    echo(f"Written: {output}")
