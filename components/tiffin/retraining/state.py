"""The state of a model's retrainings, changed by compare-and-swap: of two runs that want to start at once, one does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.retraining import KEPT, STATE, Attempt, Outcome, Pause, RetrainingState
from tiffin.errors import Conflict, InputError

_ATTEMPTS = 8


def locate(home: str) -> str:
    """Return the location of the state in the folder of a model's monitoring."""
    return storage.join(home, STATE)


def read_state(uri: str, model: str) -> RetrainingState:
    """Read the state; a model without one has no retrainings.

    Raises:
        InputError: The file is no state.
        StorageError: It cannot be read.
    """
    found = storage.read(uri)
    return documents.parse(found[0], RetrainingState, uri) if found else RetrainingState(model)


def change(uri: str, model: str, decide: Callable[[RetrainingState], RetrainingState]) -> RetrainingState:
    """Change the state, and return it. A change to what it is writes nothing.

    Args:
        uri: Location of the state.
        model: Name of the model.
        decide: Returns the new state; called again if another process was first.

    Raises:
        InputError: The file is no state.
        Conflict: Other processes write it all the time.
        StorageError: It cannot be read or written.
    """
    for attempt in range(_ATTEMPTS):
        found = storage.read(uri)
        before = documents.parse(found[0], RetrainingState, uri) if found else RetrainingState(model)
        after = decide(before)
        if after == before:
            break
        try:
            storage.compare_and_swap(uri, documents.format_document(after), found[1] if found else None)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    return after


def with_started(state: RetrainingState, attempt: Attempt) -> RetrainingState:
    """Return the state with a retraining that starts; one of the same run goes on."""
    if any(one.run == attempt.run and one.outcome == "running" for one in state.attempts):
        return state
    return replace(state, attempts=(*state.attempts, attempt)[-KEPT:])


def with_expired(state: RetrainingState, now: datetime, expiry: timedelta) -> RetrainingState:
    """Return the state with an end of the retrainings that told none within a time."""
    end = now.astimezone(UTC).isoformat(timespec="seconds")
    attempts = tuple(
        replace(one, outcome="expired", ended=end, reason=f"its run {one.run} told no end")
        if one.outcome == "running" and now - datetime.fromisoformat(one.started) >= expiry
        else one
        for one in state.attempts
    )
    return replace(state, attempts=attempts)


def end(uri: str, model: str, run: str, outcome: Outcome, *, version: int, reason: str, now: datetime) -> bool:
    """Record the end of a run's retraining, and return whether there was one without an end.

    Args:
        uri: Location of the state.
        model: Name of the model.
        run: ID of the pipeline run.
        outcome: How it ended.
        version: Version that it registered; 0 without one.
        reason: Why, in one line.
        now: Time, with a zone.

    Raises:
        InputError: The file is no state.
        Conflict: Other processes write it all the time.
        StorageError: It cannot be read or written.
    """
    ended = now.astimezone(UTC).isoformat(timespec="seconds")
    found = False

    def decide(state: RetrainingState) -> RetrainingState:
        nonlocal found
        found = any(one.run == run and one.outcome == "running" for one in state.attempts)
        attempts = tuple(
            replace(one, outcome=outcome, ended=ended, new_version=version, reason=reason)
            if one.run == run and one.outcome == "running"
            else one
            for one in state.attempts
        )
        return replace(state, attempts=attempts)

    change(uri, model, decide)
    return found


def pause(uri: str, model: str, *, by: str, why: str, now: datetime) -> RetrainingState:
    """Stop all retrainings of a model that have not started, and return the state.

    Raises:
        InputError: They are paused already, or the file is no state.
        StorageError: The state cannot be read or written.
    """

    def decide(state: RetrainingState) -> RetrainingState:
        if state.paused:
            raise InputError(
                f"The retraining of '{model}' is paused since {state.paused.since} by {state.paused.by}. Nothing was changed."
            )
        return replace(state, paused=Pause(now.astimezone(UTC).isoformat(timespec="seconds"), by, why))

    return change(uri, model, decide)


def resume(uri: str, model: str) -> RetrainingState:
    """Allow retrainings of a model again, and return the state.

    Raises:
        InputError: They are not paused, or the file is no state.
        StorageError: The state cannot be read or written.
    """

    def decide(state: RetrainingState) -> RetrainingState:
        if not state.paused:
            raise InputError(f"The retraining of '{model}' is not paused. Nothing was changed.")
        return replace(state, paused=None)

    return change(uri, model, decide)
