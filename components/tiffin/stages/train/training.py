"""Train a model artifact from examples, statistics and schema: the SavedModel and the training record."""

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.model import Settings, Training, model_code, saved_model, write_answers, write_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.recipe import ModelRecipe
from tiffin.artifacts.schema import digest_schema, read_schema
from tiffin.artifacts.statistics import find_split, read_statistics
from tiffin.errors import DataError
from tiffin.stages.train import columns, dates, export, features, fitting, leakage, own_training, preprocessing, rows
from tiffin.stages.train.answers import find_answers
from tiffin.stages.train.label import Label, Values, find_label, look_at
from tiffin.stages.train.leakage import Leak, find_leaks
from tiffin.stages.train.own_code import Code
from tiffin.stages.train.settings import check_label, check_unreadable_dates
from tiffin.stages.train.trained import Trained
from tiffin.storage.files import write_bytes
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
    unreadable_dates: str = "missing",
    split: str = "train",
    code: Code | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
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
        unreadable_dates: What the model does with a text that is no date: `missing` to take it as missing and count it in an
            output, or `refuse` to fail. Defaults to `missing`.
        split: Split to train on. Defaults to `train`.
        code: File with a model of one's own. Defaults to Tiffin's network.
        hyperparameters: What that file's function receives. Defaults to none.

    Raises:
        InputError: A parameter or an artifact is invalid, own code fails, or the training diverges.
        DataError: The label has fewer than two values, or too many classes.
        StorageError: A shard is missing or damaged, or the folder for temporary files has too little space.
    """
    check_label(label)
    check_unreadable_dates(unreadable_dates)
    manifest = read_manifest(examples)
    label = manifest.final_name(label)
    found = find_split(read_statistics(statistics), split)
    chosen = features.choose(found, read_schema(schema), label)
    columns.check_columns(examples, chosen, label)
    values = look_at(columns.read_labels(examples, split, label))
    if not values.rows:
        raise DataError(
            f"label should have values. Received: label='{label}', missing in every row of the split '{split}'. "
            "Choose another column."
        )
    target_label = find_label(values, label, task)
    load = partial(_load, examples, split, target_label, values, settings, hold_out=bool(code) or not settings.epochs)
    if code:
        targets = own_training.find_targets(columns.read_targets(examples, split, target_label), target_label, values)
        made = own_training.train_own(code, hyperparameters or {}, chosen, target_label, targets, settings, load)
    else:
        made = _train_network(chosen, target_label, settings, load)
    chosen, fitted = made.features, made.fitted
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    recipe = _recipe(manifest, chosen, target_label)
    export.write(
        saved_model(output), chosen, target_label, made.transform, made.layers, made.owners, fitted.model, made.scale,
        made.mean_row, recipe, unreadable_dates,
    )  # fmt: skip
    readable = dates.Dates(recipe.date_formats, unreadable_dates)
    serve = export.serving(readable, made.transform, fitted.model, target_label, made.scale)
    write_answers(output, find_answers(serve, chosen, readable.formats, target_label.task, examples))
    model_code(output).unlink(missing_ok=True)
    if code:
        write_bytes(model_code(output), code.content)
    notes = _notes(chosen, target_label, values.missing, fitted, manifest)
    # Before the columns left out: a summary shows the first notes.
    notes = (
        *notes[:2],
        *_leaks(made.leaks, target_label, manifest),
        *_unknown_formats(recipe, manifest),
        *made.notes,
        *notes[2:],
    )
    training = Training(
        label=label,
        task=target_label.task,
        classes=target_label.classes,
        columns=tuple(chosen.columns),
        left_out=chosen.left_out,
        rows=made.rows,
        rows_without_label=values.missing,
        settings=fitted.settings,
        losses=fitted.losses,
        data_version=manifest.version,
        schema_digest=digest_schema(schema),
        tiffin_version=__version__,
        notes=notes,
        own=made.own,
        search=fitted.search,
    )
    # Written last: an artifact with a training record is complete.
    write_training(output, training)
    return training


def _recipe(manifest: Manifest, chosen: features.Features, label: Label) -> ModelRecipe:
    """Return how rows of the source become the model's inputs."""
    columns = {column.name: column for column in manifest.columns}
    return ModelRecipe(
        recipe=manifest.recipe.needed(chosen.columns),
        inputs=tuple(columns[name] for name in chosen.columns),
        label=label.name,
        task=label.task,
        classes=label.classes,
        data_version=manifest.version,
        tiffin_version=__version__,
    )


def _leaks(leaks: Iterable[Leak], label: Label, manifest: Manifest) -> list[Note]:
    """Return a note for each column that gives the label away."""
    found = []
    measure = "log loss of guessing" if label.classes else "variance"
    for leak in leaks:
        name, about = manifest.original_name(leak.column), manifest.original_name(label.name)
        what = (
            f"has one value for each class of {about}"
            if leak.is_function
            else f"predicts {about} almost alone: it explains {leak.share:.1%} of the {measure}"
        )
        text = f"{name}: {what}. If its value is not known before {about}, set exclude={json.dumps([name], ensure_ascii=False)}."
        found.append(Note("LABEL_LEAK", text, name))
    return found


def _unknown_formats(recipe: ModelRecipe, manifest: Manifest) -> tuple[Note, ...]:
    """Return a note for each format of dates that the model cannot read."""
    found = []
    for column, formats in recipe.date_formats.items():
        name = manifest.original_name(column)
        for format_ in (each for each in formats if not dates.is_known(each)):
            text = f"{name}: the model reads dates in ISO 8601 only, not in {format_}; write them in ISO 8601 for predictions"
            found.append(Note("DATES_IN_ISO_ONLY", text, name, None, format_))
    return tuple(found)


def _train_network(chosen: features.Features, label: Label, settings: Settings, load: own_training.Load) -> Trained:
    """Train Tiffin's network."""
    transform, encode, layers, owners = preprocessing.build(chosen)
    encoder = rows.Encoder(encode, columns.record_type(chosen), len(owners))
    with closing(load(chosen, encoder)) as data:
        leaks = find_leaks(data.sample(leakage.ROWS, settings.seed), chosen, label)
        fitted = fitting.fit(data, encoder.width, label, settings)
    return Trained(chosen, transform, layers, owners, fitted, encoder.scale, data.mean_row, data.rows, leaks)


def _load(
    examples: str | Path,
    split: str,
    label: Label,
    values: Values,
    settings: Settings,
    chosen: features.Features,
    encoder: rows.Encoder,
    *,
    hold_out: bool,
) -> rows.InMemory | rows.OnDisk:
    """Read the rows, into memory if they fit, and set the encoder's scale."""
    kind, classes = columns.record_type(chosen), len(label.classes)
    batches = columns.read_records(examples, split, chosen, label)
    if rows.fit_in_memory(values.rows, kind, encoder.width):
        records, filled = np.empty(values.rows, kind), 0
        for batch in batches:
            records[filled : filled + len(batch)] = batch
            filled += len(batch)
        if not classes:
            encoder.scale = columns.find_scale([records["target"]], values.low, values.high)
        return rows.InMemory(records, encoder, classes)
    if not classes:
        targets = columns.read_targets(examples, split, label)
        encoder.scale = columns.find_scale(targets, values.low, values.high)
    return rows.OnDisk(batches, values.rows, kind, encoder, classes, settings.seed, hold_out=hold_out)


def _notes(
    chosen: features.Features, label: Label, unlabelled: int, fitted: fitting.Fitted, manifest: Manifest
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
