"""Copies of references, which monitoring uses while MLflow does not respond.

<state>/references/<model>/<version>/    reference.json and the files beside it
"""

import shutil
from dataclasses import replace
from pathlib import Path

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import FILES, Reference
from tiffin.artifacts.run_files import REFERENCE
from tiffin.errors import Conflict, InputError, StorageError

_REFERENCES = "references"


def keep(state: str, reference: Reference, folder: Path) -> tuple[Note, ...]:
    """Keep a copy of a reference artifact in place of an earlier one; return a note if that fails.

    Args:
        state: Path or URI of the folder that keeps copies.
        reference: The reference.json of the artifact.
        folder: Folder of the artifact.

    Raises:
        InputError: The location is not one that can be written.
    """
    home = _locate(state, reference.model, reference.version)
    try:
        try:
            # The same content again does nothing.
            storage.publish_folder(folder, home)
        except Conflict:
            storage.delete(home)
            storage.publish_folder(folder, home)
    except OSError as error:
        text = f"no copy was kept for the time when MLflow does not respond: {error}"
        return (Note("REFERENCE_NOT_KEPT", text, example=home),)
    return ()


def restore(state: str, name: str, version: int, folder: Path, failure: StorageError) -> Reference:
    """Fetch a copy of a reference artifact, and return its reference.json with a note on why it is used.

    Args:
        state: Path or URI of the folder that keeps copies; empty for none.
        name: Name of the model.
        version: Version; 0 if it is unknown, since MLflow would have to name it.
        folder: New folder for the files.
        failure: Why MLflow could not be read.

    Raises:
        StorageError: There is no copy, or it cannot be used: the failure, and the reason.
    """
    if not state:
        raise failure
    if not version:
        raise StorageError(
            f"{failure} Which version is in production, only MLflow knows, since serving_root is not set: the copies in "
            f"'{state}' are of a version each. Set serving_root, or version."
        ) from failure
    home = _locate(state, name, version)
    try:
        found = _fetch(home, name, version, folder)
    except (InputError, StorageError) as error:
        raise StorageError(f"{failure} The copy in '{home}' cannot be used: {error}") from failure
    if found is None:
        raise StorageError(f"{failure} There is no copy in '{home}' yet.") from failure
    note = Note(
        "REFERENCE_FROM_COPY", f"the reference is a copy, since MLflow did not respond: {failure}", example=home
    )
    return replace(found, notes=(*found.notes, note))


def _locate(state: str, name: str, version: int) -> str:
    root = state if "://" in state else str(Path(state).resolve())
    return storage.join(root, _REFERENCES, name, str(version))


def _fetch(home: str, name: str, version: int, folder: Path) -> Reference | None:
    state = storage.read(storage.join(home, REFERENCE))
    if state is None:
        return None
    reference = documents.parse(state[0], Reference, storage.join(home, REFERENCE))
    if (reference.model, reference.version) != (name, version):
        raise StorageError(
            f"it should be of version {version} of '{name}'. Received: version {reference.version} of '{reference.model}'."
        )
    folder.mkdir()
    for file, expected in sorted(reference.files.items()):
        if file not in FILES:
            raise StorageError(f"its files should be among {', '.join(FILES)}. Received: '{file}'.")
        with storage.local_copy(storage.join(home, file)) as path:
            shutil.copyfile(path, folder / file)
        if (received := storage.digest(folder / file)) != expected:
            raise StorageError(f"'{file}' should have the SHA-256 {expected}. Received: {received}.")
    return reference
