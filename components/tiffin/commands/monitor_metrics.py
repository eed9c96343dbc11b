"""`tiffin monitor metrics` and `tiffin monitor config`: models in production for a Prometheus."""

import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tiffin.commands.monitor_retrainings import place_options
from tiffin.commands.options import debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo

if TYPE_CHECKING:
    from tiffin.observability.metrics import Places

_PORT = 9105


def _place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the places to a command: those of the states of monitoring, and of the serving root."""
    return place_options(
        click.option(
            "--serving-root",
            default="",
            metavar="PATH",
            envvar="TIFFIN_SERVING_ROOT",
            help="Path or URI of the serving root.  [default: that of --state]",
        )(command)
    )


@click.command(
    short_help="Print or serve metrics for Prometheus.",
    epilog=examples(
        "tiffin monitor metrics",
        "tiffin monitor metrics --serve",
        "tiffin monitor metrics --output /var/lib/node_exporter/tiffin.prom",
    ),
)
@_place_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the page to a file, at once: node_exporter's textfile collector reads *.prom.",
)
@click.option("--serve", is_flag=True, help="Serve the page until Ctrl-C, at /metrics.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on with --serve.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="PORT", help=f"Port to listen on with --serve.  [default: {_PORT}]"
)
@debug_option
def metrics(
    *,
    state: str,
    log_root: str,
    monitor_state: str,
    serving_root: str,
    output: Path | None,
    serve: bool,
    host: str | None,
    port: int | None,
) -> None:
    """Print the metrics of models in production for Prometheus: verdicts, drift, quality, versions, rollouts.

    A document that cannot be read is left out, counted and named.
    """
    if serve and output:
        raise click.UsageError("--serve and --output should not be used together.")
    if not serve and (host or port):
        raise click.UsageError(f"{'--host' if host else '--port'} should be used with --serve.")
    places = _locate(state, log_root, monitor_state, serving_root)
    if serve:
        _serve(places, host or "127.0.0.1", port or _PORT)
        return
    from prometheus_client import generate_latest

    from tiffin.observability.metrics import Page, make_registry, read_documents

    reading = read_documents(places)
    content = generate_latest(make_registry(Page(reading)))
    for source, text in reading.faults.texts:
        echo(f"left out ({source}): {text}", err=True)
    if not (reading.samples or reading.faults.texts):
        echo(f"No verdict at '{places.statuses}', and no model at '{places.serving_root}'.", err=True)
    if output:
        _write(output, content)
    else:
        echo(content.decode().rstrip("\n"))


def _locate(state: str, log_root: str, monitor_state: str, serving_root: str) -> "Places":
    from tiffin.local import serving
    from tiffin.observability.program import locate

    return locate(
        log_root or str(serving.prediction_log(state)), monitor_state, serving_root or str(serving.serving_root(state))
    )


def _serve(places: "Places", host: str, port: int) -> None:
    from tiffin.observability.program import Options, serve

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    serve(
        Options(places, host, port), lambda address: echo(f"Metrics at http://{address}/metrics. Press Ctrl-C to stop.")
    )


def _write(path: Path, content: bytes) -> None:
    from tiffin.storage.files import write_bytes

    write_bytes(path, content)
    echo(f"Written: {path}")


@click.command(
    short_help="Write files for a Prometheus on this machine.",
    epilog=examples("tiffin monitor config --output prometheus"),
)
@state_option
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    required=True,
    help="Folder of the files.",
)
@debug_option
def config(*, state: str, output: Path) -> None:
    """Write files for a Prometheus and an Alertmanager that watch the models of --state on this machine.

    Addresses change when the gateway starts again: the same command writes them again, and Prometheus reads them at once. Files
    that are there and were changed are kept.
    """
    from tiffin.local.observability import find_targets
    from tiffin.observability import scraping

    def at(name: str) -> str:
        return shlex.quote(f"{output}/{name}")

    targets = {"tiffin": [f"127.0.0.1:{_PORT}"], **find_targets(state)}
    (output / scraping.TARGETS).mkdir(parents=True, exist_ok=True)
    for name, content in scraping.make_targets(targets).items():
        _write(output / scraping.TARGETS / name, content)
    for name, content in scraping.make_configs().items():
        path = output / name
        if path.exists() and path.read_bytes() != content:
            echo(f"Kept, with changes of its own: {path}")
        else:
            _write(path, content)
    missing = [job for job, addresses in targets.items() if not addresses]
    if missing:
        echo(f"Without an address, because it does not run: {', '.join(missing)}. Start it with: tiffin gateway")
    echo("\nStart each in a terminal of its own:")
    echo(f"  tiffin monitor metrics --serve{state_argument(state)}")
    echo(f"  prometheus --config.file {at(scraping.PROMETHEUS)} \\")
    echo(f"    --storage.tsdb.path {at('data')} --web.listen-address=127.0.0.1:9090")
    echo(f"  prometheus-alertmanager --config.file {at(scraping.ALERTMANAGER)} \\")
    echo(f"    --storage.path {at('alertmanager')} --cluster.listen-address= \\")
    echo("    --web.listen-address=127.0.0.1:9093")
    echo("Elsewhere than on Debian, the last program is called alertmanager.")
