"""Verify the rollout of a model, and finish what a process that was killed has left."""

from tiffin.errors import InputError
from tiffin.governance.verification import Finding
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.rollout.recording import is_recorded
from tiffin.rollout.settling import is_settled, settle
from tiffin.serving.history import History, read_history
from tiffin.serving.root import CANDIDATE, ROLLOUT, TRAFFIC, ServedModel

_UNFINISHED = (
    f"{CANDIDATE}, {TRAFFIC} or the history do not have what {ROLLOUT} says: a process ended before it wrote them, or they "
    "were changed by hand."
)


def verify_rollout(served: ServedModel, history: History) -> list[Finding]:
    """Return the faults of the rollout of a model, and of the files and records that follow from it; none without a rollout.

    Codes: `UNFINISHED` for files or records that were not written, `ROLLOUT` for a rollout that cannot go on.
    """
    try:
        rollout, _ = read_rollout(served)
    except InputError as error:
        text = (
            f"{ROLLOUT} cannot be read: {error} Restore it from a copy. Without one, remove it together with {TRAFFIC} and "
            f"{CANDIDATE}, so that the version in production answers all requests, and run: tiffin models verify "
            f"{served.name} --repair"
        )
        return [Finding("ROLLOUT", 0, text)]
    if rollout is None:
        return []
    found = []
    if not _is_settled(served, rollout) or not is_recorded(history, rollout):
        found.append(Finding("UNFINISHED", 0, _UNFINISHED))
    stands = history.standing.served
    if rollout.phase in ("starting", "running", "paused") and history.records and stands != rollout.stable:
        text = (
            f"The rollout of version {rollout.version} compares it with version {rollout.stable}, but version {stands} is in "
            f'production and answers all requests. End it with: tiffin rollout abort {served.name} --why "..."'
        )
        found.append(Finding("ROLLOUT", 0, text))
    return found


def repair_rollout(served: ServedModel) -> list[Finding]:
    """Write what follows from the rollout of a model; return what was repaired.

    Whether a rollout goes on is not decided here.
    """
    try:
        rollout, _ = read_rollout(served)
    except InputError:  # verify_rollout says so
        return []
    if rollout is None or (_is_settled(served, rollout) and is_recorded(read_history(served), rollout)):
        return []
    settle(served)
    return [Finding("UNFINISHED", 0, _UNFINISHED, "written")]


def _is_settled(served: ServedModel, rollout: Rollout) -> bool:
    try:
        return is_settled(served, rollout)
    except InputError:  # a file that somebody wrote by hand
        return False
