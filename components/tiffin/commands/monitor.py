"""`tiffin monitor`: the last verdict about a model in production, and since when it holds."""

import itertools
from collections.abc import Iterator

import click

from tiffin.artifacts.monitoring import FOLDER, own_folder
from tiffin.artifacts.monitoring_status import Look, Status
from tiffin.artifacts.numbers import format_number
from tiffin.commands.monitor_metrics import config, metrics
from tiffin.commands.monitor_retrainings import pause, place_options, resume, retraining_lines
from tiffin.commands.monitor_rules import rules
from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_views import labelled
from tiffin.errors import InputError, did_you_mean

_SHOWN_LOOKS = 8


@click.group(epilog=examples("tiffin monitor status", "tiffin run monitoring --set model_name=model"))
@debug_option
def monitor() -> None:
    """Show how models in production fare, to you and to Prometheus. The pipeline `monitoring` gives the verdicts."""


for _command in (metrics, rules, config, pause, resume):
    monitor.add_command(_command)


@monitor.command(
    epilog=examples(
        "tiffin monitor status",
        "tiffin monitor status model --log-root gs://bucket/predictions",
    )
)
@click.argument("model", required=False, default="")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
@debug_option
def status(*, model: str, state: str, log_root: str, monitor_state: str, as_json: bool) -> None:
    """Show the last verdict about MODEL, the figures, since when, and its retrainings; about all models without a name."""
    from tiffin import storage
    from tiffin.artifacts.documents import to_json
    from tiffin.local.serving import prediction_log
    from tiffin.observability.statuses import find_statuses
    from tiffin.retraining.state import locate, read_state

    root = monitor_state or log_root or str(prediction_log(state))
    found = find_statuses(root, "" if monitor_state else FOLDER)
    if model:
        if model not in found:
            names = ", ".join(found) or "none"
            raise InputError(
                f"MODEL should be a model with a verdict at '{root}': {names}. Received: '{model}'.{did_you_mean(model, found)} "
                f"Give one with: tiffin run monitoring --set model_name={model}"
            )
        found = {model: found[model]}
    if not found:
        raise InputError(f"No verdict at '{root}'. Give one with: tiffin run monitoring --set model_name=NAME")
    for number, one in enumerate(found.values()):
        again = read_state(locate(storage.join(root, *own_folder(monitor_state, one.model))), one.model)
        if as_json:
            retrainings = {name: value for name, value in to_json(again).items() if name != "model"}
            echo_json({**to_json(one), "retrainings": retrainings})
        else:
            echo("\n".join([*[""] * bool(number), *status_lines(one), *retraining_lines(again)]))


def status_lines(one: Status) -> Iterator[str]:
    """Yield lines about the status of a model, at most 80 columns wide."""
    yield f"{one.model} version {one.version}: {one.verdict.replace('_', ' ')} since {_minute(one.since)} UTC"
    share = f" ({100 * one.failed / one.requests:.3g} %)" if one.requests else ""
    latency = f", p99 {format_number(1000 * one.p99_seconds)} ms" if one.p99_seconds is not None else ""
    rows = {
        "reason": one.reason,
        "to do": one.action,
        "window": f"{_minute(one.start)} to {_minute(one.end)} UTC",
        "traffic": f"{one.requests:,} requests, {one.failed:,} failed{share}{latency}; {one.rows:,} rows",
        "drifted": ", ".join(one.drifted) or "no input that counts",
        one.metric or "quality": _quality(one),
        "before": ", ".join(f"{look.verdict.replace('_', ' ')} {_minute(look.end)}" for look in _earlier(one)),
    }
    for label, text in rows.items():
        if text:
            yield from labelled(label, text)


def _quality(one: Status) -> str:
    shown = []
    if one.value is not None:
        shown.append(f"{one.value:.4g} in {one.labelled:,} rows with labels")
    if one.estimated is not None:
        shown.append(f"estimated {one.estimated:.4g}")
    if one.at_training is not None:
        shown.append(f"{one.at_training:.4g} at training")
    return "; ".join(shown)


def _earlier(one: Status) -> list[Look]:
    """Return the last runs before this one whose verdict was another one than that of the run after."""
    looks = list(one.looks)
    changes = [look for look, after in itertools.pairwise(looks) if look.verdict != after.verdict]
    return changes[-_SHOWN_LOOKS:][::-1]


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
