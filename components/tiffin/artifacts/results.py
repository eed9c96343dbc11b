"""Finished results of steps, kept in a store and found again by the digest of what went into them.

KFP's own cache compares the names of input artifacts. These are new for each run of an uncached step such as ingest, so a
step behind it never finds its earlier result there.

<store>/results/<step>/<key>/<content>/    files of the result
                              result.json  what went in, the run that made it, and the digest of each file

A key may start with the name of what the result is about, such as a data version: `find_about` finds it by that name alone.

A result never changes. A step that runs anew adds another one, and the newest is reused.
"""

import datetime
import hashlib
import importlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note
from tiffin.errors import InputError, StorageError
from tiffin.version import __version__

RESULT = "result.json"
RESULTS = "results"
# Code of the note about a reused result; its example is the ID of the run that made it.
REUSED = "REUSED"
# Environment variable with the store of steps that are given none; local runs set it to the state folder.
VARIABLE = "TIFFIN_RESULT_STORE"


@dataclass(frozen=True)
class Result:
    """A kept result.

    Attributes:
        step: Name of the component.
        key: Digest of `inputs`, after the name of what the result is about if it has one: `<about>-<digest>`.
        inputs: What the result was made from, such as `data_version` and `code`.
        run: ID of the run that made it; empty if unknown.
        created: When it was made: UTC in ISO 8601 format.
        files: Path of each file, relative to the result's folder, to the SHA-256 of its content.
    """

    step: str
    key: str
    inputs: dict[str, str]
    run: str
    created: str
    files: dict[str, str]


def obtain(
    step: str,
    inputs: Mapping[str, str],
    output: Path,
    make: Callable[[], object],
    *,
    about: str = "",
    store: str = "",
    reuse: bool = True,
    run: str = "",
) -> tuple[Note, ...]:
    """Fill the folder `output` with the result that a store has for these inputs, or make it and keep it there.

    A store that cannot be read or written does not fail the step: a note says so.

    Args:
        step: Name of the component.
        inputs: What the result depends on: name to digest or value.
        output: Folder of the output artifact.
        make: Writes the result to `output`.
        about: Name that `find_about` finds the result by, whatever else went into it. Defaults to none.
        store: Folder or URI of the store; empty for the environment variable TIFFIN_RESULT_STORE. If that is not set
            either, nothing is reused or kept.
        reuse: Whether to reuse a result. If False, the new result is kept and reused from then on.
        run: ID of the run.

    Returns:
        A note with the code REUSED, RESULT_NOT_READ or RESULT_NOT_KEPT, if there is something to tell.
    """
    store = store or os.environ.get(VARIABLE, "")
    if not store:
        make()
        return ()
    key, notes = f"{about}-{key_of(inputs)}" if about else key_of(inputs), list[Note]()
    home = storage.join(_home(store, step), key)
    if reuse:
        found, unread = _fetch_newest(home, output)
        notes += unread
        if found is not None:
            return (*notes, _reused(found))
    make()
    try:
        _keep(home, step, key, inputs, output, run)
    except OSError as error:
        notes.append(Note("RESULT_NOT_KEPT", f"not kept for reuse: {error}", example=home))
    return tuple(notes)


def find_about(step: str, about: str, output: Path, *, store: str = "") -> tuple[bool, tuple[Note, ...]]:
    """Fill the folder `output` with the newest result that a store has about something, also of other code.

    Args:
        step: Name of the component.
        about: What the result is about, as `obtain` was told.
        output: Folder to fill.
        store: Folder or URI of the store; empty for the environment variable TIFFIN_RESULT_STORE.

    Returns:
        Whether there is one, and a note with the code RESULT_NOT_READ for each one that cannot be read.
    """
    store = store or os.environ.get(VARIABLE, "")
    if not store:
        return False, ()
    found, unread = _fetch_newest(_home(store, step), output, f"{about}-")
    return found is not None, tuple(unread)


