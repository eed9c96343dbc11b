"""Train a model artifact from examples, statistics and schema: the SavedModel and the training record."""

from pathlib import Path

import numpy as np

from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.model import Settings, Training, saved_model, write_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.schema import digest_schema, read_schema
from tiffin.artifacts.statistics import find_split, read_statistics
from tiffin.errors import InputError
from tiffin.printing import printable
from tiffin.stages.train import columns, export, features, fitting, preprocessing
from tiffin.stages.train.settings import check_label
from tiffin.version import __version__


def train(
    examples: str | Path,
    statistics: str | Path,
    schema: str | Path,
    output: str | Path,
    label: str,
    *,
    task: str = "auto",
    settings: Settings = Settings(),  # noqa: B008 - frozen
    split: str = "train",
    data_version: str = "",
) -> Training:
    """Train a model on one split, write the model artifact and return the training record.

    Args:
        examples: Folder of the examples artifact.
        statistics: Folder of the statistics artifact.
        schema: Folder of the schema artifact.
        output: Folder of the model artifact.
        label: Column to predict.
        task: `auto`, `binary`, `multiclass` or `regression`.
        settings: Training settings.
        split: Split to train on. Defaults to `train`.
        data_version: Expected version of the examples; empty to skip the check.

    Raises:
        InputError: A parameter or an artifact is invalid.
        DataError: The label has fewer than two values, or too many classes.
    """
    check_label(label)
    manifest = read_manifest(examples)
    version, label = manifest.version, manifest.final_name(label)
    if data_version and data_version != version:
        raise InputError(
            f"data_version should be the version of the examples, '{version}'. Received: data_version='{data_version}'. "
            "Pass the output data_version of the step that wrote the examples."
        )
    found = find_split(read_statistics(statistics), split)
    chosen = features.choose(found, read_schema(schema), label)
    table, unlabelled = columns.read_table(examples, split, chosen.columns, label)
    target_label = columns.find_label(table[label], label, task)
    target = columns.encode_label(table[label], target_label)
    scale = columns.find_scale(target, target_label)
    transform, layers, owners = preprocessing.build(chosen)
    take, mean_row = preprocessing.encode(transform, columns.raw_inputs(table, chosen))
    scaled = (target - scale.mean) / scale.deviation
    fitted = fitting.fit(take, len(owners), scaled, target_label, settings)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    export.write(saved_model(output), chosen, target_label, transform, layers, owners, fitted.model, scale, mean_row)
    notes = _notes(chosen, target_label, unlabelled, fitted, manifest)
    training = Training(
        label=label,
        task=target_label.task,
        classes=target_label.classes,
        columns=tuple(chosen.columns),
        left_out=chosen.left_out,
        rows=table.num_rows,
        rows_without_label=unlabelled,
        settings=fitted.settings,
        losses=fitted.losses,
        data_version=version,
        schema_digest=digest_schema(schema),
        tiffin_version=__version__,
        class_shares=_class_shares(target, target_label),
        label_mean=scale.mean if target_label.task == "regression" else None,
        notes=notes,
    )
    # Written last: an artifact with a training record is complete.
    write_training(output, training)
    for note in notes:
        print(printable(note.text), flush=True)  # noqa: T201 - the step's log
    return training


def _notes(
    chosen: features.Features, label: columns.Label, unlabelled: int, fitted: fitting.Fitted, manifest: Manifest
) -> tuple[Note, ...]:
    """Return what the training decided and left out."""
    used, name = fitted.settings, manifest.original_name(label.name)
    length = f"{used.epochs} {'epoch' if used.epochs == 1 else 'epochs'} with batches of {used.batch_size} rows"
    notes = [
        Note("TASK_CHOSEN", label.choice, name),
        Note("TRAINING_LENGTH", f"{length}: {fitted.reason}", count=used.epochs),
    ]
    if unlabelled:
        notes.append(
            Note(
                "LABEL_MISSING",
                f"{name}: {unlabelled} {'row' if unlabelled == 1 else 'rows'} without a label left out of training",
                name,
                unlabelled,
            )
        )
    notes += [
        Note("LEFT_OUT", f"{original}: left out of the model: {reason}", original)
        for original, reason in ((manifest.original_name(column), why) for column, why in chosen.left_out.items())
    ]
    notes += [
        Note(
            "ROUNDED_IN_EXAMPLES",
            f"{manifest.original_name(number.name)}: needs more digits than tf.Example has (float32); for exact "
            "predictions, call the signature serving_default, not examples",
            manifest.original_name(number.name),
        )
        for number in chosen.numbers
        if not number.whole and _is_rounded(number.edges)
    ]
    return tuple(notes)


def _is_rounded(edges: tuple[float, ...]) -> bool:
    """Return whether float32 cannot tell most of the edges apart."""
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite
        return 2 * len(np.unique(np.array(edges).astype(np.float32))) < len(edges)


def _class_shares(target: np.ndarray, label: columns.Label) -> tuple[float, ...] | None:
    """Return the share of each class, the baseline prediction; None for regression."""
    if label.task == "regression":
        return None
    counts = np.bincount(target.astype(int), minlength=len(label.classes))
    return tuple(float(share) for share in counts / counts.sum())
