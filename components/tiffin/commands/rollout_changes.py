"""The commands that change a rollout: `tiffin rollout promote | abort | pause | resume`, and what drives it to its end."""

import os
from typing import Any

import click

from tiffin.commands.installation import Installation, author, installation_options, why_option
from tiffin.commands.model_changes import move_aliases
from tiffin.commands.options import examples
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_views import status_lines
from tiffin.errors import InputError
from tiffin.serving.root import ServedModel
from tiffin.stages.traits import GATEWAY

# Exit status of a rollout whose candidate is worse, or about which nothing is known.
_NOT_PROMOTED = 3

no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Leave the rest to the process that drives the rollout, such as the step of a run."
)


@click.command(epilog=examples('tiffin rollout promote model --why "good enough"'))
@click.argument("model", required=False, default="")
@why_option
@no_wait_option
@installation_options
def promote(*, model: str, why: str, no_wait: bool, place: Installation, as_json: bool) -> int:
    """Promote the version of MODEL's rollout without the remaining steps."""
    from tiffin.rollout import course

    served, by = place.find(model), author(why)
    if no_wait:
        show(served.name, course.promote(served, by), as_json)
        return 0
    find_places(place)
    return drive_to_end(served, course.promote(served, by).id, place, as_json)


@click.command(epilog=examples('tiffin rollout abort model --why "complaints"'))
@click.argument("model", required=False, default="")
@why_option
@no_wait_option
@installation_options
def abort(*, model: str, why: str, no_wait: bool, place: Installation, as_json: bool) -> int:
    """End the rollout of MODEL: the version in production answers all requests.

    It takes effect at once; the command then waits until the candidate servers are empty.
    """
    from tiffin.rollout import course

    # Also without a gateway: when it is back, it sends all requests to the version in production.
    served = place.find(model)
    ending = course.abort(served, author(why))
    if no_wait:
        show(served.name, ending, as_json)
    else:
        drive_to_end(served, ending.id, place, as_json)
    return 0


@click.command(epilog=examples('tiffin rollout pause model --why "lunch"'))
@click.argument("model", required=False, default="")
@why_option
@installation_options
def pause(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """Stay in the current step of MODEL's rollout; its requests go on as they are."""
    from tiffin.rollout import course

    served = place.find(model)
    found = course.pause(served, author(why))
    show(served.name, found, as_json)
    return 0


@click.command(epilog=examples('tiffin rollout resume model --why "back"'))
@click.argument("model", required=False, default="")
@why_option
@no_wait_option
@installation_options
def resume(*, model: str, why: str, no_wait: bool, place: Installation, as_json: bool) -> int:
    """Go on with the rollout of MODEL, after a pause or after the process that drove it has ended."""
    from tiffin.rollout import course

    served, by = place.find(model), author(why)
    if no_wait:
        show(served.name, course.resume(served, by), as_json)
        return 0
    find_places(place)
    found = course.find_active(served)
    if found.phase == "paused":
        course.resume(served, by)
    return drive_to_end(served, found.id, place, as_json)


def drive_to_end(
    served: ServedModel, identifier: str, place: Installation, as_json: bool, look: float | None = None
) -> int:
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
    """Return the servers and the gateway that the environment names, as that of a pod does; else those of the state folder.

    Raises:
        InputError: The serving root is another one, or the environment lacks an address.
        ServingError: No gateway is running.
    """
    from tiffin.local import gateway
    from tiffin.local.serving import serving_root

    if os.environ.get(GATEWAY.variable) or os.environ.get("TIFFIN_ROUTES"):
        from tiffin.rollout.cluster import places as named

        return named.find_places(os.environ)
    if place.root != str(serving_root(place.state)):
        raise InputError(
            f"A rollout works with the gateway of --state, which follows '{serving_root(place.state)}'. Received: "
            f"--serving-root '{place.root}'. Leave out --serving-root, or pass the --state that it belongs to."
        )
    return gateway.find_places(place.state)


def show(name: str, found: Any, as_json: bool, answers: Any = None, note: str = "") -> None:
    """Print a rollout, and what the prediction log has shown of the answers."""
    from tiffin.artifacts.documents import to_json
    from tiffin.commands.rollout_answers import answer_lines, answers_to_json

    if as_json:
        shown = {"answers": answers_to_json(answers, note)} if answers else {}
        echo_json({"model": name, "rollout": to_json(found) if found else None, **shown})
    else:
        for line in status_lines(name, found):
            echo(line)
        for line in answer_lines(answers, note) if answers else ():
            echo(line)


CHANGES = (promote, abort, pause, resume)
