"""Deploy a registered model version and verify it with one prediction."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tiffin import storage
from tiffin.artifacts.deployment import Deployment, write_deployment
from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import read_training, saved_model
from tiffin.errors import InputError, ServingError
from tiffin.serving import Client, warmup
from tiffin.serving.outputs import plain
from tiffin.serving.root import STABLE, ServedModel, resolve_root
from tiffin.stages.deploy.parameters import check_deadline, check_version


def deploy(
    model: str | Path,
    examples: str | Path,
    output: str | Path,
    name: str,
    version: int,
    *,
    serving_root: str = "",
    address: str = "",
    deadline_seconds: float = 120.0,
    why: str = "",
    replace_newer: bool = False,
) -> Deployment:
    """Deploy a model version, wait until the server serves it, request one prediction, and return the deployment.

    On failure, the configuration is restored and the version's files are removed. The history records both changes.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact, which has the sample rows for warm-up and test prediction.
        output: Folder of the deployment artifact.
        name: Name of the model.
        version: Version number, at least 1; the name of its folder.
        serving_root: Path or URI; empty for the environment variable TIFFIN_SERVING_ROOT.
        address: `host:port` of the model server's gRPC API; empty for the environment variable TIFFIN_SERVING_ADDRESS.
        deadline_seconds: Time for the server to load the version and answer, in seconds, above 0. Defaults to 120.
        why: Reason recorded in the history.
        replace_newer: Allow replacing a newer version. Defaults to False.

    Raises:
        InputError: A parameter or an artifact is invalid.
        Conflict: A newer version is deployed, or replaced this one before the server had answered.
        ServingError: The server did not serve the version in time, or the prediction is not finite.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    address = address or os.environ.get("TIFFIN_SERVING_ADDRESS", "")
    for parameter, value, variable, rule in (
        ("serving_root", root, "TIFFIN_SERVING_ROOT", "the path or gs:// URI that the model servers load from"),
        ("serving_address", address, "TIFFIN_SERVING_ADDRESS", "host:port of the model server's gRPC API"),
    ):
        if not value:
            raise InputError(
                f"{parameter} should be {rule}. Received: {parameter}='', and {variable} is not set. Set one of them."
            )
    check_version(version)
    check_deadline(deadline_seconds)
    served = ServedModel(resolve_root(root), name)
    if not replace_newer:
        served.check_newest(version, served.read(STABLE))
    rows = read_sample_rows(examples, read_training(model).columns)

    new = _publish(saved_model(model), served, version, rows)
    with served.in_service(version, why, new=new, replace_newer=replace_newer):
        answer = _test(address, served, version, rows[0], deadline_seconds)
        deployment = Deployment(name, version, address, served.locate(STABLE), answer)
        write_deployment(output, deployment)
    return deployment


def _publish(saved_model: Path, served: ServedModel, version: int, rows: list[dict[str, Any]]) -> bool:
    """Publish the SavedModel with warm-up requests made from the rows, and return whether the version is new."""
    if not (saved_model / "saved_model.pb").is_file():
        raise InputError(
            f"model should contain '{saved_model.name}/saved_model.pb'. Received: '{saved_model.parent}' without it. "
            "Pass the model output of the training step."
        )
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, saved_model.name)
        # Not shutil.copytree: its errors do not name the full disk.
        storage.publish_folder(saved_model, str(copy))
        warmup.write_warmup(copy, served.name, rows, signature_names=warmup.find_names(copy))
        return served.publish(copy, version)


def _test(
    address: str, served: ServedModel, version: int, row: dict[str, Any], deadline_seconds: float
) -> dict[str, Any]:
    """Wait until the server serves the version, and return its prediction for the row."""
    end = time.monotonic() + deadline_seconds
    name = served.name

    def check() -> None:
        served.check_in_service(version)

    with Client(address) as client:
        client.wait_until_available(name, version, timeout_seconds=deadline_seconds, check=check)
        try:
            found = client.predict(
                name,
                {column: [value] for column, value in row.items()},
                version=version,
                timeout_seconds=max(1.0, end - time.monotonic()),
            )
        except ServingError:
            check()  # the server unloads a version that was replaced
            raise
    answer = {key: np.asarray(np.asarray(value)[0]) for key, value in found.items()}
    for key, value in answer.items():
        if np.issubdtype(value.dtype, np.number) and not np.isfinite(value).all():
            raise ServingError(
                f"Predictions should be finite. Received: {key}={value} from {name} version {version} at {address}. "
                "Check the training losses: the model may have diverged.",
                code="DATA_LOSS",
            )
    return {key: plain(value.tolist()) for key, value in sorted(answer.items())}
