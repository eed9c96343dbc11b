"""The aliases `champion`, `previous` and `candidate` in MLflow, which follow the history of a model.

    <serving root>/<model>/aliases.json   number of the record that MLflow was last brought in line with

MLflow may be down while a model is rolled back. The served version does not wait for it: the aliases are behind until the
next change, or `tiffin models verify --repair`. Each time, the number and the digest of the newest record are written to the
tag `tiffin.history` of the registered model, so that records removed from the serving root are noticed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.logs import WARNING
from tiffin.errors import Conflict, InputError, TiffinError
from tiffin.masking import masked
from tiffin.serving.history import History, Standing, read_history
from tiffin.serving.root import ServedModel

ALIASES = "aliases.json"
NAMES = ("champion", "previous", "candidate")
TAG = "tiffin.history"
# Attempts to bring MLflow in line while the model changes.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Cursor:
    """What MLflow was last told.

    Attributes:
        record: Number of the newest record then.
        digest: Its digest.
        aliases: The aliases that were set: name to version.
    """

    record: int
    digest: str
    aliases: dict[str, int]


@dataclass(frozen=True)
class Followed:
    """What was done in MLflow.

    Attributes:
        aliases: The aliases now: name to version.
        moved: Aliases that were changed: name to the version before and after; None for no version.
        by_hand: Aliases that others had moved since the last time: name to the version that was found.
        absent: Versions of the serving root that MLflow does not have, so that their aliases are not set.
    """

    aliases: dict[str, int]
    moved: dict[str, tuple[int | None, int | None]]
    by_hand: dict[str, int | None]
    absent: tuple[int, ...] = ()


def expected_aliases(standing: Standing) -> dict[str, int]:
    """Return the aliases of a standing: name to version."""
    found = {"champion": standing.champion, "previous": standing.previous, "candidate": standing.candidate}
    return {name: version for name, version in found.items() if version is not None}


def read_cursor(served: ServedModel) -> Cursor | None:
    """Return what MLflow was last told; None if it was told nothing, or if the file cannot be read."""
    found = served.read(ALIASES)
    try:
        return documents.parse(found[0], Cursor, served.locate(ALIASES)) if found else None
    except InputError:
        return None


def is_behind(history: History, cursor: Cursor | None) -> bool:
    """Return whether the aliases have changed since the record that MLflow was last told."""
    told = next((record for record in history.records if cursor and record.number == cursor.record), None)
    return told is not None and expected_aliases(told.standing) != expected_aliases(history.standing)


def follow(served: ServedModel, tracking_uri: str) -> Followed:
    """Set the aliases in MLflow to those of the history.

    Args:
        served: The model.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.

    Raises:
        InputError: There is no tracking URI, or it is invalid.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """
    from tiffin.tracking.uri import uri_of

    uri = uri_of(tracking_uri)
    # MLflow takes seconds to import. This module sets it up before the first import of it.
    from tiffin.tracking.client import client_of

    # isort: split
    from tiffin.tracking import database, faults

    def attempt() -> Followed:
        with client_of(uri) as client:
            return _follow(client, served)

    with faults.explained(uri):
        database.check_driver(uri)
        return faults.retried(attempt, uri)


def _follow(client: Any, served: ServedModel) -> Followed:
    moved: dict[str, tuple[int | None, int | None]] = {}
    by_hand: dict[str, int | None] = {}
    for _ in range(_ATTEMPTS):
        history = read_history(served)
        if not history.entries:
            return Followed({}, {}, {})
        newest = history.entries[-1]
        found, wanted = find_aliases(client, served.name), expected_aliases(history.standing)
        absent = _absent(client, served.name, set(wanted.values()))
        wanted = {name: version for name, version in wanted.items() if version not in absent}
        if not moved:
            by_hand = _by_hand(read_cursor(served), found)
        for name in NAMES:
            if found.get(name) == wanted.get(name):
                continue
            if name in wanted:
                client.set_registered_model_alias(served.name, name, str(wanted[name]))
            else:
                client.delete_registered_model_alias(served.name, name)
            moved[name] = (found.get(name), wanted.get(name))
        if len(absent) < len(set(wanted.values()) | absent):
            client.set_registered_model_tag(served.name, TAG, f"{newest.number}:{newest.digest}")
        _write_cursor(served, Cursor(newest.number, newest.digest, wanted))
        # Another process may have made a change meanwhile, and set the aliases before this one did.
        if read_history(served).entries[-1].number == newest.number:
            return Followed(wanted, moved, by_hand, tuple(sorted(absent)))
    raise Conflict(f"The model '{served.name}' was changed by others in {_ATTEMPTS} attempts. Try again.")


def describe(name: str, followed: Followed) -> list[str]:
    """Return what was done in MLflow, one line each."""
    lines = []
    for alias, found in followed.by_hand.items():
        where = f"to version {found}" if found else "to no version"
        wanted = f"version {followed.aliases[alias]}" if alias in followed.aliases else "no version"
        lines.append(f"The alias {alias} of {name} in MLflow had been moved by hand {where}; it is now of {wanted}.")
    moved = [f"{alias} {f'version {after}' if after else 'removed'}" for alias, (_, after) in followed.moved.items()]
    if moved:
        lines.append(f"aliases in MLflow: {', '.join(moved)}")
    if followed.absent:
        versions = ", ".join(map(str, followed.absent))
        lines.append(f"MLflow does not have version {versions} of {name}, so its alias was not set.")
    return lines


def follow_or_warn(served: ServedModel, tracking_uri: str) -> list[str]:
    """Set the aliases in MLflow, if there is a tracking URI, and return what was done, one line each.

    An error is a warning: what is served has changed, and the next change moves them.
    """
    from tiffin.tracking.uri import has_uri

    if not has_uri(tracking_uri):
        return []
    try:
        lines = describe(served.name, follow(served, tracking_uri))
    except TiffinError as error:
        lines = [
            f"{WARNING}The aliases in MLflow were not moved. {error} They follow with the next change, or with: "
            f"tiffin models verify {served.name} --repair"
        ]
    return [masked(line) for line in lines]


def _by_hand(cursor: Cursor | None, found: Mapping[str, int]) -> dict[str, int | None]:
    if cursor is None:
        return {}
    return {name: found.get(name) for name in NAMES if found.get(name) != cursor.aliases.get(name)}


def find_aliases(client: Any, name: str) -> dict[str, int]:
    """Return the aliases of Tiffin that a registered model has: name to version; none if MLflow lacks the model."""
    from tiffin.tracking.client import unless_missing

    model = unless_missing(lambda: client.get_registered_model(name))
    return {alias: int(version) for alias, version in model.aliases.items() if alias in NAMES} if model else {}


def _absent(client: Any, name: str, versions: set[int]) -> set[int]:
    from tiffin.tracking.client import unless_missing

    return {
        version
        for version in versions
        if unless_missing(lambda version=version: client.get_model_version(name, str(version))) is None  # type: ignore[misc]
    }


def _write_cursor(served: ServedModel, cursor: Cursor) -> None:
    """Write what MLflow was told, unless another process wrote a later one."""
    content = documents.format_document(cursor)
    state = served.read(ALIASES)
    try:
        if state is None or state[0] != content:
            storage.compare_and_swap(served.locate(ALIASES), content, state[1] if state else None)
    except Conflict:  # the other process writes what it set
        return
