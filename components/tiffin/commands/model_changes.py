"""The commands of `tiffin models` that change what is served."""

import time
from typing import Any

import click

from tiffin.commands.installation import Installation, author, installation_options, why_option
from tiffin.commands.options import examples
from tiffin.commands.output import echo, echo_json
from tiffin.errors import ServingError, StorageError
from tiffin.serving.history import Author
from tiffin.serving.root import ServedModel

_deadline_option = click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for the server to serve the version.",
)
_newer_option = click.option("--replace-newer", is_flag=True, help="Allow replacing a newer version.")
_version = click.argument("version", type=click.IntRange(min=1))


@click.command(
    short_help="Approve a version that waits, and promote it.",
    epilog=examples('tiffin models approve model 3 --why "checked the slices"'),
)
@click.argument("model")
@_version
@why_option
@_deadline_option
@_newer_option
@click.option("--no-promote", is_flag=True, help="Only approve it, such as for tiffin rollout start.")
@installation_options
def approve(
    *,
    model: str,
    version: int,
    why: str,
    deadline: float,
    replace_newer: bool,
    no_promote: bool,
    place: Installation,
    as_json: bool,
) -> int:
    """Approve VERSION of MODEL, which waits, in the name of the current user (TIFFIN_USER), and put it into service.

    With four_eyes, the person who asked for the run cannot approve it. If another approval is missing, the version goes on
    waiting.
    """
    from tiffin.governance import approval
    from tiffin.local.registry import registry

    served, by = place.find(model), author(why)
    with registry("follow", served, place.tracking_uri) as mlflow:
        found = approval.approve(served, version, by)
        lines = [f"{served.name}: version {version} was approved by {by.who}"]
        result: dict[str, Any] = {"action": "approve", "by": by.who, "missing": found.missing}
        if found.missing:
            lines.append(f"It needs {found.missing} more (four_eyes).")
        if found.missing or no_promote:
            return _end(served, version, result, lines, mlflow, as_json)
        if not as_json:
            echo(lines.pop())
        return _promote(served, version, by, deadline, replace_newer, place, mlflow, result, lines, as_json)


@click.command(
    short_help="Reject a version that waits.",
    epilog=examples('tiffin models reject model 3 --why "worse in the north"'),
)
@click.argument("model")
@_version
@why_option
@installation_options
def reject(*, model: str, version: int, why: str, place: Installation, as_json: bool) -> int:
    """Reject VERSION of MODEL, which waits: it can no longer be approved or promoted."""
    from tiffin.governance import approval
    from tiffin.local.registry import registry

    served, by = place.find(model), author(why)
    with registry("follow", served, place.tracking_uri) as mlflow:
        approval.reject(served, version, by)
        lines = [f"{served.name}: version {version} was rejected by {by.who}"]
        return _end(served, version, {"action": "reject", "by": by.who}, lines, mlflow, as_json)


@click.command(
    short_help="Put a version into service.",
    epilog=examples('tiffin models promote model 3 --why "the cause is fixed"'),
)
@click.argument("model")
@_version
@why_option
@_deadline_option
@_newer_option
@installation_options
def promote(
    *, model: str, version: int, why: str, deadline: float, replace_newer: bool, place: Installation, as_json: bool
) -> int:
    """Put VERSION of MODEL into service, and make it the champion once the server answers with it.

    If it does not, the version before is served again. The version needs files in the serving root, and its approval.
    """
    from tiffin.local.registry import registry

    served, by = place.find(model), author(why)
    with registry("follow", served, place.tracking_uri) as mlflow:
        result: dict[str, Any] = {"action": "promote", "by": by.who}
        return _promote(served, version, by, deadline, replace_newer, place, mlflow, result, [], as_json)


def _promote(
    served: ServedModel,
    version: int,
    by: Author,
    deadline: float,
    replace_newer: bool,
    place: Installation,
    mlflow: Any,
    result: dict[str, Any],
    lines: list[str],
    as_json: bool,
) -> int:
    from tiffin.governance.acceptance import accept
    from tiffin.governance.promotion import promoting

    started = time.monotonic()
    with promoting(served, version, by, replace_newer=replace_newer) as check:
        if place.address:
            accept(place.address, served, version, None, deadline, check)
    seconds = round(time.monotonic() - started, 3)
    lines.append(f"{served.name}: version {version} is in production after {seconds:.1f} s")
    return _end(served, version, {**result, "seconds": seconds}, [*lines, *_unasked(place)], mlflow, as_json)


