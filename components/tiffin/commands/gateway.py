"""`tiffin gateway`."""

import click

from tiffin.artifacts import documents
from tiffin.commands.foreground import describe, listening_options, wait_for_end
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo, echo_json
from tiffin.errors import TiffinError
from tiffin.local import gateway as local
from tiffin.local.programs import Server
from tiffin.local.serving import prediction_log, serving_root

_USAGE = ("tiffin gateway", "tiffin predict rows.csv --model model --address 127.0.0.1:8600", "tiffin gateway --status")


@click.command(epilog=examples(*_USAGE))
@state_option
@listening_options(local.DEFAULT_PORT, "Port for clients, by gRPC and by REST.")
@click.option("--no-record", is_flag=True, help="Write no prediction log.")
@click.option("--record-all", is_flag=True, help="Record every request, even if it slows others on a busy machine.")
@click.option(
    "--log-seconds",
    type=click.IntRange(1, 3600),
    metavar="SECONDS",
    help="Age at which a file of the prediction log is complete.  [default: 60]",
)
@click.option("--stop", is_flag=True, help="Stop the gateway of --state.")
@click.option("--status", is_flag=True, help="Show the gateway of --state; exit with status 1 if none is running.")
@click.option("--json", "as_json", is_flag=True, help="With --status, write JSON.")
@debug_option
def gateway(
    *,
    state: str,
    port: int,
    host: str,
    no_record: bool,
    record_all: bool,
    log_seconds: int | None,
    stop: bool,
    status: bool,
    as_json: bool,
) -> int:
    """Run Envoy in front of the model servers of --state, until Ctrl-C.

    Clients of the gateway notice nothing of a rollout: it divides the requests for a model between the version in production
    and its candidate, and writes the prediction log. It starts the model server unless one is running.
    """
    if stop and status:
        raise click.UsageError("--stop and --status should not be used together.")
    if as_json and not status:
        raise click.UsageError("--json should be used with --status.")
    if no_record and record_all:
        raise click.UsageError("--no-record and --record-all should not be used together.")
    if no_record and log_seconds:
        raise click.UsageError("--no-record and --log-seconds should not be used together.")
    nothing = f"No gateway is running for {state}."
    if stop:
        stopped = local.stop_gateway(state)
        echo(f"Stopped the gateway at {stopped.address}." if stopped else nothing)
        return 0
    if status:
        running = local.find_gateway(state)
        _show(state, running, as_json)
        return 0 if running else 1
    chosen = ["--no-record"] * no_record + ["--record-all"] * record_all
    chosen += [f"--log-seconds={log_seconds}"] if log_seconds else []
    with local.starting_gateway(state, host, port) as (server, locks):
        if not locks:
            echo(describe(server))
            if chosen:
                raise TiffinError(f"{chosen[0]} applies to a new gateway. Stop the running one with --stop first.")
            return 0
        process = local.spawn(server, locks, host, chosen)
    recorded = f"Requests and answers are recorded in: {prediction_log(state)}"
    line = f"Gateway of {serving_root(server.state)} at {server.address}, gRPC and REST."
    return wait_for_end(server, process, line, *[recorded] * (not no_record))


def _describe(recorded: local.Recorded | None) -> str:
    if recorded is None:
        return "unknown: the recorder does not answer"
    missing = ", ".join(f"{number:,} ({reason})" for reason, number in sorted(recorded.missing.items()))
    return f"{recorded.requests:,} requests; not in the log: {missing or 'none'}"


def _show(state: str, running: Server | None, as_json: bool) -> None:
    found = local.read_status(state) if running else None
    traffic = local.read_traffic(state) if running else {}
    recorded = local.read_recorded(found.recorder_metrics) if found else None
    if as_json:
        address = running.address if running else None
        parts = {"address": address, "parts": found, "traffic": traffic, "recorded": recorded}
        echo_json(documents.to_json(parts))
        return
    if running is None:
        echo(f"No gateway is running for {state}.")
        return
    echo(describe(running))
    if found is None:
        echo("It is still starting.")
        return
    rows = {
        "stable server": f"{found.stable}, REST {found.stable_rest or 'off: stop the server to have it'}",
        "candidate server": found.candidate or "not running: no model has a candidate",
        "metrics": found.metrics,
        "prediction log": found.log_root or "none",
        "recorder": found.recorder_metrics or "none",
        "recorded": _describe(recorded) if found.recorder_metrics else "nothing",
        "restarted": ", ".join(f"{name} {number} times" for name, number in found.restarts.items()) or "nothing",
    }
    for name, value in rows.items():
        echo(f"  {name:<16}  {value}")
    for model, one in traffic.items():
        echo(f"  {model:<16}  {local.describe_traffic(one)}")
