"""Changes of what is served: a record of the history each, and the stable config that follows from it.

Several processes may change a model at once. Each change is decided on the newest record and takes the next number, so that
it is decided again if another process was first.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tiffin import storage
from tiffin.errors import Conflict, InputError
from tiffin.governance.merging import merge
from tiffin.serving.history import (
    Action,
    Author,
    Config,
    Entry,
    History,
    Record,
    Standing,
    append,
    current_time,
    read_history,
)
from tiffin.serving.root import STABLE, ServedModel, State

# Attempts to change a model while other processes change it.
_ATTEMPTS = 20
# Changes of the config that may be under way at the same time.
_UNDER_WAY = 5

# Returns the versions after a change; None if there is nothing to change. Raises an error if the change is not allowed.
Decide = Callable[[History, State], Standing | None]


def pauses() -> Iterator[float]:
    """Yield the seconds to wait after each attempt; at random, so that processes do not wait for one another in step."""
    return (random.uniform(0, min(0.02 * 2**attempt, 1.0)) for attempt in range(_ATTEMPTS))  # noqa: S311


def change(
    served: ServedModel,
    author: Author,
    action: Action,
    version: int | None,
    decide: Decide,
    *,
    verdict: str = "",
    **fields: Any,
) -> Record | None:
    """Record a change and write the stable config that follows from it; return the record, or None without a change.

    Args:
        served: The model.
        author: Who makes the change, and why.
        action: What is done.
        version: Version that the change is about; None for none.
        decide: Returns the versions after the change. It is called again after another process made a change.
        verdict: Digest of the verdict of the version's evaluation. Defaults to that of its candidacy.
        fields: Other fields of the record.

    Raises:
        Conflict: Other processes made changes in all attempts, or the config was changed by hand meanwhile.
        StorageError: The serving root cannot be read or written.
    """
    made = _append(served, author, action, version, decide, verdict, fields)
    if made is None:
        return None
    record, history = made
    write_config(served, history)
    return record


def note(
    served: ServedModel, author: Author, action: Action, version: int, decide: Decide, **fields: Any
) -> Record | None:
    """Record what changes no version that is served; return the record, or None if it is not needed.

    No config is written: also of one that was changed by hand, something may be noted. The arguments are those of `change`.

    Raises:
        Conflict: Other processes made changes in all attempts.
        StorageError: The serving root cannot be read or written.
    """
    made = _append(served, author, action, version, decide, "", fields)
    return made[0] if made else None


def _append(
    served: ServedModel,
    author: Author,
    action: Action,
    version: int | None,
    decide: Decide,
    verdict: str,
    fields: dict[str, Any],
) -> tuple[Record, History] | None:
    """Append a record to the history; return it and the history with it, or None without a change."""
    for pause in pauses():
        state = served.read(STABLE)
        history = adopt(served, read_history(served), state)
        standing = decide(history, state)
        if standing is None:
            return None
        last = history.entries[-1] if history.entries else Entry(0, "", None)
        candidacy = history.candidacy(version) if version is not None else None
        verdict = verdict or (candidacy.verdict if candidacy else "")
        config = _config(served, history, state, action, standing)
        record = Record(
            last.number + 1, last.digest, current_time(), action, version, author, verdict, standing, config, **fields
        )
        try:
            append(served, record)
        except Conflict:
            time.sleep(pause)
            continue
        return record, history.followed_by(record)
    raise Conflict(
        f"The model '{served.name}' in '{served.root}' was changed by others in {_ATTEMPTS} attempts. Try again when fewer "
        "deployments run."
    )


def adopt(served: ServedModel, history: History, state: State) -> History:
    """Return the history; for a model without one, with the version of a config that was written without Tiffin."""
    if history.entries or not served.is_own(state) or not (versions := served.versions_in(state)):
        return history
    return History((), Standing(max(versions), (), None, None, (), 1))


def _config(served: ServedModel, history: History, state: State, action: Action, standing: Standing) -> Config | None:
    """Return the change of the stable config that leads to a standing; None if it stays as it is."""
    before = state[0].decode(errors="replace") if state else None
    if action != "repair" and _loaded(standing) == _loaded(history.standing):
        return None
    if action == "restore":
        # A config that was written by hand meanwhile is kept.
        return Config(before, base_config(history) if before in _recent(history) else before)
    return Config(before, config_of(served, standing))


def config_of(served: ServedModel, standing: Standing) -> str | None:
    """Return the content of the stable config for a standing, without versions whose files are gone."""
    kept, aside = (filter(served.has_files, versions) for versions in (standing.kept, standing.aside))
    content = served.make_config(standing.served, kept, aside)
    return content.decode() if content is not None else None


def _loaded(standing: Standing) -> tuple[object, ...]:
    return standing.served, standing.kept, standing.aside


def base_config(history: History) -> str | None:
    """Return the content of the stable config before the promotion that is under way."""
    changes = [record.config for record in history.records if record.config]
    now = settled = changes[0].before if changes else None
    for record in history.records:
        now = record.config.after if record.config else now
        settled = now if record.standing.incoming is None else settled
    return settled


def expected_config(history: History) -> Config | None:
    """Return the newest change of the stable config; None if there was none."""
    return next((record.config for record in reversed(history.records) if record.config), None)


def _recent(history: History) -> set[str | None]:
    """Return the contents of the stable config that changes under way may find."""
    recent = [record.config for record in history.records if record.config][-_UNDER_WAY:]
    return {text for config in recent for text in (config.before, config.after)}


def write_config(served: ServedModel, history: History | None = None) -> bool:
    """Bring the stable config in line with the newest record, and the configs of all models; return whether it was changed.

    It completes a change whose process ended after its record.

    Args:
        served: The model.
        history: Its history, if this process has written the newest record. Defaults to that in the serving root.

    Raises:
        Conflict: The config was changed by hand since, or by others in all attempts.
    """
    for pause in pauses():
        # Before the history, so that this one has the record of a config that was found.
        state = served.read(STABLE)
        is_own, history = history is not None, history or read_history(served)
        wanted, found = expected_config(history), state[0].decode(errors="replace") if state else None
        if wanted is None or found == wanted.after:
            merge(served.root)
            return False
        if found not in _recent(history):
            if is_own:
                # Another process has made its change, and written it, since this one's record.
                history = None
                continue
            raise Conflict(
                f"'{served.locate(STABLE)}' was changed by hand: its content is that of no record in the history. Put it "
                f"right with: tiffin models verify {served.name} --repair"
            )
        try:
            if wanted.after is not None:
                storage.compare_and_swap(served.locate(STABLE), wanted.after.encode(), state[1] if state else None)
            elif state:
                storage.compare_and_delete(served.locate(STABLE), state[1])
        except Conflict:
            history = None
            time.sleep(pause)
            continue
        merge(served.root)
        return True
    raise Conflict(f"'{served.locate(STABLE)}' was changed by others in {_ATTEMPTS} attempts. Try again.")


def finish_change(served: ServedModel) -> bool:
    """Write the configs if the process of the last change ended after its record; return whether one was written."""
    state, wanted = served.read(STABLE), expected_config(read_history(served))
    found = state[0].decode(errors="replace") if state else None
    if wanted is not None and found == wanted.before:
        return write_config(served)
    # A config that was changed by hand is not passed on.
    return (wanted is None or found == wanted.after) and bool(merge(served.root))


def check_files(served: ServedModel, version: int) -> None:
    """Raise an InputError unless a version has files in the serving root."""
    if not served.has_files(version):
        found = served.find_versions()
        known = f"those with files are {', '.join(map(str, found))}" if found else "no version has any"
        raise InputError(
            f"Version {version} of the model '{served.name}' has no files in '{served.root}': {known}. Deploy it with a "
            "pipeline, or choose another version."
        )


def without_incoming(history: History) -> Standing:
    """Return the versions as if the promotion that is under way had not begun."""
    before = (record.standing for record in reversed(history.records) if record.standing.incoming is None)
    keep = next(before, history.adopted).keep_previous
    return replace(history.standing, incoming=None, keep_previous=keep)


def without_candidate(standing: Standing, version: int) -> Standing:
    """Return a standing in which a version is no candidate."""
    return replace(standing, candidate=None) if standing.candidate == version else standing


def origin(record: Record) -> str:
    """Return why, by whom and when a change was made, in parentheses."""
    return f"({', '.join(filter(None, (record.author.why, record.author.who, record.at)))})"
