"""`tiffin models`: what is in production, since when, who decided it, and how to go back."""

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from tiffin.commands.installation import Installation, Time, author, installation_options
from tiffin.commands.model_changes import CHANGES
from tiffin.commands.model_recording import record
from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.errors import InputError, StorageError
from tiffin.serving.root import ServedModel

if TYPE_CHECKING:
    from tiffin.governance.overview import Overview
    from tiffin.rollout.overview import UnderWay


@click.group(
    epilog=examples(
        "tiffin models list",
        "tiffin models history model --at 2h",
        'tiffin models rollback model --why "rejects valid rows"',
    )
)
@debug_option
def models() -> None:
    """Show, approve, promote and roll back the models in production.

    Works on the state folder of local runs, or on any serving root, model server and MLflow. The history in the serving root
    decides; the aliases in MLflow follow it.
    """


@models.command(
    "list",
    short_help="List the models in production.",
    epilog=examples("tiffin models list", "tiffin models list --serving-root gs://bucket/serving"),
)
@installation_options
def list_(*, place: Installation, as_json: bool) -> None:
    """List the models: version in production, since when, candidate, main metric and health."""
    from tiffin.artifacts.documents import to_json
    from tiffin.commands.model_views import model_lines

    found = [_look(ServedModel(place.root, name), place.address) for name in place.models]
    if as_json:
        for one, rollout in found:
            echo_json(to_json(one) | {"rollout": to_json(rollout)})
    else:
        _echo(model_lines(found, place.root))


@models.command(
    short_help="Show a model, or the lineage of a version.",
    epilog=examples("tiffin models show model", "tiffin models show model 3"),
)
@click.argument("model", required=False, default="")
@click.argument("version", required=False, type=click.IntRange(min=1))
@installation_options
def show(*, model: str, version: int | None, place: Installation, as_json: bool) -> None:
    """Show what is in production of MODEL, or the lineage and the approvals of VERSION.

    MODEL may be omitted if there is only one.
    """
    from tiffin.artifacts.documents import to_json
    from tiffin.commands.model_views import overview_lines, version_lines
    from tiffin.governance.overview import describe_version, load_history

    served = place.find(model)
    if version is None:
        found, rollout = _look(served, place.address)
        if as_json:
            echo_json(to_json(found) | {"rollout": to_json(rollout)})
        else:
            _echo(overview_lines(found, rollout))
    else:
        one = describe_version(served, load_history(served), version)
        echo_json(to_json(one)) if as_json else _echo(version_lines(served.name, one))


@models.command(
    short_help="Show who changed what, when and why.",
    epilog=examples(
        "tiffin models history model",
        "tiffin models history model --at 2026-03-01T12:00",
        "tiffin models history model --json",
    ),
)
@click.argument("model", required=False, default="")
@click.option(
    "--at", type=Time(), metavar="TIME", help="Show what was in production at this time: in UTC, or an age: 2h."
)
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="Only the records of this version.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Number of records.  [default: 20; all with --json]"
)
@installation_options
def history(
    *,
    model: str,
    at: datetime.datetime | None,
    version: int | None,
    limit: int | None,
    place: Installation,
    as_json: bool,
) -> None:
    """Show who changed what, when and why, newest first; --json exports the records as JSON lines, oldest first."""
    from tiffin.artifacts.documents import to_json
    from tiffin.commands.model_views import history_lines
    from tiffin.governance.overview import at_time, find_start, load_history
    from tiffin.serving.history import History

    served = place.find(model)
    found = load_history(served)
    for entry in found.entries:
        if entry.record is None:
            echo(f"warning: Record {entry.number} cannot be read: {entry.problem}.", err=True)
    if at is not None:
        found = at_time(found, at)
    if at is not None and not as_json:
        champion = found.standing.champion
        echo(f"{served.name} at {at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC: version {champion or 'none'}")
        start = find_start(found, champion, "champion") if champion else None
        if start:
            echo(f"since {start.at}, by {start.author.who}: {start.author.why} (record {start.number})")
        elif champion:
            echo("since before the first record")
        return
    if version is not None:
        found = History(tuple(entry for entry in found.entries if entry.record and entry.record.version == version))
    if as_json:
        for record in found.records[-limit:] if limit else found.records:
            echo_json(to_json(record))
    else:
        _echo(history_lines(served.name, found, limit or 20))


