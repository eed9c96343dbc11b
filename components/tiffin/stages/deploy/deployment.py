"""Put a registered model into service: its files, the configuration that names it, and the proof that it answers.

<serving root>/<model>/versions/<N>/   written once, complete before any configuration names it
<serving root>/<model>/stable.config   what the stable servers load, changed by compare-and-swap
<serving root>/<model>/history/        one record per change
"""

import json
import math
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tiffin import artifacts, storage
from tiffin.errors import Conflict, InputError, ServingError, StorageError
from tiffin.serving import Client, model_config, warmup

VERSIONS = "versions"
STABLE = "stable.config"
HISTORY = "history"

# What storage.read returns: a file's bytes, and the token by which a later write knows them again.
_Content = tuple[bytes, str]


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
) -> dict[str, Any]:
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
    if root.lower().startswith(("s3://", "minio://")):
        raise InputError(
            f"serving_root should be a path or start with gs://: TensorFlow Serving reads no S3. Received: '{root}'. "
            "Mount a volume that its servers share, and pass its path."
        )
    if "://" not in root:
        root = str(Path(root).resolve())
    folder = storage.join(root, name, VERSIONS, str(version))
    config_uri = storage.join(root, name, STABLE)
    before = storage.read(config_uri)
    if not replace_newer:
        _refuse_newer(config_uri, before, name, version)
    record = artifacts.read_json(Path(model) / artifacts.TRAINING)
    rows = _real_rows(examples, record["columns"])

    entry = model_config.make_model(name, storage.join(root, name, VERSIONS), [version])
    content = model_config.format_config(model_config.make_config([entry])).encode()
    existed = storage.exists(folder)
    _publish(Path(model) / artifacts.SAVED_MODEL, folder, name, rows)
    try:
        # A retry after the change has nothing to change.
        after = before if before and before[0] == content else _change(config_uri, version, before, content, why)
        try:
            answer = _ask(address, name, version, rows[0], deadline_seconds)
            deployment = {"model": name, "version": version, "address": address, "config": config_uri, "answer": answer}
            artifacts.write_json(Path(output) / artifacts.DEPLOYMENT, deployment)
        except BaseException as error:
            if after != before:
                _restore(config_uri, version, before, after, error)
            raise
    except BaseException:
        now = storage.read(config_uri)
        # A configuration that could not be put back goes on naming the version.
        if not existed and (now is None or now[0] != content):
            storage.delete(folder)
        raise
    return deployment


def _refuse_newer(config_uri: str, before: _Content | None, name: str, version: int) -> None:
    """Raise a Conflict if a version newer than this one is in service.

    Compare-and-swap sees only what changes while one deployment runs. Of two pipeline runs at once, the one that trained
    first may deploy last, and would put the older model into service without anybody having asked for it.
    """
    entry = model_config.find_model(model_config.read_config(before[0].decode()), name) if before else None
    newest = max(model_config.specific_versions(entry), default=version) if entry else version
    if newest > version:
        raise Conflict(
            f"A deployment should not replace a newer version. Received: {name} version {version}, while '{config_uri}' "
            f"names version {newest}. Deploy a newer one; to go back on purpose, set replace_newer."
        )


def _publish(saved_model: Path, folder: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Put the SavedModel at `folder`, with warm-up requests from real rows so that no user meets a cold model."""
    if not (saved_model / "saved_model.pb").is_file():
        raise InputError(
            f"The model should hold a SavedModel. Received: '{saved_model.parent}' without one. Pass train_model's."
        )
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "saved_model")
        # shutil.copytree would not say which disk is full.
        storage.publish_folder(saved_model, str(copy))
        warmup.write_warmup(copy, name, rows, signature_names=("", "explain", "examples"))
        storage.publish_folder(copy, folder)


def _real_rows(examples: str | Path, columns: list[str]) -> list[dict[str, Any]]:
    """Return the sample rows of the examples, the columns that the model takes."""
    path = Path(examples) / artifacts.SAMPLE_ROWS
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    if not rows:
        raise InputError(
            f"The examples should hold rows to ask about. Received: '{path}' with none. Ingest them again."
        )
    if absent := [name for name in columns if name not in rows[0]]:
        raise InputError(
            f"The examples should have every column that the model takes. Received: '{path}' without {', '.join(absent)}. "
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


def _change(config_uri: str, version: int, before: _Content | None, content: bytes | None, why: str) -> _Content | None:
    """Change the configuration from `before` to `content`, None for no file, record it, and return what is there now."""
    # Before the change, so that none is without its record. A record without its change could only come from a process
    # that was killed in between; the next one tells where the configuration was by then.
    record = _remember(config_uri, version, before, content, why)
    try:
        if content is not None:
            return content, storage.compare_and_swap(config_uri, content, before[1] if before else None)
        if storage.read(config_uri) != before:
            raise Conflict(f"'{config_uri}' should be as it was when it was read. Received: another content.")
        storage.delete(config_uri)
        return None
    except BaseException:
        storage.delete(record)
        raise


def _restore(
    config_uri: str, version: int, before: _Content | None, after: _Content | None, error: BaseException
) -> None:
    """Put the configuration back, unless somebody has changed it since. What hinders it must not hide the first error."""
    try:
        _change(config_uri, version, after, before[0] if before else None, f"taken back: {error}")
    except StorageError as hindered:
        print(f"the configuration stays as it is: {hindered}", flush=True)  # noqa: T201 - the step's log


def _remember(config_uri: str, version: int, before: _Content | None, content: bytes | None, why: str) -> str:
    """Add a change to the history, and return the record's address."""
    now = datetime.now(UTC)
    record = {
        "at": now.isoformat(timespec="microseconds"),
        "who": os.environ.get("TIFFIN_USER") or os.environ.get("USER") or "unknown",
        "why": why,
        "from": before[0].decode() if before else None,
        "to": content.decode() if content is not None else None,
    }
    uri = storage.join(config_uri.rpartition("/")[0], HISTORY, f"{now:%Y%m%dT%H%M%S.%fZ}-{version}.json")
    storage.write_new(uri, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return uri
