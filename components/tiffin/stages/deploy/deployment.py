"""Put a registered model into service, and ask the server one real prediction."""

import math
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tiffin import storage
from tiffin.artifacts.deployment import Deployment, write_deployment
from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import read_training, saved_model
from tiffin.errors import Conflict, InputError, ServingError
from tiffin.serving import Client, model_config, warmup
from tiffin.serving.root import STABLE, ServedModel, State, resolve_root


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
    """Deploy a model version, wait until the server serves it, ask it one real prediction, and return the deployment.

    Where that fails, the configuration goes back to what it was and the version's files are removed. The history tells both
    changes.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact, for the row to ask about.
        output: Folder of the deployment artifact.
        name: Of the model.
        version: At least 1; the name of its folder.
        serving_root: Path or URI; empty for the environment's TIFFIN_SERVING_ROOT.
        address: `host:port` of the model server's gRPC; empty for the environment's TIFFIN_SERVING_ADDRESS.
        deadline_seconds: How long the server may take, above 0. Defaults to 120.
        why: For the history.
        replace_newer: Whether the version may take the place of a newer one. Defaults to False.

    Raises:
        InputError: A parameter breaks a rule.
        Conflict: Another deployment changed the configuration meanwhile, or put a newer version into service.
        ServingError: The server did not serve the version in time, or its answer is no prediction.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    address = address or os.environ.get("TIFFIN_SERVING_ADDRESS", "")
    for parameter, value, variable in (
        ("serving_root", root, "TIFFIN_SERVING_ROOT"),
        ("serving_address", address, "TIFFIN_SERVING_ADDRESS"),
    ):
        if not value:
            raise InputError(
                f"{parameter} should say where models are served. Received: {parameter}='' and no {variable} in the "
                "environment. Pass it."
            )
    if version < 1 or not 0 < deadline_seconds < math.inf:
        raise InputError(
            f"version should be at least 1 and deadline_seconds above 0. Received: version={version}, "
            f"deadline_seconds={deadline_seconds}."
        )
    served = ServedModel(resolve_root(root), name)
    before = served.read(STABLE)
    if not replace_newer:
        _refuse_newer(served, before, version)
    rows = _real_rows(examples, read_training(model).columns)

    new = _publish(saved_model(model), served, version, rows)
    with served.in_service(version, before, why, new=new):
        answer = _ask(address, name, version, rows[0], deadline_seconds)
        deployment = Deployment(name, version, address, served.locate(STABLE), answer)
        write_deployment(output, deployment)
    return deployment


def _refuse_newer(served: ServedModel, before: State, version: int) -> None:
    """Raise a Conflict if a version newer than this one is in service.

    Compare-and-swap sees only what changes while one deployment runs. Of two pipeline runs at once, the one that trained
    first may deploy last, and would put the older model into service without anybody having asked for it.
    """
    entry = model_config.find_model(model_config.read_config(before[0].decode()), served.name) if before else None
    newest = max(model_config.specific_versions(entry), default=version) if entry else version
    if newest > version:
        raise Conflict(
            f"A deployment should not replace a newer version. Received: {served.name} version {version}, while "
            f"'{served.locate(STABLE)}' names version {newest}. Deploy a newer one; to go back on purpose, set replace_newer."
        )


def _publish(saved_model: Path, served: ServedModel, version: int, rows: list[dict[str, Any]]) -> bool:
    """Publish the SavedModel with warm-up requests from real rows, and return whether the version is new there."""
    if not (saved_model / "saved_model.pb").is_file():
        raise InputError(
            f"The model should hold a SavedModel. Received: '{saved_model.parent}' without one. Pass a model artifact."
        )
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, saved_model.name)
        # shutil.copytree would not say which disk is full.
        storage.publish_folder(saved_model, str(copy))
        warmup.write_warmup(copy, served.name, rows, signature_names=("", "explain", "examples"))
        return served.publish(copy, version)


def _real_rows(examples: str | Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the sample rows of the examples, the columns that the model takes."""
    rows = read_sample_rows(examples)
    if absent := [name for name in columns if name not in rows[0]]:
        raise InputError(
            f"The examples should have every column that the model takes. Received: '{examples}' without {', '.join(absent)}. "
            "Ingest with the same derive and exclude as for training."
        )
    return [{name: row[name] for name in columns} for row in rows]


def _ask(address: str, name: str, version: int, row: dict[str, Any], deadline_seconds: float) -> dict[str, Any]:
    """Wait until the server serves the version, ask it about the row, and return its answer."""
    end = time.monotonic() + deadline_seconds
    with Client(address) as client:
        client.wait_until_available(name, version, timeout_seconds=deadline_seconds)
        found = client.predict(
            name,
            {column: [value] for column, value in row.items()},
            version=version,
            timeout_seconds=max(1.0, end - time.monotonic()),
        )
    answer = {key: np.asarray(value)[0] for key, value in found.items()}
    for key, value in answer.items():
        if np.issubdtype(np.asarray(value).dtype, np.number) and not np.isfinite(value).all():
            raise ServingError(
                f"A prediction should be a finite number. Received: {key}={value} from {name} version {version} at {address}. "
                "Look at the training's losses: the model may have diverged.",
                code="DATA_LOSS",
            )
    return {key: _plain(value) for key, value in sorted(answer.items())}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.tolist() if hasattr(value, "tolist") else value
