"""The version in production: the one that the stable servers answer requests with. Only read, never changed."""

from pathlib import Path

from tiffin import storage
from tiffin.errors import InputError
from tiffin.serving import model_config
from tiffin.serving.root import STABLE, ServedModel, resolve_root


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
