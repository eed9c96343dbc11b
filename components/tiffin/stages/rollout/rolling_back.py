"""Return to the version that was in production before, in a step of a pipeline."""

import os
from pathlib import Path

from tiffin.artifacts.rollback import Rollback, write_rollback
from tiffin.errors import InputError, ServingError
from tiffin.governance.acceptance import accept
from tiffin.governance.aliases import follow_or_warn
from tiffin.governance.identity import check_person, find_account, person_or_account
from tiffin.governance.promotion import check_in_service, roll_back
from tiffin.printing import printable
from tiffin.serving.history import Author, Record, read_history
from tiffin.serving.root import ServedModel, resolve_root
from tiffin.stages.rollout.parameters import check_leaving


def roll_back_to_previous(
    output: str | Path,
    name: str,
    version: int = 0,
    *,
    why: str,
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 120.0,
    requested_by: str = "",
    tracking_uri: str = "",
    run: str = "",
) -> Rollback:
    """Return to the previous champion of a model, and write what was done.

    Args:
        output: Folder of the rollback artifact.
        name: Name of the model.
        version: Version that is expected in production, and that is left. Defaults to 0: the one in production.
        why: Reason.
        serving_root: Path or URI; empty for the environment variable TIFFIN_SERVING_ROOT.
        serving_address: `host:port` of the server that should answer with the version before; empty for the environment variable
            TIFFIN_SERVING_ADDRESS. Without either, none is asked.
        deadline_seconds: Time for the server to answer, in seconds. Defaults to 120.
        requested_by: Person who asked for the run; empty for the service account of the pod.
        tracking_uri: MLflow tracking URI, for the aliases; empty for the environment variable MLFLOW_TRACKING_URI.
        run: Pipeline run ID, with which a retry finds its rollback.

    Raises:
        InputError: There is no earlier version, or another one than `version` is in production.
        Conflict: Another change was first.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    if not root:
        raise InputError(
            "serving_root should be the path or gs:// URI that the model servers load from. Received: serving_root='', and "
            "TIFFIN_SERVING_ROOT is not set. Set one of them."
        )
    check_leaving(version)
    check_person(requested_by)
    served = ServedModel(resolve_root(root), name)
    made = _find_made(served, version, run)
    is_new = made is None
    author = Author(person_or_account(requested_by), " ".join(why.split())[:1000], find_account(), run)
    record = made or roll_back(served, author, leaving=version or None)
    target = record.standing.champion
    assert target is not None  # noqa: S101 - a rollback has a target
    problem, address = "", serving_address or os.environ.get("TIFFIN_SERVING_ADDRESS", "")
    if address:
        try:
            accept(address, served, target, None, deadline_seconds, lambda: check_in_service(served, target))
        except ServingError as error:
            # The serving root has the version: servers load it as soon as they can.
            problem = str(error)
    left = version or next(iter(record.standing.aside), 0)
    found = Rollback(name, left, target, record.author.why, record.author.who, record.at, is_new, problem)
    write_rollback(output, found)
    for line in (*follow_or_warn(served, tracking_uri), found.sentence):
        print(printable(line), flush=True)  # noqa: T201 - the step's log
    return found


def _find_made(served: ServedModel, version: int, run: str) -> Record | None:
    """Return the rollback that an earlier attempt of the same run made, if it still holds."""
    newest = read_history(served).newest
    is_own = newest and run and newest.action == "rollback" and newest.author.run == run
    return newest if newest and is_own and version in (0, *newest.standing.aside) else None
