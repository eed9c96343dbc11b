"""The files of the version in production, or of another one: read from the serving root, and never changed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tiffin import storage
from tiffin.errors import InputError, did_you_mean
from tiffin.serving import model_config
from tiffin.serving.root import STABLE, VERSIONS, ServedModel, find_models, resolve_root


def locate_root(location: str) -> str | None:
    """Return a serving root to read from, as an absolute path or a URI; None for a folder that does not exist here.

    A volume that is mounted for other steps only would look like a root without models.

    Args:
        location: Path or URI of the serving root.
    """
    if "://" in location:
        # resolve_root refuses S3, which TensorFlow Serving cannot read; here, any store will do.
        return location
    return resolve_root(location) if Path(location).is_dir() else None


def find_production(served: ServedModel) -> tuple[int | None, str]:
    """Return the version that the stable config names, and the location of its SavedModel; None and empty without one.

    Raises:
        InputError: The config cannot be read, or names a folder without versions.
        StorageError: The serving root cannot be read.
    """
    state = served.read(STABLE)
    entry = (
        model_config.find_model(model_config.read_config(state[0].decode(errors="replace")), served.name)
        if state
        else None
    )
    if entry is None:
        return None, ""
    versions = model_config.specific_versions(entry)
    if not versions:
        # The server's own policy: the highest number.
        found = {
            file.uri[len(entry.base_path) :].strip("/").partition("/")[0]
            for file in storage.list_files(entry.base_path)
        }
        versions = [int(folder) for folder in found if folder.isdecimal()]
    if not versions:
        raise InputError(f"No versions in '{entry.base_path}', which '{served.locate(STABLE)}' names.")
    return max(versions), storage.join(entry.base_path, str(max(versions)))


def open_root(location: str) -> str:
    """Return a serving root that is only read, as an absolute path or a URI.

    Raises:
        InputError: There is no such folder.
    """
    if "://" in location:
        # TensorFlow Serving cannot read from S3, which `resolve_root` refuses; here, any store will do.
        return location.rstrip("/")
    root = resolve_root(location)
    if not Path(root).is_dir():
        raise InputError(
            f"serving_root should be the folder that the model servers load from. Received: '{location}', which does not exist "
            "here. Check the path, or mount its volume for this step too."
        )
    return root


def find_saved_model(served: ServedModel, version: int = 0) -> tuple[int, str]:
    """Return a version and the location of its SavedModel.

    Args:
        served: The model.
        version: Number of a version with files, in production or not; 0 for the one in production. Defaults to 0.

    Raises:
        InputError: There is no such model or version, or no version is in production.
        StorageError: The serving root cannot be read.
    """
    if version:
        if not served.has_files(version):
            known = ", ".join(map(str, served.find_versions()))
            raise InputError(
                f"model_version should be a version of the model '{served.name}' with files in '{served.root}'"
                f"{f': {known}' if known else ''}. Received: {version}.{'' if known else _others(served)}"
            )
        return version, served.locate(VERSIONS, str(version))
    found, location = find_production(served)
    if found is None:
        raise InputError(
            f"No version of the model '{served.name}' is in production in '{served.root}'.{_others(served)} Deploy one, or pass "
            "the number of a version."
        )
    return found, location


def _others(served: ServedModel) -> str:
    names = find_models(served.root)
    if served.name in names or not names:
        return ""
    return did_you_mean(served.name, names) or f" Its models are: {', '.join(names[:10])}."


@contextlib.contextmanager
def local_folder(location: str) -> Iterator[Path]:
    """Yield the folder of a SavedModel on local disk: itself, or a temporary copy of a URI."""
    if "://" not in location:
        yield Path(location)
        return
    with tempfile.TemporaryDirectory(prefix="tiffin-") as scratch:
        for file in storage.list_files(location):
            target = Path(scratch, *file.uri[len(location) :].strip("/").split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.local_copy(file.uri) as copy:
                shutil.copyfile(copy, target)
        yield Path(scratch)