def _home(store: str, step: str) -> str:
    return storage.join(store if "://" in store else str(Path(store).resolve()), RESULTS, step)


def key_of(inputs: Mapping[str, str]) -> str:
    """Return the digest of a result's inputs: the first 32 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest()[:32]


def digest_code(packages: Iterable[str], distributions: Iterable[str]) -> str:
    """Return a digest of the code that makes a result.

    Args:
        packages: Packages of Tiffin whose modules take part.
        distributions: Installed distributions whose version takes part, such as `tensorflow`.
    """
    digest = hashlib.sha256(__version__.encode())
    for name in packages:
        folder = Path(importlib.import_module(name).__path__[0])
        for path in sorted(folder.glob("*.py")):
            digest.update(f"\0{name}/{path.name}\0".encode() + path.read_bytes())
    for name in distributions:
        digest.update(f"\0{name}=={importlib.metadata.version(name)}".encode())
    return digest.hexdigest()[:16]


def read_result(location: str | Path) -> Result:
    """Read a result.json.

    Raises:
        InputError: The file is missing or is not such a document.
    """
    found = storage.read(str(location))
    if found is None:
        raise InputError(f"No '{RESULT}' at '{location}'.")
    return documents.parse(found[0], Result, location)


def _reused(result: Result) -> Note:
    origin = f"run {result.run}" if result.run else "an earlier run"
    return Note(
        REUSED,
        f"reused from {origin}: same data, parameters and code; reuse=false makes it anew",
        example=result.run,
    )


def _fetch_newest(home: str, output: Path, start: str = "") -> tuple[Result | None, list[Note]]:
    """Copy the newest whole result at `home` to `output` and return it, with a note per one that cannot be read.

    Only results count whose key begins with `start`.
    """
    found, notes = list[tuple[Result, str]](), list[Note]()
    try:
        uris = [uri for uri in storage.find(home, {RESULT}) if uri.split("/")[-3].startswith(start)]
    except StorageError as error:
        return None, [_not_read(home, error)]
    for uri in uris:
        try:
            found.append((read_result(uri), uri))
        except (StorageError, InputError) as error:
            notes.append(_not_read(uri, error))
    for result, uri in sorted(found, key=lambda one: (one[0].created, one[1]), reverse=True):
        try:
            _fetch(uri.removesuffix(f"/{RESULT}"), result, output)
        except (StorageError, InputError) as error:
            notes.append(_not_read(uri, error))
        else:
            return result, notes
    return None, notes


def _not_read(uri: str, error: Exception) -> Note:
    return Note("RESULT_NOT_READ", f"an earlier result is not reused: {error}", example=uri)


def _fetch(folder: str, result: Result, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".result-") as scratch:
        whole = Path(scratch, "result")
        for name, expected in sorted(result.files.items()):
            # `join` refuses a name that leaves the folder.
            target = Path(storage.join(str(whole), name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.local_copy(storage.join(folder, name)) as path:
                shutil.copyfile(path, target)
            if (received := storage.digest(target)) != expected:
                raise StorageError(
                    f"'{name}' in '{folder}' should have the SHA-256 {expected}. Received: {received}. Delete the folder."
                )
        if output.exists():
            shutil.rmtree(output)
        whole.chmod(0o755)
        whole.rename(output)


def _keep(home: str, step: str, key: str, inputs: Mapping[str, str], output: Path, run: str) -> None:
    names = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    digests = {name: storage.digest(output / name) for name in names}
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    result = Result(step, key, dict(inputs), run, created, digests)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".result-") as scratch:
        whole = Path(scratch, "result")
        shutil.copytree(output, whole)
        # At the top, so that it is uploaded last and marks the result as complete.
        documents.write(whole / RESULT, result)
        content = hashlib.sha256(json.dumps([run, created, digests]).encode()).hexdigest()[:16]
        storage.publish_folder(whole, storage.join(home, content))
