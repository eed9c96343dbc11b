"""Find what the monitoring of a model compares with: of the version in production, or of a given one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tiffin import storage
from tiffin.artifacts.monitoring import FOLDER
from tiffin.artifacts.reference import Reference, write_reference
from tiffin.errors import InputError, StorageError
from tiffin.serving.history import read_history
from tiffin.serving.production import find_production, locate_root
from tiffin.serving.root import ServedModel
from tiffin.stages.reference import copies
from tiffin.stages.reference.parameters import check_version
from tiffin.tracking.names import check_model_name
from tiffin.tracking.uri import uri_of


@dataclass(frozen=True)
class _Served:
    """The version in production, and the MLflow run that it was registered by; empty if the history does not have it."""

    version: int
    run_id: str


def find_reference(
    output: str | Path,
    name: str,
    *,
    version: int = 0,
    serving_root: str = "",
    tracking_uri: str = "",
    state: str = "",
) -> Reference:
    """Write the reference artifact of a version, and return its reference.json.

    Args:
        output: Folder of the reference artifact.
        name: Name of the model.
        version: Version of the model, at least 1; 0 for the version in production, which the serving root decides, or without
            one, the alias `champion` in MLflow. Defaults to 0.
        serving_root: Path or URI of the serving root; empty for the environment variable TIFFIN_SERVING_ROOT.
        tracking_uri: MLflow tracking URI; empty for the environment variable MLFLOW_TRACKING_URI.
        state: Path or URI of the folder that keeps copies; empty for the model's folder of the prediction log at TIFFIN_LOG_ROOT.
            Without either, none are kept.

    Raises:
        InputError: A parameter is invalid, no version is in production, MLflow does not have the version, or nothing was
            stored with it.
        StorageError: MLflow did not respond within the retries, and there is no copy; or the serving root cannot be read.
    """
    check_model_name(name)
    check_version(version)
    uri = uri_of(tracking_uri)
    state = state or _beside_log(name)
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    served = _in_production(root, name) if root and not version else _Served(version, "")
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".reference-") as scratch:
        whole = Path(scratch, "reference")
        try:
            # MLflow takes seconds to import.
            from tiffin.stages.reference.registered import fetch

            found = _checked(fetch(uri, name, served.version, whole), served)
        except StorageError as error:
            found = _checked(copies.restore(state, name, served.version, whole, error), served)
        else:
            write_reference(whole, found)
            if state:
                found = replace(found, notes=(*found.notes, *copies.keep(state, found, whole)))
        write_reference(whole, found)
        if output.exists():
            shutil.rmtree(output)
        whole.rename(output)
    return found


def _beside_log(name: str) -> str:
    """Return the folder of the prediction log that has the state of a model's monitoring; empty without a log."""
    root = os.environ.get("TIFFIN_LOG_ROOT", "")
    return storage.join(root if "://" in root else str(Path(root).resolve()), name, FOLDER) if root else ""


def describe(reference: Reference) -> Iterator[str]:
    """Yield the lines of the step's log."""
    files = ", ".join(sorted(reference.files))
    yield f"reference of {reference.model} version {reference.version}: {files}"
    yield from (note.text for note in reference.notes)


def _in_production(serving_root: str, name: str) -> _Served:
    """Return the version that the stable servers load.

    Raises:
        InputError: The serving root does not exist, or no version of the model is in production.
        StorageError: The serving root cannot be read.
    """
    root = locate_root(serving_root)
    if root is None:
        raise InputError(
            f"serving_root should be a folder or a URI. Received: '{serving_root}', which does not exist here. Create it, or "
            "mount its volume for this step too."
        )
    served = ServedModel(root, name)
    version, _ = find_production(served)
    if version is None:
        raise InputError(
            f"A version of model '{name}' should be in production. Received: none in the serving root '{serving_root}'. Deploy "
            "one, or set version to one that is registered."
        )
    candidacy = read_history(served).candidacy(version)
    return _Served(version, candidacy.lineage.mlflow_run if candidacy and candidacy.lineage else "")


def _checked(reference: Reference, served: _Served) -> Reference:
    """Return a reference, if it is of the model that is served."""
    if served.run_id and reference.run_id != served.run_id:
        raise InputError(
            f"Version {served.version} of '{reference.model}' in MLflow at '{reference.tracking}' should be of the run "
            f"{served.run_id}, which registered the version in production. Received: the run {reference.run_id}. Set "
            "tracking_uri to the MLflow that the model was registered in, or deploy a version of this one."
        )
    return reference
