"""Remove old runs, and unused data versions and results, of a state folder.

    <state>/runs/<run>/                 a run: artifacts, logs and run.json
    <state>/.runs.lock                  shared lock of every run in progress
    <state>/**/<version>/complete.json  a data version, if a run's data_root is inside the state folder
    <state>/results/*/*/*/result.json   statistics or a model, for later runs to reuse

Everything else stays: the MLflow database and its models, the serving root, the model server's files and the record of
notifications. Links are not followed, so that nothing outside the state folder is removed.
"""

import contextlib
import datetime
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.artifacts.examples import COMPLETE, MANIFEST
from tiffin.artifacts.results import RESULT, RESULTS, REUSED, read_result
from tiffin.errors import InputError, StorageError
from tiffin.local.records import find_runner, list_runs, read_record, taken
from tiffin.local.serving import serving_root
from tiffin.serving.model_config import read_config, specific_versions
from tiffin.serving.root import CANDIDATE, STABLE, model_of
from tiffin.storage.files import explained

_LOCK = ".runs.lock"
# Folders of the state folder that hold no data versions.
_OTHERS = {"runs", "serving", "mlflow", "server", "notifications", RESULTS}


@dataclass(frozen=True)
class Item:
    """A run, a data version or a result.

    Attributes:
        path: Path relative to the state folder.
        kind: `run`, `data` or `result`.
        size_bytes: Size of its files.
        age_days: Days since the run started; None for others.
        kept: Why it is kept; empty if it is to be removed.
    """

    path: str
    kind: str
    size_bytes: int
    age_days: float | None
    kept: str = ""


@contextlib.contextmanager
def in_progress(state: Path) -> Iterator[None]:
    """Mark a run as in progress during the block, so that `clean` keeps it. Waits while `clean` removes files."""
    lock = _open_lock(state)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def idle(state: Path) -> Iterator[bool]:
    """Yield whether no run is in progress; if so, none starts during the block.

    Raises:
        InputError: `runs` is a link.
    """
    runs = state / "runs"
    if runs.is_symlink():
        raise InputError(
            f"'{runs}' should be a folder. Received: a link to '{runs.resolve()}'. Clean that folder instead."
        )
    lock = _open_lock(state)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _open_lock(state: Path) -> int:
    path = state / _LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with explained("open", path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def plan(state: Path, keep: int, older_than_days: float, *, is_idle: bool, now: datetime.datetime) -> list[Item]:
    """Return all runs, oldest first, all data versions and all results, with the reason to keep each.

    Args:
        state: The state folder.
        keep: Number of newest runs to keep.
        older_than_days: Minimum age of a run to remove, in days.
        is_idle: Whether no run is in progress.
        now: The current time, with a time zone.

    Raises:
        InputError: A configuration of the serving root cannot be read.
    """
    folders = list_runs(state)
    served = _served(state)
    items, texts, runs = [], [], set[str]()
    for number, (start, folder) in enumerate(folders):
        age = (now - start).total_seconds() / 86_400
        record = read_record(folder)
        live = sorted(_models(record) & served) if record else []
        if find_runner(folder) is not None:
            kept = "it is in progress"
        elif record is None and not is_idle:
            kept = "it may be in progress"
        elif live:
            kept = "its model is served: " + ", ".join(f"{name} version {version}" for name, version in live)
        elif number >= len(folders) - keep:
            kept = f"one of the {keep} newest"
        elif age < older_than_days:
            kept = f"newer than {older_than_days:g} days"
        else:
            kept = ""
        items.append(Item(f"runs/{folder.name}", "run", size_of(folder), round(age, 2), kept))
        texts += _manifests(folder) if kept else []
        runs |= {folder.name, *_reused_runs(record)} if kept else set()
    for folder in _data_versions(state):
        # The manifest of a run has the absolute paths of the shards.
        used = any(json.dumps(f"{folder}/", ensure_ascii=False)[1:-1] in text for text in texts)
        kept = "a run that is kept uses it" if used else "" if is_idle else "a run is in progress"
        items.append(Item(str(folder.relative_to(state)), "data", size_of(folder), None, kept))
    for folder in sorted((state / RESULTS).glob("*/*/*/")):
        used = _maker(folder) in runs
        kept = "a run that is kept made or reused it" if used else "" if is_idle else "a run is in progress"
        items.append(Item(str(folder.relative_to(state)), "result", size_of(folder), None, kept))
    return items


def remove(state: Path, items: Iterable[Item]) -> list[Item]:
    """Remove runs, data versions and results, and return what was removed: all but runs that are being retried.

    Raises:
        StorageError: A file cannot be removed.
    """
    removed = []
    for item in items:
        path = state / item.path
        with explained("remove", path), taken(path) if item.kind == "run" else contextlib.nullcontext(True) as is_taken:
            if is_taken:
                shutil.rmtree(path)
                removed.append(item)
    return removed


def size_of(folder: Path) -> int:
    """Return the size of the files below a folder in bytes, without the targets of links."""
    return sum(os.lstat(os.path.join(path, name)).st_size for path, _, names in os.walk(folder) for name in names)


def _reused_runs(record: dict[str, Any] | None) -> set[str]:
    """Return the IDs of the runs whose results a run reused."""
    notes = (record or {}).get("notes") or []
    return {note["example"] for note in notes if note["code"] == REUSED}


def _maker(folder: Path) -> str:
    """Return the ID of the run that made a result; empty if its record cannot be read."""
    with contextlib.suppress(InputError, StorageError):
        return read_result(folder / RESULT).run
    return ""


def _models(record: dict[str, Any]) -> set[tuple[str, int]]:
    found = [record.get("model"), *(record.get("models") or {}).values()]
    return {(model["name"], model["version"]) for model in found if model}


def _served(state: Path) -> set[tuple[str, int]]:
    """Return the models that the serving root's configurations name.

    Raises:
        InputError: A configuration cannot be read.
    """
    served = set()
    root = serving_root(state)
    for path in [*root.glob(f"*/{STABLE}"), *root.glob(f"*/{CANDIDATE}")]:
        try:
            entries = read_config(path.read_text(errors="replace")).model_config_list.config
        except InputError as error:
            raise InputError(f"Could not find out which models are served from '{path}'. {error}") from None
        served |= {(model_of(model.name), version) for model in entries for version in specific_versions(model)}
    return served


def _manifests(folder: Path) -> list[str]:
    found = [Path(path, MANIFEST) for path, _, names in os.walk(folder) if MANIFEST in names]
    return [path.read_text(errors="replace") for path in found if not path.is_symlink()]


def _data_versions(state: Path) -> list[Path]:
    found = []
    for path, folders, names in os.walk(state):
        if Path(path) == state:
            folders[:] = [name for name in folders if name not in _OTHERS]
        if COMPLETE in names and _version_in(Path(path, COMPLETE)) == os.path.basename(path):
            found.append(Path(path))
            folders.clear()
    return sorted(found)


def _version_in(file: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return str(json.loads(file.read_bytes())["version"])
    return None
