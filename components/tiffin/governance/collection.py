"""Remove the files of versions that nothing needs any more."""

from dataclasses import dataclass, replace

from tiffin import storage
from tiffin.errors import InputError
from tiffin.governance.changes import change
from tiffin.serving import model_config
from tiffin.serving.history import Author, History, Standing, read_history
from tiffin.serving.root import CANDIDATE, STABLE, VERSIONS, ServedModel, State

# Versions of the history that are kept at least.
KEEP = 5


@dataclass(frozen=True)
class Kept:
    """A version with files.

    Attributes:
        version: Its number.
        size_bytes: Size of its files.
        why: Why it is kept; empty if it is to be removed.
    """

    version: int
    size_bytes: int
    why: str


def plan(served: ServedModel, keep: int = KEEP) -> list[Kept]:
    """Return the versions that have files, with the reason to keep each.

    A version is kept if a config names it, if it is the champion, on the way there, or left by a rollback and loaded, or if it
    is one of the last `keep` versions of the history.

    Args:
        served: The model.
        keep: Number of last versions in the history that are kept, at least 1. Defaults to 5.

    Raises:
        InputError: The model has no history, or a config cannot be read.
    """
    history = read_history(served)
    if not history.records:
        raise InputError(
            f"The model '{served.name}' has no history, so nothing tells which versions are needed. Nothing was removed."
        )
    return [Kept(version, _size(served, version), why) for version, why in _reasons(served, history, keep).items()]


def _reasons(served: ServedModel, history: History, keep: int) -> dict[int, str]:
    standing = history.standing
    named: dict[int, str] = {}
    for record in reversed(history.records):
        if record.version is not None and len(named) < keep:
            named.setdefault(record.version, f"one of the last {keep} in the history")
    for file in (CANDIDATE, STABLE):
        named |= dict.fromkeys(_configured(served, served.read(file)), f"{file} names it")
    roles = {
        "left by a rollback": standing.aside,
        "the previous version": (standing.previous,),
        "the candidate": (standing.candidate,),
        "being promoted": (standing.incoming,),
        "the champion": (standing.champion,),
    }
    for role, versions in roles.items():
        named |= {version: role for version in versions if version is not None}
    return {version: named.get(version, "") for version in served.find_versions()}


def _configured(served: ServedModel, state: State) -> list[int]:
    if not state:
        return []
    entries = model_config.read_config(state[0].decode(errors="replace")).model_config_list.config
    folder = served.locate(VERSIONS)
    return [version for one in entries if one.base_path == folder for version in model_config.specific_versions(one)]


def collect(served: ServedModel, author: Author, keep: int = KEEP) -> list[Kept]:
    """Remove the files of versions that nothing needs, and return what `plan` returns.

    The record is written first: a version in it can no longer be promoted, and the next call removes files that are left.
    """
    items = plan(served, keep)
    removed = tuple(item.version for item in items if not item.why)
    if not removed:
        return items

    def decide(history: History, _state: State) -> Standing:
        reasons = _reasons(served, history, keep)
        if any(reasons.get(version) for version in removed):
            raise InputError(
                f"The model '{served.name}' was changed at the same time, and a version is needed again. Nothing was removed. "
                "Try again."
            )
        standing = history.standing
        return replace(standing, earlier=tuple(version for version in standing.earlier if version not in removed))

    change(served, author, "collect", None, decide, collected=removed)
    for version in removed:
        storage.delete(served.locate(VERSIONS, str(version)))
    return items


def _size(served: ServedModel, version: int) -> int:
    return sum(file.size_bytes for file in storage.list_files(served.locate(VERSIONS, str(version))))