@click.command(
    short_help="Return to the previous version.",
    epilog=examples(
        'tiffin models rollback model --why "rejects valid rows"', 'tiffin models rollback model --to 2 --why "drift"'
    ),
)
@click.argument("model", required=False, default="")
@why_option
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="An earlier champion.  [default: the previous one]")
@click.option("--from", "leaving", type=click.IntRange(min=1), metavar="N", help="Only if this version is in service.")
@_deadline_option
@installation_options
def rollback(
    *, model: str, why: str, to: int | None, leaving: int | None, deadline: float, place: Installation, as_json: bool
) -> int:
    """Return to the previous version of MODEL in one call.

    The version that it leaves stays loaded as MODEL@VERSION until `tiffin models unload`, or until another one is promoted. The
    next run of a pipeline deploys again: pause its schedule until the cause is fixed.
    """
    from tiffin.governance.acceptance import accept
    from tiffin.governance.promotion import check_in_service, roll_back
    from tiffin.local.registry import registry

    served, by = place.find(model), author(why)
    with registry("follow", served, place.tracking_uri) as mlflow:
        started = time.monotonic()
        made = roll_back(served, by, to, leaving)
        version = made.standing.champion
        assert version is not None  # noqa: S101 - a rollback has a target
        problem = ""
        if place.address:
            try:
                accept(place.address, served, version, None, deadline, lambda: check_in_service(served, version))
            except ServingError as error:
                problem = str(error)
        seconds = round(time.monotonic() - started, 3)
        left = made.standing.aside
        lines = [f"{served.name}: version {version} is in production again after {seconds:.1f} s"]
        if problem:
            lines = [
                f"{served.name}: the serving root has version {version} again, but the server did not answer with it."
            ]
        for one in left:
            lines.append(
                f"Version {one} stays loaded as {served.name}@{one}. Unload it with: tiffin models unload {served.name}"
            )
        result = {"action": "rollback", "by": by.who, "left": list(left), "seconds": seconds, "problem": problem}
        status = _end(served, version, result, [*lines, *_unasked(place)], mlflow, as_json)
    if problem:
        raise ServingError(problem)
    return status


@click.command(short_help="Unload what a rollback left loaded.", epilog=examples("tiffin models unload model"))
@click.argument("model", required=False, default="")
@click.option("--why", default="no longer needed", show_default=True, metavar="REASON", help="Reason, for the history.")
@installation_options
def unload(*, model: str, why: str, place: Installation, as_json: bool) -> int:
    """Unload the version of MODEL that a rollback left loaded."""
    from tiffin.governance import promotion

    served, by = place.find(model), author(why)
    made = promotion.unload(served, by)
    if as_json:
        echo_json({"model": served.name, "action": "unload", "changed": made is not None})
    else:
        echo(f"{served.name}: unloaded." if made else f"{served.name}: no version was left loaded by a rollback.")
    return 0


@click.command(
    short_help="Remove files of versions that nothing needs.",
    epilog=examples("tiffin models gc --dry-run", "tiffin models gc model --keep 3"),
)
@click.argument("model", required=False, default="")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of last versions in the history to keep.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@installation_options
def gc(*, model: str, keep: int, dry_run: bool, place: Installation, as_json: bool) -> int:
    """Remove the files of versions that nothing names: no config, no role, none of the last N versions of the history.

    Without MODEL, for all models. The registered versions in MLflow stay.
    """
    from tiffin.commands.model_views import collection_lines
    from tiffin.governance.collection import collect, plan

    for served in [place.find(model)] if model else [place.find(name) for name in place.models]:
        items = plan(served, keep) if dry_run else collect(served, author(f"gc, keep {keep}"), keep)
        if as_json:
            about = [{"version": item.version, "bytes": item.size_bytes, "kept": item.why} for item in items]
            echo_json({"model": served.name, "dry_run": dry_run, "versions": about})
        else:
            for line in collection_lines(served.name, items, dry_run=dry_run):
                echo(line)
    return 0


CHANGES = (approve, reject, promote, rollback, unload, gc)


def _unasked(place: Installation) -> list[str]:
    return [] if place.address else ["No server was asked: none is known. Pass --address, or start one: tiffin serve"]


def move_aliases(mlflow: Any, name: str) -> tuple[list[str], str]:
    """Move the aliases of a model in MLflow; return lines about them, and why they were not moved, empty if they were."""
    try:
        return mlflow.run().get("lines", []), ""
    except StorageError as error:
        return [], (
            f"The aliases in MLflow were not moved. {error} They follow with the next change, or with: tiffin models verify "
            f"{name} --repair"
        )


def _end(
    served: ServedModel, version: int, result: dict[str, Any], lines: list[str], mlflow: Any, as_json: bool
) -> int:
    """Print what was done, move the aliases in MLflow, and print that as well."""
    if not as_json:
        # What is served has changed: nobody should wait for MLflow to read it.
        for line in lines:
            echo(line)
    moved, problem = move_aliases(mlflow, served.name)
    if as_json:
        echo_json({"model": served.name, "version": version, **result, "aliases": moved, "warning": problem})
    for line in [] if as_json else moved:
        echo(line)
    if problem and not as_json:
        echo(f"warning: {problem}", err=True)
    return 0
