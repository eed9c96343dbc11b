"""Promotion: a version is served, and becomes the champion once a server has answered with it; and the way back.

    promote   the stable config has the version; the champion is still the one before
    confirm   the version is the champion, and the one before it the previous one
    restore   the version did not answer: the config is what it was

Between `promote` and the two others, a process may end. A retry of the same promotion goes on with it. Any other promotion
and a rollback start from the champion, as if it had not begun.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.governance.approval import check_approved
from tiffin.governance.changes import (
    adopt,
    change,
    check_files,
    finish_change,
    origin,
    without_candidate,
    without_incoming,
    write_config,
)
from tiffin.printing import printable
from tiffin.serving.history import Action, Author, History, Record, Standing, read_history
from tiffin.serving.root import STABLE, VERSIONS, ServedModel, State

# Earlier champions that a record keeps.
_EARLIER = 20


@contextlib.contextmanager
def promoting(
    served: ServedModel,
    version: int,
    author: Author,
    *,
    new: bool = False,
    replace_newer: bool = False,
    keep_previous: int | None = None,
) -> Iterator[Callable[[], None]]:
    """Serve a version during the block, make it the champion after it, and go back if the block fails.

    Args:
        served: The model.
        version: A version with files.
        author: Who promotes it, and why.
        new: Whether its files were published for this promotion; they are then removed if the block fails.
        replace_newer: Allow replacing a newer version. Defaults to False.
        keep_previous: Number of earlier champions that stay loaded from now on. Defaults to that of the candidacy, or to the
            number so far.

    Yields:
        A function that raises a Conflict if another change took the version out of service meanwhile.

    Raises:
        InputError: The version has no files, or is not approved.
        Conflict: A newer version is served, or another change took this one out of service.
    """
    try:
        _start(served, version, author, replace_newer, keep_previous)
        yield lambda: check_in_service(served, version)
        _confirm(served, version, author)
    except BaseException as error:
        _withdraw(served, version, author, str(error), new)
        raise


def _start(served: ServedModel, version: int, author: Author, replace_newer: bool, keep_previous: int | None) -> None:
    """Put a version into service, or go on with its promotion."""
    replaced: list[int | None] = []

    def decide(history: History, state: State) -> Standing | None:
        standing = history.standing
        replaced.append(standing.served)
        check_files(served, version)
        check_approved(served, history, version)
        # A newer version that another process promoted meanwhile is not the one that may be replaced.
        if not (replace_newer and replaced[0] == standing.served):
            check_newest(served, version, history, state)
        if version == standing.served:
            return None
        candidacy = history.candidacy(version)
        chosen = (keep_previous, candidacy.keep_previous if candidacy else None, standing.keep_previous)
        keep = next(number for number in chosen if number is not None)
        incoming = None if standing.champion == version else version
        return replace(standing, incoming=incoming, keep_previous=keep)

    if change(served, author, "promote", version, decide) is None:
        # Of a promotion that ended after its record.
        write_config(served)


def _confirm(served: ServedModel, version: int, author: Author) -> None:
    def decide(history: History, _state: State) -> Standing | None:
        standing = history.standing
        if standing.incoming != version:
            if standing.champion == version and standing.incoming is None:
                return None
            raise _replaced(served, version, history)
        before = () if standing.champion is None else (standing.champion,)
        earlier = [one for one in (*before, *standing.earlier) if one != version][:_EARLIER]
        done = replace(standing, champion=version, earlier=tuple(earlier), incoming=None, aside=())
        return without_candidate(done, version)

    change(served, author, "confirm", version, decide)


def _withdraw(served: ServedModel, version: int, author: Author, why: str, new: bool) -> None:
    """Undo a promotion if it is still under way, and remove the files of a new version.

    A failure is logged, since it must not hide the error that led here.
    """

    def decide(history: History, _state: State) -> Standing | None:
        standing = history.standing
        # Also if another process began the promotion: it was killed, or its version does not answer either.
        after = without_incoming(history) if version == standing.incoming else standing
        # A version without files is no candidate.
        after = without_candidate(after, version) if new else after
        return after if after != standing else None

    try:
        change(served, replace(author, why=f"rolled back: {why}"), "restore", version, decide)
        standing = read_history(served).standing
        if new and version not in (standing.served, standing.champion, *standing.earlier):
            storage.delete(served.locate(VERSIONS, str(version)))
    except StorageError as failure:
        print(printable(f"Could not restore {STABLE}: {failure}"), flush=True)  # noqa: T201 - the step's log


def check_newest(served: ServedModel, version: int, history: History, state: State) -> None:
    """Raise a Conflict if a newer version than `version` is served.

    Of two pipeline runs, the one that trained first may deploy last, and would replace the newer model by accident.
    """
    found = [*served.versions_in(state), history.standing.served or 0]
    newest = max(found, default=0)
    if newest > version:
        raise Conflict(
            f"Version {version} of model '{served.name}' cannot replace the newer version {newest}"
            f"{_origin(history, newest)} in '{served.locate(STABLE)}'. Deploy a newer version, or set replace_newer=true to "
            "go back on purpose."
        )


def check_in_service(served: ServedModel, version: int) -> None:
    """Raise a Conflict if the stable config does not serve a version any more."""
    state = served.read(STABLE)
    if max(served.versions_in(state), default=None) != version:
        raise _replaced(served, version, read_history(served))


def _replaced(served: ServedModel, version: int, history: History) -> Conflict:
    promotions = [record.number for record in history.about(version) if record.action in ("promote", "confirm")]
    later = [record for record in history.records if record.number > max(promotions, default=0)]
    by = next((record for record in later if record.standing.served not in (version, None)), None)
    how = f"by version {by.standing.served} {origin(by)}" if by else "by no version: its entry was removed"
    return Conflict(
        f"Version {version} of model '{served.name}' was replaced {how} in '{served.locate(STABLE)}', before the server had "
        "answered. The other change was kept. To serve this version, deploy it again."
    )


def _origin(history: History, version: int) -> str:
    """Return why, by whom and when a version was put into service; empty if the history does not have it."""
    actions = ("promote", "rollback", "confirm")
    found = next((record for record in reversed(history.about(version)) if record.action in actions), None)
    return f" {origin(found)}" if found else ""


def roll_back(served: ServedModel, author: Author, to: int | None = None, leaving: int | None = None) -> Record:
    """Return to the previous champion, and return the record.

    The version that it leaves stays loaded under the name `<model>@<version>` until `unload`, or until another version is
    promoted. A promotion that is under way is abandoned: the champion is served again. A rollback whose process ended before
    it wrote the config is completed instead of going back one more version.

    Args:
        served: The model.
        author: Who rolls back, and why.
        to: An earlier champion. Defaults to the previous one.
        leaving: Version that is expected to be in service. Defaults to any.

    Raises:
        InputError: There is no earlier champion, it has no files, or the version in service is not `leaving`.
        Conflict: Another change was first.
    """
    done = _finish(served, "rollback")
    if done and to in (None, done.version) and leaving in (None, *done.standing.aside):
        return done
    found = adopt(served, read_history(served), served.read(STABLE)).standing
    target = _target(served, found, to)
    if leaving is not None and leaving != found.served:
        raise InputError(
            f"--from should be the version in service, {found.served}. Received: {leaving}. Nothing was changed."
        )

    def decide(history: History, _state: State) -> Standing:
        standing = history.standing
        if standing.served != found.served or _target(served, standing, to) != target:
            # Otherwise two persons who roll back at once would go back two versions.
            by = f" {origin(history.newest)}" if history.newest else ""
            raise Conflict(
                f"The model '{served.name}' was changed at the same time: version {standing.served} is served{by}. Nothing "
                "else was changed."
            )
        check_files(served, target)
        earlier = standing.earlier
        if target in earlier:
            earlier = earlier[earlier.index(target) + 1 :]
        aside = tuple(version for version in (standing.served,) if version and served.has_files(version))
        before = without_incoming(history) if standing.incoming else standing
        return replace(before, champion=target, earlier=earlier, aside=aside)

    made = change(served, author, "rollback", target, decide)
    assert made is not None  # noqa: S101 - decide returns a standing
    return made


def _finish(served: ServedModel, action: Action) -> Record | None:
    """Complete a change whose process ended before it wrote the config; return its record if it was this action."""
    newest = read_history(served).newest if finish_change(served) else None
    return newest if newest and newest.action == action else None


def _target(served: ServedModel, standing: Standing, to: int | None) -> int:
    """Return the version that a rollback returns to."""
    places = standing.earlier
    if standing.incoming is not None and standing.champion is not None:
        places = (standing.champion, *places)
    if not places:
        serving = (
            f"version {standing.served} is served, and none was before it" if standing.served else "none is served"
        )
        raise InputError(f"The model '{served.name}' has no earlier version to roll back to: {serving}.")
    if to is not None and to not in places:
        raise InputError(
            f"--to should be an earlier champion of the model '{served.name}': {', '.join(map(str, places))}. "
            f'Received: {to}. For any other version, use: tiffin models promote {served.name} {to} --replace-newer --why "..."'
        )
    return places[0] if to is None else to


def unload(served: ServedModel, author: Author) -> Record | None:
    """Drop the versions that rollbacks left loaded; return the record, or None if there are none."""

    def decide(history: History, _state: State) -> Standing | None:
        return replace(history.standing, aside=()) if history.standing.aside else None

    return _finish(served, "unload") or change(served, author, "unload", None, decide)
