"""The end of a retraining in the state of its model, by which the next one is decided."""

from datetime import UTC, datetime

from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.retraining import Outcome
from tiffin.artifacts.summary import Summary
from tiffin.errors import InputError, StorageError
from tiffin.retraining import state
from tiffin.tracking.log import print_line


def end_retrainings(summary: Summary) -> None:
    """Record how the retrainings of a run ended, and print it. An error is a warning: the retraining expires then."""
    for one in summary.retrainings.values():
        if not one.starts:
            continue
        outcome, version = find_outcome(summary)
        try:
            is_new = state.end(
                one.state, one.model, one.run, outcome, version=version, reason=summary.reason, now=datetime.now(UTC)
            )
        except (InputError, StorageError) as error:
            print_line(f"{WARNING}The end of the retraining was not recorded. {error}")
            continue
        if is_new:
            print_line(f"retraining of '{one.model}': {outcome}")


def find_outcome(summary: Summary) -> tuple[Outcome, int]:
    """Return how the retraining of a run ended, and the version that it registered; 0 without one."""
    version = summary.model.version if summary.model else 0
    rollouts = [step.rollout for step in summary.steps.values() if step.rollout]
    if summary.state == "WAITING":
        return "waiting", version
    if summary.stopped_by:
        return "rejected", version
    if summary.state != "SUCCEEDED":
        return "failed", version
    return ("promoted" if rollouts else "deployed"), version
