"""What the history says about a rollout: that it started, and why it ended without a promotion. A promotion has records itself.

The records follow from `rollout.json`, as other files do. Whoever settles a rollout writes those that are missing, so that
each is written once, whoever is killed.
"""

from dataclasses import replace

from tiffin.governance.changes import note, without_candidate
from tiffin.rollout.document import Rollout
from tiffin.rollout.plan import Step
from tiffin.serving.history import Action, History, Standing
from tiffin.serving.root import ServedModel, State


def record(served: ServedModel, rollout: Rollout) -> None:
    """Write the records of a rollout that its model's history lacks.

    A candidate that is aborted is not the model's candidate any more; after an inconclusive rollout it waits as before.

    Raises:
        Conflict: Other processes made changes in all attempts.
        StorageError: The serving root cannot be read or written.
    """
    for action in _actions(rollout):
        _record(served, rollout, action)


def is_recorded(history: History, rollout: Rollout) -> bool:
    """Return whether a history has the records of a rollout."""
    return all(_has(history, rollout, action) for action in _actions(rollout))


def _actions(rollout: Rollout) -> tuple[Action, ...]:
    if rollout.is_over:
        # The process that ended it wrote them before. One that an earlier Tiffin ended has none.
        return ()
    ends: dict[str, tuple[Action, ...]] = {"aborted": ("abort",), "inconclusive": ("inconclusive",)}
    return ("rollout", *ends.get(rollout.outcome, ()))


def _has(history: History, rollout: Rollout, action: Action) -> bool:
    return any((one.rollout, one.action) == (rollout.id, action) for one in history.records)


def _record(served: ServedModel, rollout: Rollout, action: Action) -> None:
    def decide(history: History, _state: State) -> Standing | None:
        if _has(history, rollout, action):
            return None
        standing = history.standing
        return without_candidate(standing, rollout.version) if action == "abort" else standing

    author = replace(rollout.author, why=_why_started(rollout))
    if action != "rollout":
        author = replace(rollout.author, who=rollout.by, why=_why_ended(rollout))
    note(served, author, action, rollout.version, decide, rollout=rollout.id)


def _why_started(rollout: Rollout) -> str:
    steps = ", ".join(map(_describe, rollout.steps))
    plan = f"{rollout.strategy}{f': {steps}' if steps else ''}"
    return f"{rollout.author.why} ({plan})" if rollout.author.why else plan


def _why_ended(rollout: Rollout) -> str:
    """Return why a rollout ended without a promotion, in which step, and after how many requests of the candidate."""
    if rollout.progress is None:
        return f"{rollout.reason}, before the first look"
    step, tally = rollout.steps[rollout.step], rollout.progress.candidate.tally
    where = f"in step {rollout.step + 1} of {len(rollout.steps)} ({_describe(step)})"
    return f"{rollout.reason}, {where}, after {tally.requests:,} requests, of which {tally.errors:,} failed"


def _describe(step: Step) -> str:
    return f"copies of {step.mirror:g} %" if step.mirror else f"{step.weight:g} %"