@models.command(short_help="Compare two versions.", epilog=examples("tiffin models compare model 2 3"))
@click.argument("model")
@click.argument("a", type=click.IntRange(min=1))
@click.argument("b", type=click.IntRange(min=1))
@installation_options
def compare(*, model: str, a: int, b: int, place: Installation, as_json: bool) -> None:
    """Compare the lineage and the metrics of the versions A and B of MODEL."""
    from tiffin.governance.comparison import compare_versions
    from tiffin.governance.overview import describe_version, load_history

    served = place.find(model)
    found = load_history(served)
    one, other = (describe_version(served, found, version) for version in (a, b))
    rows = compare_versions(one, other)
    if as_json:
        echo_json(
            {name: {str(a): left, str(b): right, "difference": difference} for name, left, right, difference in rows}
        )
        return
    from tiffin.commands.model_views import comparison_lines

    _echo(comparison_lines(served.name, a, b, rows))


@models.command(
    short_help="Find what was changed or interrupted.",
    epilog=examples("tiffin models verify", "tiffin models verify model --repair"),
)
@click.argument("model", required=False, default="")
@click.option("--repair", is_flag=True, help="Finish or undo what was interrupted; put config and aliases right.")
@click.option("--no-mlflow", is_flag=True, help="Do not compare the aliases in MLflow.")
@installation_options
def verify(*, model: str, repair: bool, no_mlflow: bool, place: Installation, as_json: bool) -> int:
    """Check that the history was not changed, and that configs, files and MLflow's aliases are what it says.

    Without MODEL, all models are checked. Exit status: 0 all is right or was repaired, 1 something is not.
    """
    from tiffin.artifacts import documents
    from tiffin.commands.model_views import finding_lines
    from tiffin.governance.overview import load_history
    from tiffin.governance.verification import Finding, repair_config, verify_history
    from tiffin.local.registry import registry
    from tiffin.rollout.verification import repair_rollout, verify_rollout

    served = [place.find(model)] if model else [place.find(name) for name in place.models]
    if not served:
        raise InputError(
            f"There should be a model to verify. Received: the serving root '{place.root}', which has none."
        )
    status = 0
    for one in served:
        uri = "" if no_mlflow else place.tracking_uri
        with registry("repair" if repair else "verify", one, uri) as mlflow:
            findings = [*repair_rollout(one), *repair_config(one, author("repaired"))] if repair else []
            found = load_history(one)
            findings += [*verify_history(one, found), *verify_rollout(one, found)]
            try:
                aliases = mlflow.run().get("findings", [])
            except StorageError as error:
                aliases = [{"code": "NO_ANSWER", "record": 0, "text": f"The aliases were not compared. {error}"}]
            findings += [documents.convert(finding, Finding, "finding") for finding in aliases]
        if repair and any(finding.code == "ALIAS" and finding.repaired for finding in findings):
            findings = [finding for finding in findings if finding.code != "BEHIND"]
        status |= any(not finding.repaired for finding in findings)
        if as_json:
            echo_json({"model": one.name, "records": len(found.entries), "findings": documents.to_json(findings)})
        else:
            _echo(finding_lines(findings, one.name, len(found.entries)))
            if not uri and not no_mlflow:
                echo("The aliases were not compared: no MLflow. Pass --tracking-uri.", err=True)
    return status


def _look(served: ServedModel, address: str) -> "tuple[Overview, UnderWay | None]":
    """Return what is in production of a model, and the rollout that is under way."""
    from tiffin.governance.overview import overview
    from tiffin.rollout.overview import add_rollout

    return add_rollout(served, overview(served, address))


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        echo(line)


for _command in (*CHANGES, record):
    models.add_command(_command)
