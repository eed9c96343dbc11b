"""What each artifact holds: file names and formats. Nothing else knows a path inside one.

An artifact is a folder:

    examples       manifest.json; data/<split>-<shard>.parquet unless the shards live under a data root;
                   sample_rows.jsonl: a few rows; rejected.jsonl: rows set aside, with line and reason
    statistics     statistics.binpb   tensorflow.metadata.v0.DatasetFeatureStatisticsList, one dataset per split
    schema         schema.pbtxt       tensorflow.metadata.v0.Schema
    anomalies      anomalies.json     {"valid": bool, "reason": str, "anomalies": [...]}, anomalies.pbtxt per split
    model          saved_model/       the SavedModel; training.json: what it was trained on and how
    evaluation     verdict.json       {"passed": bool, "reason": str, "metrics": {...}, ...}
    registration   registration.json  {"name", "version", "run_id", ...}
    deployment     deployment.json    {"model", "version", "address", ...}
    summary        summary.json       the whole run

JSON is UTF-8 with sorted keys, so the same content has the same bytes.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tiffin.errors import InputError

MANIFEST = "manifest.json"
SHARDS = "data"
SAMPLE_ROWS = "sample_rows.jsonl"
REJECTED = "rejected.jsonl"
STATISTICS = "statistics.binpb"
SCHEMA = "schema.pbtxt"
ANOMALIES = "anomalies.json"
SAVED_MODEL = "saved_model"
TRAINING = "training.json"
VERDICT = "verdict.json"
REGISTRATION = "registration.json"
DEPLOYMENT = "deployment.json"
SUMMARY = "summary.json"


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` under a temporary name in the same folder, then rename it to `path`."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` under a temporary name in the same folder, then rename it to `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            # A write to an open file does not say which.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def read_json(path: str | Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        InputError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"An artifact should hold '{Path(path).name}'. Received: '{Path(path).parent}' without it. "
            "Pass the output of the step that writes it."
        ) from None
    except ValueError as error:
        raise InputError(f"'{path}' should be JSON ({error}). Run the step that writes it again.") from None


def shard_uris(examples: str | Path, split: str) -> list[str]:
    """Return where the Parquet shards of a split are, from the examples artifact at `examples`.

    Raises:
        InputError: There is no such split.
    """
    manifest = read_json(Path(examples) / MANIFEST)
    if split not in manifest["splits"]:
        raise InputError(
            f"The split should be one of {', '.join(sorted(manifest['splits']))}. Received: split='{split}'. "
            "Name one of these, or ingest with other splits."
        )
    # A shard under a data root has an absolute location; one inside the artifact moves with it.
    return [
        shard if "://" in shard or Path(shard).is_absolute() else str(Path(examples) / shard)
        for shard in manifest["splits"][split]["shards"]
    ]


def class_name(value: object) -> str:
    """Return a label's value as the text that a model artifact keeps its classes in: 1.0 and 1 are the same class."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
