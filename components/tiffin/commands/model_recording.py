"""`tiffin models record`: what the prediction log keeps of a model."""

from typing import Any

import click

from tiffin.commands.installation import Installation, installation_options
from tiffin.commands.options import examples
from tiffin.commands.output import echo, echo_json


@click.command(
    short_help="Show or change what the prediction log keeps.",
    epilog=examples(
        "tiffin models record model",
        "tiffin models record model --share 0.1 --keep-days 90",
        "tiffin models record model --omit input.name --hash key",
        "tiffin models record model --omit ''",
    ),
)
@click.argument("model", required=False, default="")
@click.option("--share", type=float, metavar="SHARE", help="Share of the requests to record, from 0 to 1.")
@click.option(
    "--omit", multiple=True, metavar="COLUMN", help="Leave out input.NAME, output.NAME or key. Repeatable; '' for none."
)
@click.option(
    "--hash",
    "hashed",
    multiple=True,
    metavar="COLUMN",
    help="Store only a keyed hash of input.NAME, output.NAME or key. Repeatable; '' for none.",
)
@click.option("--keep-days", type=int, metavar="DAYS", help="Days to keep the log; 0 for ever.")
@installation_options
def record(
    *,
    model: str,
    share: float | None,
    omit: tuple[str, ...],
    hashed: tuple[str, ...],
    keep_days: int | None,
    place: Installation,
    as_json: bool,
) -> int:
    """Show what the prediction log keeps of MODEL, or change it.

    --omit and --hash replace the columns that were set before. The recorder takes changes over within a minute; what is in the
    log stays as it is. It hashes with the secret in its variable TIFFIN_LOG_KEY; without one, it leaves these columns out.
    """
    from tiffin.artifacts.documents import to_json
    from tiffin.governance.merging import merge
    from tiffin.serving.recording import change_recording, read_recording

    served = place.find(model)
    changes: dict[str, Any] = {"share": share, "keep_days": keep_days, "omit": _columns(omit), "hash": _columns(hashed)}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes:
        change_recording(served, **changes)
        merge(served.root)
    found = read_recording(served)[0]
    if as_json:
        echo_json({"model": served.name, **to_json(found)})
        return 0
    echo(f"{served.name}: the prediction log has {found.share:.4g} of the requests (1 is all).")
    echo(f"left out: {', '.join(found.omit) or 'nothing'}")
    echo(f"hashed:   {', '.join(found.hash) or 'nothing'}")
    echo(f"kept:     {f'{found.keep_days} days' if found.keep_days else 'for ever'}")
    return 0


def _columns(names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the columns of an option; None if it was not given."""
    return tuple(dict.fromkeys(filter(None, names))) if names else None
