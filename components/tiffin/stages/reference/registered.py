"""What MLflow has of a registered version: the files of its reference, fetched into a folder."""

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.model import TRAINING, Training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import FILES, FOLDER, Reference
from tiffin.artifacts.verdict import VERDICT, Evaluation
from tiffin.errors import InputError, StorageError
from tiffin.governance.aliases import find_aliases
from tiffin.masking import masked

# Sets up MLflow before the first import of it.
from tiffin.tracking.client import client_of, unless_missing

# isort: split
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tiffin.tracking import database, faults

_CHAMPION = "champion"
# Versions, the highest ones, that an error names.
_LISTED = 20

_Document = TypeVar("_Document")


def fetch(uri: str, name: str, version: int, folder: Path) -> Reference:
    """Fetch the files of a version's reference, and return what its reference.json has.

    Args:
        uri: MLflow tracking URI.
        name: Name of the model.
        version: Version, at least 1; 0 for the one with the alias `champion`.
        folder: New folder for the files.

    Raises:
        InputError: MLflow does not have the version, or nothing was stored with it.
        StorageError: MLflow did not respond within the retries, or rejected a request.
    """

    def attempt() -> Reference:
        with client_of(uri) as client:
            found = _find(client, uri, name, version or _champion(client, uri, name))
            # A file of an attempt that failed is not one of the next.
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetched-") as scratch:
                whole = Path(scratch, FOLDER)
                whole.mkdir()
                _download(client, found, whole)
                reference = _describe(uri, found, whole)
                whole.rename(folder)
            return reference

    with faults.explained(uri, "read from"):
        database.check_driver(uri)
        return faults.retried(attempt, uri)


def _champion(client: MlflowClient, uri: str, name: str) -> int:
    version = find_aliases(client, name).get(_CHAMPION)
    if version is None:
        raise InputError(
            f"A version of model '{name}' should be in production. Received: MLflow at '{uri}' has "
            f"{_versions(client, name)}, and none with the alias {_CHAMPION}; serving_root is not set. Set it to that of the "
            "model servers, or set version."
        )
    return version


def _find(client: MlflowClient, uri: str, name: str, version: int) -> ModelVersion:
    found = unless_missing(lambda: client.get_model_version(name, str(version)))
    if found is None:
        raise InputError(
            f"version should be a registered one. Received: version {version} of '{name}', and MLflow at '{uri}' has "
            f"{_versions(client, name)}. Choose one of these, or register the model again."
        )
    return found


def _versions(client: MlflowClient, name: str) -> str:
    """Return which versions of a model there are, for an error message."""
    numbers: list[int] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        numbers += [int(version.version) for version in page]
        token = page.token
        if not token:
            break
    if not numbers:
        return "no version of it"
    listed = ", ".join(map(str, sorted(numbers)[-_LISTED:]))
    more = f" and {len(numbers) - _LISTED} lower ones" if len(numbers) > _LISTED else ""
    return f"the version{'s' * (len(numbers) > 1)} {listed}{more}"


def _download(client: MlflowClient, version: ModelVersion, folder: Path) -> None:
    """Download the files that MLflow has of a version.

    An earlier Tiffin stored two of them in other places: the verdict in the run, and the record of the training in the model.
    """
    run = unless_missing(partial(client.get_run, version.run_id)) if version.run_id else None
    places = [(run.info.artifact_uri, FOLDER, FILES), (run.info.artifact_uri, "evaluation", (VERDICT,))] if run else []
    for uri, place, names in (*places, (version.source, None, (TRAINING,))):
        if not uri or all((folder / name).exists() for name in names):
            continue
        # Not the client's own method, whose errors do not tell whether another attempt may succeed.
        store = get_artifact_repository(uri, tracking_uri=client.tracking_uri)
        listed = unless_missing(partial(store.list_artifacts, place)) or []
        for name in _wanted(listed, names, folder):
            _put(partial(store.download_artifacts, f"{place}/{name}" if place else name), folder / name)


def _wanted(listed: Iterable[Any], names: Iterable[str], folder: Path) -> list[str]:
    """Return those of the names that a listing has as files, and that are not in the folder yet."""
    there = {PurePosixPath(entry.path).name for entry in listed if not entry.is_dir}
    return [name for name in names if name in there and not (folder / name).exists()]


def _put(download: Callable[[str], str], target: Path) -> None:
    """Download a file into a folder of its own, and move it to `target`: a listing cannot name another place."""
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix=".file-") as scratch:
        found = Path(download(scratch))
        if found.is_symlink() or not found.is_file() or not found.resolve().is_relative_to(Path(scratch).resolve()):
            raise StorageError(f"'{target.name}' in MLflow should be a file. Received: something else at its place.")
        found.rename(target)


def _describe(uri: str, version: ModelVersion, folder: Path) -> Reference:
    name, number = version.name, int(version.version)
    there = [file for file in FILES if (folder / file).exists()]
    where = f"of {name} version {number} in MLflow"
    training = _parse(folder / TRAINING, Training, where)
    known = training or _parse(folder / VERDICT, Evaluation, where)
    if known is None:
        raise InputError(
            f"version should be one that Tiffin registered. Received: version {number} of '{name}' in MLflow at "
            f"'{uri}', with neither {TRAINING} nor {VERDICT}. Register the model again."
        )
    return Reference(
        model=name,
        version=number,
        run_id=version.run_id or "",
        tracking=masked(uri),
        data_version=known.data_version,
        schema_digest=training.schema_digest if training else "",
        label=training.label if training else "",
        task=known.task,
        classes=known.classes or (),
        files={file: storage.digest(folder / file) for file in there},
        notes=_missing(name, number, [file for file in FILES if file not in there]),
    )


def _parse(path: Path, kind: type[_Document], where: str) -> _Document | None:
    return documents.parse(path.read_bytes(), kind, f"{path.name} {where}") if path.exists() else None


def _missing(name: str, version: int, files: list[str]) -> tuple[Note, ...]:
    if not files:
        return ()
    text = (
        f"version {version} of {name} was registered without {', '.join(files)}, so nothing can be compared with them: register "
        "it again with examples, statistics and schema"
    )
    return (Note("REFERENCE_INCOMPLETE", text, count=len(files)),)
