"""Train a model, or reuse one that was trained from the same data, schema, parameters and code."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.model import Settings, Training, read_training, write_training
from tiffin.artifacts.results import digest_code, obtain
from tiffin.artifacts.schema import digest_schema
from tiffin.artifacts.statistics import digest_statistics
from tiffin.printing import printable
from tiffin.stages.train.own_code import read_code

_PACKAGES = ("tiffin.stages.train", "tiffin.artifacts", "tiffin.recipe")
_DISTRIBUTIONS = ("tensorflow", "keras", "numpy")


def train_or_reuse(
    examples: str | Path,
    statistics: str | Path,
    schema: str | Path,
    output: str | Path,
    label: str,
    *,
    task: str = "auto",
    settings: Settings = Settings(),  # noqa: B008 - frozen
    unreadable_dates: str = "missing",
    store: str = "",
    reuse: bool = True,
    run: str = "",
    model_code: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
) -> Training:
    """Write the model artifact and return the training record, whose notes tell if the model was reused.

    Args:
        examples: Folder of the examples artifact.
        statistics: Folder of the statistics artifact.
        schema: Folder of the schema artifact.
        output: Folder of the model artifact.
        label: Column to predict.
        task: `auto`, `binary`, `multiclass` or `regression`.
        settings: Training settings.
        unreadable_dates: What the model does with a text that is no date: `missing` or `refuse`.
        store: Folder or URI that keeps trained models; empty for TIFFIN_RESULT_STORE.
        reuse: Whether to reuse a model.
        run: ID of the run.
        model_code: Path or URI of a file with a model of one's own; empty for Tiffin's network.
        hyperparameters: What that file's function receives. Defaults to none.

    Raises:
        InputError: A parameter or an artifact is invalid.
        DataError: The label has fewer than two values, or too many classes.
    """
    # Read once: the code that is digested is the code that runs.
    code = read_code(model_code) if model_code else None
    manifest = read_manifest(examples)
    inputs = {
        "data_version": manifest.version,
        "columns": _digest_columns(manifest),
        "statistics": digest_statistics(statistics),
        "schema": digest_schema(schema),
        "parameters": json.dumps(
            {
                "label": manifest.final_name(label),
                "task": task,
                "unreadable_dates": unreadable_dates,
                **dataclasses.asdict(settings),
            },
            sort_keys=True,
        ),
        "code": digest_code(_PACKAGES, _DISTRIBUTIONS),
    }
    if code:
        # With the place: notes and the record name it.
        inputs["model_code"] = f"{code.digest} {model_code}"
        inputs["hyperparameters"] = json.dumps(dict(hyperparameters or {}), sort_keys=True)

    def make() -> None:
        # A reused model needs neither TensorFlow nor the seconds of its import.
        from tiffin.stages.train.training import train

        train(
            examples,
            statistics,
            schema,
            output,
            label,
            task=task,
            settings=settings,
            unreadable_dates=unreadable_dates,
            code=code,
            hyperparameters=hyperparameters,
        )

    notes = obtain("train_model", inputs, Path(output), make, store=store, reuse=reuse, run=run)
    record = read_training(output)
    if notes:
        record = dataclasses.replace(record, notes=(*notes, *record.notes))
        write_training(output, record)
    for note in record.notes:
        print(printable(note.text), flush=True)  # noqa: T201 - the step's log
    return record


def _digest_columns(manifest: Manifest) -> str:
    """Return the digest of what the data version leaves out: what integers stand for, and how the source is read."""
    content = [
        [dataclasses.astuple(column) for column in manifest.columns],
        sorted(manifest.renamed.items()),
        dataclasses.astuple(manifest.recipe),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
