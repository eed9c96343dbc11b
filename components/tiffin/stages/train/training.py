"""From examples, statistics and schema to a model artifact: the SavedModel and the record of its training."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin import artifacts
from tiffin.errors import InputError
from tiffin.stages.train import columns, export, features, network, preprocessing
from tiffin.version import __version__


def train(
    examples: str | Path,
    statistics: str | Path,
    schema: str | Path,
    output: str | Path,
    label: str,
    *,
    task: str = "auto",
    settings: network.Settings = network.Settings(),  # noqa: B008 - frozen
    split: str = "train",
    data_version: str = "",
) -> dict[str, Any]:
    """Train a model on one split, write the model artifact and return the record of the training.

    Args:
        examples: Folder of the examples artifact.
        statistics: Folder of the statistics artifact.
        schema: Folder of the schema artifact.
        output: Folder of the model artifact.
        label: Column to predict.
        task: `auto`, `binary`, `multiclass` or `regression`.
        settings: How to train.
        split: Which split. Defaults to `train`.
        data_version: The version that the examples are expected to have; empty for any.

    Raises:
        InputError: A parameter or an artifact breaks a rule.
        DataError: The label has no or one value.
    """
    if not label:
        raise InputError("label should be the column to predict. Received: label=''. Pass --set label=COLUMN.")
    manifest = artifacts.read_json(Path(examples) / artifacts.MANIFEST)
    if data_version and data_version != manifest["version"]:
        raise InputError(
            f"data_version should be that of the examples, {manifest['version']}. Received: data_version='{data_version}'. "
            "Pass ingest_examples' output."
        )
    schema_bytes = _read(schema, artifacts.SCHEMA)
    found = features.read_statistics(_read(statistics, artifacts.STATISTICS), split)
    chosen = features.choose(found, _parse_schema(schema_bytes), label)
    table, unlabelled = columns.read_table(examples, split, chosen.columns, label)
    target_label = columns.find_label(table[label], label, task)
    target = columns.encode_label(table[label], target_label)
    transform, layers, owners = preprocessing.build(chosen)
    data, mean_row = preprocessing.batches(
        transform,
        columns.raw_inputs(table, chosen),
        network.scaled(target, target_label),
        settings.batch_size,
        settings.seed,
    )
    model, losses = network.fit(data, target, target_label, settings)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    export.write(output / artifacts.SAVED_MODEL, chosen, target_label, transform, layers, owners, model, mean_row)
    record = {
        "label": label,
        "task": target_label.task,
        "classes": list(target_label.classes),
        **_prior(target, target_label),
        "columns": chosen.columns,
        "left_out": chosen.left_out,
        "rows": table.num_rows,
        "rows_without_label": unlabelled,
        "settings": asdict(settings),
        "losses": losses,
        "data_version": manifest["version"],
        "schema_digest": hashlib.sha256(schema_bytes).hexdigest()[:16],
        "tiffin_version": __version__,
    }
    # Last, so that a model artifact with this record is whole.
    artifacts.write_json(output / artifacts.TRAINING, record)
    return record


def _prior(target: np.ndarray, label: columns.Label) -> dict[str, Any]:
    """Return what a guess without a model would be: the classes' shares, or the mean."""
    if label.task == "regression":
        return {"label_mean": float(target.mean(dtype=np.float64))}
    counts = np.bincount(target.astype(int), minlength=len(label.classes))
    return {"class_shares": [float(share) for share in counts / counts.sum()]}


def _parse_schema(content: bytes) -> schema_pb2.Schema:
    try:
        schema: schema_pb2.Schema = text_format.Parse(content.decode(), schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{artifacts.SCHEMA}' should be a tensorflow.metadata.v0.Schema in text format ({error}). "
            "Pass validate_examples' output."
        ) from None
    return schema


def _read(artifact: str | Path, name: str) -> bytes:
    path = Path(artifact) / name
    if not path.is_file():
        raise InputError(
            f"An artifact should hold '{name}'. Received: '{artifact}' without it. Pass validate_examples' output."
        )
    return path.read_bytes()
