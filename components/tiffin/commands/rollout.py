"""`tiffin rollout`: give a version its share of the requests step by step, and promote or abort it by what is found."""

from typing import Any

import click

from tiffin.commands.installation import Installation, author, installation_options, why_option
from tiffin.commands.model_changes import move_aliases
from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_views import status_lines
from tiffin.errors import InputError
from tiffin.rollout.plan import STRATEGIES
from tiffin.serving.root import ServedModel

# The candidate is worse, or nothing is known about it.
_NOT_PROMOTED = 3


@click.group(
    epilog=examples(
        'tiffin rollout start model 3 --why "new features"',
        "tiffin rollout status model",
        'tiffin rollout abort model --why "complaints from the north"',
    )
)
@debug_option
def rollout() -> None:
    """Give a version its share of the requests step by step, and promote or abort it by what is found.

    Works with the gateway of --state, see tiffin gateway. A rollout is in the serving root: a process that ends leaves it as
    it is, and resume goes on with it.
    """


@rollout.command(
    short_help="Start a rollout, and drive it to its end.",
    epilog=examples(
        'tiffin rollout start model 3 --why "new features"',
        "tiffin rollout start model 3 --strategy shadow_canary --why test",
        "tiffin rollout start model 3 --step weight=1,minutes=5 --why test",
    ),
)
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@why_option
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="canary",
    show_default=True,
    help="shadow: the candidate gets copies of requests. canary: 5, 25 and 50 % of them. ab: 50 %.",
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="NAME=NUMBER,...",
    help="weight or mirror in percent, minutes, min_requests. Repeatable, in place of the strategy's steps.",
)
@click.option(
    "--sticky", default="", metavar="HEADER", help="Requests with the same value of it go to the same version."
)
@click.option(
    "--max-error-share",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of the requests that may fail although the version in production answers them.",
)
@click.option(
    "--max-latency-ratio",
    type=float,
    default=1.5,
    show_default=True,
    help="Ratio of the p50 and p99 to those of the version in production.",
)
@click.option("--look", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Seconds between looks.")
@installation_options
def start(
    *,
    model: str,
    version: int,
    why: str,
    strategy: str,
    steps: tuple[str, ...],
    sticky: str,
    max_error_share: float,
    max_latency_ratio: float,
    look: float,
    place: Installation,
    as_json: bool,
) -> int:
    """Roll out VERSION of MODEL, which has files in the serving root.

    Exit status: 0 it was promoted, 3 it was aborted or nothing is known about it. Ctrl-C leaves the rollout as it is.
    """
    from tiffin.rollout import course
    from tiffin.rollout.plan import Limits, check_limits, make_steps

    served, by = place.find(model), author(why)
    planned = make_steps(strategy, [_parse_step(one) for one in steps], sticky=sticky)
    limits = Limits(max_error_share=max_error_share, max_latency_ratio=max_latency_ratio)
    check_limits(limits)
    find_places(place)
    started = course.start(
        served, version, by, strategy=strategy, steps=planned, limits=limits, sticky=sticky  # type: ignore[arg-type]
    )  # fmt: skip
    return _drive(served, started.id, place, as_json, look)


@rollout.command(epilog=examples("tiffin rollout status", "tiffin rollout status model --json"))
@click.argument("model", required=False, default="")
@installation_options
def status(*, model: str, place: Installation, as_json: bool) -> int:
    """Show the rollout of MODEL that is under way, or its last one; exit with status 1 if there was none."""
    from tiffin.rollout.document import read_rollout

    served = place.find(model)
    found, _ = read_rollout(served)
    _show(served.name, found, as_json)
    return 0 if found else 1


@rollout.command(epilog=examples('tiffin rollout promote model --why "good enough"'))
@click.argument("model", required=False, default="")
@why_option
@installation_options
def promote(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """Promote the version of MODEL's rollout without the remaining steps."""
    from tiffin.rollout import course

    served, by = place.find(model), author(why)
    find_places(place)
    return _drive(served, course.promote(served, by).id, place, as_json)


@rollout.command(epilog=examples('tiffin rollout abort model --why "complaints"'))
@click.argument("model", required=False, default="")
@why_option
@installation_options
def abort(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """End the rollout of MODEL: the version in production answers all requests.

    It takes effect at once; the command then waits until the candidate servers are empty.
    """
    from tiffin.rollout import course

    # Also without a gateway: when it is back, it sends all requests to the version in production.
    served = place.find(model)
    _drive(served, course.abort(served, author(why)).id, place, as_json)
    return 0


@rollout.command(epilog=examples('tiffin rollout pause model --why "lunch"'))
@click.argument("model", required=False, default="")
@why_option
@installation_options
def pause(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """Stay in the current step of MODEL's rollout; its requests go on as they are."""
    from tiffin.rollout import course

    served = place.find(model)
    found = course.pause(served, author(why))
    _show(served.name, found, as_json)
    return 0


@rollout.command(epilog=examples('tiffin rollout resume model --why "back"'))
@click.argument("model", required=False, default="")
@why_option
@installation_options
def resume(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """Go on with the rollout of MODEL, after a pause or after the process that drove it has ended."""
    from tiffin.rollout import course

    served, by = place.find(model), author(why)
    find_places(place)
    found = course.find_active(served)
    if found.phase == "paused":
        course.resume(served, by)
    return _drive(served, found.id, place, as_json)


def _drive(served: ServedModel, identifier: str, place: Installation, as_json: bool, look: float | None = None) -> int:
    """Drive a rollout to its end, print the result, and return the exit status."""
    from tiffin.artifacts.documents import to_json
    from tiffin.local.registry import registry
    from tiffin.rollout.driving import Pace, drive

    def tell(line: str) -> None:
        if not as_json:
            echo(f"{served.name}: {line}")

    pace = Pace() if look is None else Pace(look=look)
    with registry("follow", served, place.tracking_uri) as mlflow:
        ended = drive(served, identifier, lambda: find_places(place), pace, tell)
        moved, problem = move_aliases(mlflow, served.name)
    if as_json:
        echo_json({"model": served.name, "rollout": to_json(ended), "aliases": moved, "warning": problem})
    else:
        for line in moved:
            echo(line)
        if problem:
            echo(f"warning: {problem}", err=True)
    return 0 if ended.outcome == "promoted" else _NOT_PROMOTED


def find_places(place: Installation) -> Any:
    """Return the servers and the gateway of the state folder.

    Raises:
        InputError: The serving root is another one.
        ServingError: No gateway is running.
    """
    from tiffin.local import gateway
    from tiffin.local.serving import serving_root

    if place.root != str(serving_root(place.state)):
        raise InputError(
            f"A rollout works with the gateway of --state, which follows '{serving_root(place.state)}'. Received: "
            f"--serving-root '{place.root}'. Leave out --serving-root, or pass the --state that it belongs to."
        )
    return gateway.find_places(place.state)


def _show(name: str, found: Any, as_json: bool) -> None:
    from tiffin.artifacts.documents import to_json

    if as_json:
        echo_json({"model": name, "rollout": to_json(found) if found else None})
    else:
        for line in status_lines(name, found):
            echo(line)


def _parse_step(text: str) -> dict[str, float]:
    step: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            step[name.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"--step should be NAME=NUMBER,... such as weight=5,minutes=10. Received: '{text}'."
            ) from None
    return step
