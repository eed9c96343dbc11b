"""`tiffin monitor pause` and `resume`: whether models are trained again, and what `tiffin monitor status` tells of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from tiffin.artifacts.retraining import RetrainingState
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_views import labelled
from tiffin.errors import InputError, did_you_mean

_SHOWN = 3
_LOG_ROOT = click.option(
    "--log-root",
    default="",
    metavar="PATH",
    envvar="TIFFIN_LOG_ROOT",
    help="Path or URI of the prediction log.  [default: that of --state]",
)
_MONITOR_STATE = click.option(
    "--monitor-state",
    default="",
    metavar="PATH",
    help="Path or URI that was passed to the pipeline as `state`.  [default: the prediction log]",
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the place of the states of monitoring: --state, --log-root and --monitor-state."""
    for option in (_MONITOR_STATE, _LOG_ROOT, state_option):
        command = option(command)
    return command


@click.command(
    short_help="Stop the retrainings of a model.",
    epilog=examples('tiffin monitor pause model --why "labels of June are wrong"'),
)
@click.argument("model")
@click.option("--why", required=True, metavar="REASON", help="Reason, for those who find it paused.")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print the state as a JSON object.")
@debug_option
def pause(*, model: str, why: str, state: str, log_root: str, monitor_state: str, as_json: bool) -> None:
    """Stop the retrainings of MODEL, also those by hand, until `tiffin monitor resume`.

    One that runs goes on. Monitoring goes on, and tells it.
    """
    from tiffin.governance.identity import check_reason, current_user
    from tiffin.retraining import state as states

    check_reason(why)
    uri = locate_state(model, state, log_root, monitor_state)
    found = states.pause(uri, model, by=current_user(), why=why, now=datetime.now(UTC))
    _show(found, f"{model}: no retraining starts until: tiffin monitor resume {model}", as_json=as_json)


@click.command(short_help="Allow the retrainings of a model again.", epilog=examples("tiffin monitor resume model"))
@click.argument("model")
@place_options
@click.option("--json", "as_json", is_flag=True, help="Print the state as a JSON object.")
@debug_option
def resume(*, model: str, state: str, log_root: str, monitor_state: str, as_json: bool) -> None:
    """Allow the retrainings of MODEL again."""
    from tiffin.retraining import state as states

    found = states.resume(locate_state(model, state, log_root, monitor_state), model)
    _show(found, f"{model}: retrainings may start again", as_json=as_json)


def _show(found: RetrainingState, line: str, *, as_json: bool) -> None:
    from tiffin.artifacts.documents import to_json

    if as_json:
        echo_json(to_json(found))
    else:
        echo("\n".join([line, *retraining_lines(found)]))


def locate_state(model: str, state: str, log_root: str, monitor_state: str) -> str:
    """Return the location of the state of a model's retrainings.

    Raises:
        InputError: The model has never been monitored or trained again, and is not served from the state folder.
        StorageError: The location cannot be listed.
    """
    from tiffin import storage
    from tiffin.artifacts.monitoring import own_folder
    from tiffin.artifacts.monitoring_status import STATUS
    from tiffin.artifacts.retraining import STATE
    from tiffin.local.serving import prediction_log, serving_root
    from tiffin.retraining.state import locate
    from tiffin.serving.root import find_models

    root = monitor_state or log_root or str(prediction_log(state))
    known = {uri[len(root) :].strip("/").split("/")[0] for uri in storage.find(root, {STATUS, STATE})}
    if not monitor_state and not log_root:
        known |= set(find_models(str(serving_root(state))))
    if model not in known:
        names = ", ".join(sorted(known)) or "none"
        raise InputError(
            f"MODEL should be a model that is served or monitored at '{root}': {names}. Received: '{model}'."
            f"{did_you_mean(model, known)}"
        )
    return locate(storage.join(root, *own_folder(monitor_state, model)))


def retraining_lines(found: RetrainingState) -> Iterator[str]:
    """Yield lines about the retrainings of a model, at most 80 columns wide; none for a model without."""
    if found.paused:
        why = f": {found.paused.why}" if found.paused.why else ""
        yield from labelled("paused", f"retraining, since {_minute(found.paused.since)} UTC by {found.paused.by}{why}")
    for number, one in enumerate(reversed(found.attempts[-_SHOWN:])):
        version = f" as version {one.new_version}" if one.new_version else ""
        because = f" for {one.cause}" if one.cause else ""
        text = f"{_minute(one.started)} UTC by {one.trigger}{because}: {one.outcome}{version}"
        yield from labelled("" if number else "trained again", text)


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
