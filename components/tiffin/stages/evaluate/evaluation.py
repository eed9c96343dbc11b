"""Evaluate a model artifact on a split: metrics, intervals, slices, curves and the verdict of the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from pathlib import Path
from typing import Any

import numpy as np

from tiffin.artifacts import documents
from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.measures import Attributions, ClassRecall
from tiffin.artifacts.model import Training, read_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.verdict import Evaluation, digest, write_evaluation
from tiffin.quality import bootstrap, calibration, intervals, metrics
from tiffin.quality.cuts import Cut, cut_columns
from tiffin.quality.outcomes import Gathering, Outcomes
from tiffin.stages.evaluate import attributions, champion, predictions
from tiffin.stages.evaluate import gate as gates
from tiffin.stages.evaluate.distributions import find_distributions
from tiffin.stages.evaluate.document import MIN_SLICE_ROWS, Gate, read_gate
from tiffin.stages.evaluate.guessing import compare_with_guessing
from tiffin.stages.evaluate.incumbent import Incumbent
from tiffin.stages.evaluate.parameters import check_min_rows, check_sensitive, check_slices
from tiffin.stages.evaluate.plan import Plan, make_plan, measure_fairness, measure_slices
from tiffin.stages.evaluate.trial import Trial, trying
from tiffin.version import __version__

# The stated error is no smaller than the computed one.
_UPWARDS = Context(prec=1, rounding=ROUND_CEILING)


@dataclass(frozen=True)
class Predicted:
    """A split with its predictions.

    Attributes:
        own: Outcomes of the model.
        incumbent: The model in production; None if it was not looked for.
        other: Its outcomes; None if it was not compared.
        cuts: Groups of each column that divides the rows.
        codes: Group of each row, by column.
        unknown_classes: Classes absent in training, each with its number of rows.
        attributions: What each column contributes; None for a model without the signature `explain`.
        notes: Rows that were left out.
    """

    own: Outcomes
    incumbent: Incumbent | None
    other: Outcomes | None
    cuts: Mapping[str, Cut]
    codes: Mapping[str, np.ndarray]
    unknown_classes: Mapping[str, int]
    attributions: Attributions | None
    notes: tuple[Note, ...]


def evaluate(
    model: str | Path,
    examples: str | Path,
    output: str | Path,
    *,
    thresholds: Mapping[str, float] | None = None,
    split: str = "eval",
    gate: Mapping[str, Any] | None = None,
    slices: Sequence[Any] = (),
    sensitive: Sequence[str] = (),
    min_slice_rows: int = MIN_SLICE_ROWS,
    model_name: str = "",
    serving_root: str = "",
    server: Sequence[str] = (),
) -> Evaluation:
    """Evaluate the exported model on a split, write the evaluation artifact and return its content.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact.
        output: Folder of the evaluation artifact.
        thresholds: Metric name to bound: absolute bounds of the gate. Defaults to none.
        split: Split to evaluate on. Defaults to `eval`.
        gate: Gate document; see `document.read_gate`. Defaults to better than guessing, and not worse than production.
        slices: Columns, or pairs of columns, that divide the rows into slices. Defaults to none.
        sensitive: Columns whose groups are compared. Defaults to none.
        min_slice_rows: Fewest rows of a slice or a group. Defaults to 100.
        model_name: Name of the model in production; empty to compare with none.
        serving_root: Path or URI of the serving root; empty for the environment variable TIFFIN_SERVING_ROOT.
        server: Command of the model server that the model is tried in. Defaults to none.

    Raises:
        InputError: A parameter or an artifact is invalid.
        DataError: No row of the split has a label of a class in training.
        StorageError: A shard is missing or damaged.
    """
    record = read_training(model)
    # Fail before the predictions are computed.
    rules = read_gate(gate, thresholds, record.task)
    check_slices(slices)
    check_sensitive(sensitive)
    check_min_rows(min_slice_rows)
    manifest = read_manifest(examples)
    plan = make_plan(manifest, record.label, rules, slices, sensitive, min_slice_rows)
    with trying(server, rules.serving, model, examples, record) as trial:
        found = _predict(model, examples, split, record, manifest, plan, (rules, model_name, serving_root), trial)
        evaluation = _measure(found, record, rules, plan, split, manifest.version, trial)
    write_evaluation(output, evaluation)
    return evaluation


def _predict(
    model: str | Path,
    examples: str | Path,
    split: str,
    record: Training,
    manifest: Manifest,
    plan: Plan,
    production: tuple[Gate, str, str],
    trial: Trial,
) -> Predicted:
    """Predict the rows of a split, with the model and with the one in production."""
    signatures, labels = predictions.load(model), predictions.read_labels(examples, split, record)
    run = signatures[predictions.SERVED]
    rules, name, root = production
    incumbent, notes = champion.find(rules.champion, name, root, record, manifest)
    shown = {column.name: manifest.original_name(column.name) for column in plan.columns}
    cuts = cut_columns(examples, split, plan.columns, manifest.splits[split].rows, shown)
    logical = {column.name: column.logical for column in manifest.columns}
    columns = [*predictions.inputs_of(run), *cuts]
    if incumbent is not None and incumbent.run is not None:
        columns += incumbent.columns
    sample, gathering = attributions.Sample(labels.rows), Gathering(record.task, len(record.classes), labels.rows)
    codes: dict[str, list[np.ndarray]] = {name: [] for name in cuts}
    for truth, batch in predictions.read_rows(examples, split, record, columns):
        other = None
        if incumbent is not None and incumbent.run is not None:
            incumbent, other = champion.answers(incumbent, batch, record, logical)
        answers = predictions.answer(run, batch, record.task, logical)
        trial.sample(run, batch, logical, answers, labels.rows)
        gathering.add(truth, [answers, other])
        sample.add(batch)
        for column, cut in cuts.items():
            codes[column].append(cut.codes(batch.column(column)).astype(np.int16))
    own, beside = gathering.outcomes()
    assert own is not None  # noqa: S101 - only the other model may fail
    explained, unexplained = attributions.measure(signatures.get(predictions.EXPLAINS), sample, manifest)
    unlabelled = _unlabelled(manifest.original_name(record.label), split, labels.unlabelled)
    return Predicted(
        own,
        incumbent,
        beside,
        cuts,
        {name: np.concatenate(parts) for name, parts in codes.items()},
        labels.unknown_classes,
        explained,
        (*unlabelled, *notes, *unexplained),
    )


def _measure(
    found: Predicted,
    record: Training,
    rules: Gate,
    plan: Plan,
    split: str,
    version: str,
    trial: Trial,
) -> Evaluation:
    """Return the evaluation of a split's predictions; `version` of the data decides the bootstrap samples."""
    own, is_class = found.own, record.task != "regression"
    seed = f"{version} {split}"
    values = metrics.measure(own) | metrics.baseline(own)
    ends = intervals.find_intervals(own, values, seed)
    matrix = metrics.confusion(own) if is_class else None
    per_class = None if matrix is None else _recalls(matrix, record.classes, seed)
    sliced, of_slices, slice_notes = measure_slices(plan, rules, own, found.cuts, found.codes, seed)
    groups, of_groups, group_notes = measure_fairness(plan, own, found.cuts, found.codes, seed)
    in_production, against_champion = champion.check(rules.champion, found.incumbent, own, found.other, seed)
    distributions, unlisted = find_distributions(own, record.classes)
    served = trial.run()
    verdict = gates.judge(
        [
            *gates.check_bounds(rules, values, own.rows, ends, per_class or ()),
            gates.check_baseline(record.task, values, compare_with_guessing(own), rules.baseline.gain),
            *against_champion,
            *gates.check_calibration(rules, values, ends, own.rows),
            *gates.check_size(rules, own.rows),
            *gates.check_slices(rules, of_slices),
            *gates.check_fairness(rules, of_groups),
            *gates.check_serving(rules.serving, served),
            *gates.check_classes(found.unknown_classes),
        ]
    )
    is_binary = record.task == "binary"
    return Evaluation(
        passed=verdict.passed,
        reason=verdict.reason,
        checks=verdict.checks,
        metrics=values,
        task=record.task,
        split=split,
        rows=own.rows,
        data_version=record.data_version,
        tiffin_version=__version__,
        classes=record.classes if is_class else None,
        confusion=None if matrix is None else tuple(tuple(row) for row in matrix.tolist()),
        curve=metrics.roc(own) if is_binary else None,
        notes=(*found.notes, *_errors(metrics.errors(own)), *slice_notes, *group_notes, *unlisted, *trial.notes),
        intervals=ends,
        per_class=per_class,
        precision_recall=metrics.precision_recall(own) if is_binary else None,
        calibration=calibration.measure(own) if own.is_finite else None,
        errors=calibration.errors(own) if own.is_finite and not is_class else None,
        slices=sliced,
        fairness=groups,
        champion=in_production,
        attributions=found.attributions,
        serving=served,
        gate=documents.to_json(rules),
        gate_digest=digest(rules),
        verdict_digest=digest(verdict),
        predictions=distributions,
    )


