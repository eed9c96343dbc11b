"""The course of a rollout: who may change its phase, and to which.

    starting ─► running ◄─► paused
       │           │  │        │
       │           │  └────────┴─► promoting ─► ending ─► over (promoted)
       └───────────┴───────────────────────────► ending ─► over (aborted, inconclusive)

Each change is a compare-and-swap of `rollout.json`, and is followed by `settle`.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import replace

from tiffin.errors import Conflict, InputError
from tiffin.governance.approval import check_approved
from tiffin.governance.changes import adopt, check_files, pauses
from tiffin.governance.identity import check_person, check_reason
from tiffin.rollout.compatibility import check_signatures
from tiffin.rollout.document import Outcome, Rollout, current_time, read_rollout, write_rollout
from tiffin.rollout.plan import Limits, Step, Strategy, check_limits
from tiffin.rollout.settling import settle
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import STABLE, ServedModel

ANALYSIS = "analysis"

# Returns the rollout after a change, or the same one if there is nothing to change. Raises an error if it is not allowed.
Decide = Callable[[Rollout], Rollout]


def start(
    served: ServedModel,
    version: int,
    author: Author,
    *,
    strategy: Strategy,
    steps: tuple[Step, ...],
    limits: Limits | None = None,
    sticky: str = "",
    allow_signature_change: bool = False,
) -> Rollout:
    """Start a rollout, or go on with it if the same run has started it; return it.

    Args:
        served: The model.
        version: A version with files, which is not in production.
        author: Who starts it, and why.
        strategy: How the version gets there.
        steps: Its steps, as `make_steps` returns them.
        limits: What the candidate may be worse in. Defaults to `Limits()`.
        sticky: Header that divides the requests; empty to divide them at random.
        allow_signature_change: Whether the version may have other signatures than the one in production. Defaults to False.

    Raises:
        InputError: The version has no files, is not approved, is in production or has other signatures, or there is none in
            production.
        Conflict: Another rollout of the model is under way.
    """
    limits = limits or Limits()
    check_limits(limits, steps)
    check_person(author.who)
    found, _ = read_rollout(served)
    # Before all checks: when its process was killed, the version may have been in production already.
    if found and _is_of_run(found, version, author):
        return _settled(served)
    check_files(served, version)
    history = adopt(served, read_history(served), served.read(STABLE))
    check_approved(served, history, version)
    stable = history.standing.served
    if stable is None:
        raise InputError(
            f"The model '{served.name}' should have a version in production, which version {version} is compared with. "
            f'Received: none. Put it into service with: tiffin models promote {served.name} {version} --why "..."'
        )
    if stable == version:
        raise InputError(f"Version {version} of the model '{served.name}' is in production already.")
    if not allow_signature_change:
        check_signatures(served, stable, version)
    for pause in pauses():
        found, state = read_rollout(served)
        if found and not found.is_over:
            if _is_of_run(found, version, author):
                return _settled(served)
            raise _under_way(served, found)
        now = current_time()
        stamp = re.sub(r"[-:]|\+.*", "", now)
        rollout = Rollout(
            f"{version}-{stamp}-{os.urandom(2).hex()}", version, stable, strategy, steps, limits, sticky, author, now,
            "starting", "", 0, now, "", "",
        )  # fmt: skip
        try:
            write_rollout(served, rollout, state)
        except Conflict:
            time.sleep(pause)
            continue
        return _settled(served)
    raise _busy(served)


def _is_of_run(found: Rollout, version: int, author: Author) -> bool:
    """Return whether a rollout is under way that the same run has started."""
    return not found.is_over and bool(author.run) and (found.version, found.author) == (version, author)


def begin(served: ServedModel, identifier: str) -> Rollout:
    """Begin the first step, once the candidate servers have the version; without steps, promote it."""

    def decide(rollout: Rollout) -> Rollout:
        if rollout.phase != "starting":
            return rollout
        return _now(rollout, phase="running" if rollout.steps else "promoting")

    return change(served, identifier, decide)


def advance(served: ServedModel, identifier: str, step: int) -> Rollout:
    """Go on to the step after `step`, or promote the version after the last one."""

    def decide(rollout: Rollout) -> Rollout:
        if (rollout.phase, rollout.step) != ("running", step):
            return rollout
        if step + 1 < len(rollout.steps):
            return _now(rollout, step=step + 1)
        return _now(rollout, phase="promoting")

    return change(served, identifier, decide)


def pause(served: ServedModel, author: Author) -> Rollout:
    """Stay in the current step until `resume`; its requests go on as they are.

    Raises:
        InputError: No step is running.
    """
    return _decided(served, author, "pause", ("running",), phase="paused")


def resume(served: ServedModel, author: Author) -> Rollout:
    """Begin the current step anew after a pause.

    Raises:
        InputError: The rollout is not paused.
    """
    return _decided(served, author, "resume", ("paused",), phase="running")


def promote(served: ServedModel, author: Author) -> Rollout:
    """Promote the version without the remaining steps.

    Raises:
        InputError: No step is running or paused.
    """
    return _decided(served, author, "promote", ("running", "paused"), phase="promoting")


def abort(served: ServedModel, author: Author, outcome: Outcome = "aborted") -> Rollout:
    """End the rollout: the version in production answers all requests.

    Raises:
        InputError: The rollout is promoting the version, ends, or is over.
    """
    return _decided(served, author, "abort", ("starting", "running", "paused"), phase="ending", outcome=outcome)


def stop(served: ServedModel, identifier: str, outcome: Outcome, reason: str) -> Rollout:
    """End a rollout because of what was found: of a candidate that is worse, or with too little traffic, or promoted."""

    def decide(rollout: Rollout) -> Rollout:
        if rollout.phase in ("ending", "over"):
            return rollout
        return _now(rollout, phase="ending", outcome=outcome, reason=reason, by=ANALYSIS)

    return change(served, identifier, decide)


def close(served: ServedModel, identifier: str) -> Rollout:
    """Empty the candidate servers, once no request goes to them."""

    def decide(rollout: Rollout) -> Rollout:
        return _now(rollout, phase="over") if rollout.phase == "ending" else rollout

    return change(served, identifier, decide)


def change(served: ServedModel, identifier: str, decide: Decide) -> Rollout:
    """Change a rollout and write what follows from it; return it as it is afterwards.

    Args:
        served: The model.
        identifier: ID of the rollout: one that another has replaced is not changed.
        decide: Returns the rollout after the change. It is called again after another process made a change.

    Raises:
        InputError: There is no such rollout any more.
        Conflict: Others changed it in all attempts.
    """
    for wait in pauses():
        found, state = read_rollout(served)
        if found is None or found.id != identifier:
            raise InputError(
                f"The rollout '{identifier}' of the model '{served.name}' should be the last one. Received: "
                f"{f'another, {found.id}' if found else 'none'}. Nothing was changed."
            )
        changed = decide(found)
        try:
            if changed != found:
                write_rollout(served, changed, state)
        except Conflict:
            time.sleep(wait)
            continue
        return _settled(served)
    raise _busy(served)


def find_active(served: ServedModel) -> Rollout:
    """Return the rollout that is under way.

    Raises:
        InputError: None is.
    """
    found, _ = read_rollout(served)
    if found is None or found.is_over:
        last = f": that of version {found.version} ended {found.since} ({found.outcome})" if found else ""
        raise InputError(f"No rollout of the model '{served.name}' is under way{last}.")
    return found


def _decided(served: ServedModel, author: Author, verb: str, phases: tuple[str, ...], **changes: object) -> Rollout:
    check_person(author.who, "TIFFIN_USER")
    check_reason(author.why)
    identifier = find_active(served).id

    def decide(rollout: Rollout) -> Rollout:
        if rollout.phase not in phases:
            raise InputError(
                f"To {verb} a rollout, it should be {' or '.join(phases)}. Received: that of version {rollout.version} of the "
                f"model '{served.name}' is {rollout.phase} since {rollout.since}."
            )
        return _now(rollout, reason=author.why, by=author.who, **changes)

    return change(served, identifier, decide)


def _now(rollout: Rollout, **changes: object) -> Rollout:
    return replace(rollout, since=current_time(), **changes)  # type: ignore[arg-type]


def _settled(served: ServedModel) -> Rollout:
    rollout = settle(served)
    assert rollout is not None  # noqa: S101 - it was read or written before
    return rollout


def _under_way(served: ServedModel, found: Rollout) -> Conflict:
    return Conflict(
        f"A rollout of the model '{served.name}' is under way: version {found.version}, started by {found.author.who} at "
        f"{found.started}{f' ({found.author.why})' if found.author.why else ''}, {found.phase} since {found.since}. Wait for its "
        f'end, or end it with: tiffin rollout abort {served.name} --why "..."'
    )


def _busy(served: ServedModel) -> Conflict:
    return Conflict(f"The rollout of the model '{served.name}' was changed by others in all attempts. Try again.")
