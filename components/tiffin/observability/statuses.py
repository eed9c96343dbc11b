"""The statuses of the models below the root of a prediction log, and the states of their retrainings."""

import glob
from collections.abc import Callable
from typing import TypeVar

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring_status import STATUS, Status
from tiffin.artifacts.retraining import STATE, RetrainingState
from tiffin.errors import InputError, TiffinError

_Document = TypeVar("_Document")


def find_statuses(root: str, folder: str, note: Callable[[TiffinError], None] | None = None) -> dict[str, Status]:
    """Return the status of each model, by name.

    Args:
        root: Path or URI with a folder for each model.
        folder: Folder of a model that has its status; empty for the model's own.
        note: Receives the error of a status that cannot be read, which is then left out. Defaults to None: it is raised.

    Raises:
        InputError: A status cannot be read, or the root is no location.
        StorageError: The location cannot be listed.
    """
    return _find(root, folder, STATUS, Status, note)


def find_retrainings(
    root: str, folder: str, note: Callable[[TiffinError], None] | None = None
) -> dict[str, RetrainingState]:
    """Return the state of the retrainings of each model that has one, by name; see `find_statuses`."""
    return _find(root, folder, STATE, RetrainingState, note)


def _find(
    root: str, folder: str, name: str, kind: type[_Document], note: Callable[[TiffinError], None] | None
) -> dict[str, _Document]:
    # Not the whole log: it has a file for each minute.
    parts = ["*", *filter(None, [folder]), name]
    try:
        files = storage.list_files("/".join([glob.escape(root.rstrip("/")), *parts]))
    except InputError:  # no model has one
        storage.exists(root)  # raises if it is no location at all
        return {}
    found = {}
    for file in files:
        try:
            content = storage.read(file.uri)
            if content:
                found[file.uri.split("/")[-len(parts)]] = documents.parse(content[0], kind, file.uri)
        except TiffinError as error:
            if note is None:
                raise
            note(error)
    return dict(sorted(found.items()))