def _recalls(matrix: np.ndarray, classes: Sequence[str], seed: str) -> tuple[ClassRecall, ...]:
    """Return the recall of each class, with its interval."""
    drawn = intervals.recall_samples(matrix, bootstrap.seeded(seed, "recall"))
    return tuple(
        ClassRecall(name, int(rows), value, bootstrap.interval(value, drawn[:, number], 0, 1))
        for number, (name, rows, value) in enumerate(
            zip(classes, matrix.sum(axis=1), metrics.recalls(matrix), strict=True)
        )
    )


def _unlabelled(label: str, split: str, unlabelled: int) -> tuple[Note, ...]:
    if not unlabelled:
        return ()
    rows = "1 row" if unlabelled == 1 else f"{unlabelled} rows"
    text = f"{label}: {rows} of {split} without a label left out of the evaluation"
    return (Note("LABEL_MISSING", text, label, unlabelled),)


def _errors(errors: Mapping[str, float]) -> tuple[Note, ...]:
    """Return the note about metrics that are not exact."""
    if not errors:
        return ()
    bounds = " and ".join(
        f"{name} is within {_UPWARDS.create_decimal(error):.0e} of the exact value" for name, error in errors.items()
    )
    return (Note("METRICS_APPROXIMATE", f"{bounds}: near scores were grouped, since too many are distinct"),)
