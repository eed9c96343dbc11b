"""Decide whether a model is trained again, claim its retraining, and say why or why not."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tiffin import storage
from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.monitoring import own_folder
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import Reference, read_reference
from tiffin.artifacts.retraining import Attempt, Policy, Retraining, RetrainingState, Trigger, write_retraining
from tiffin.errors import InputError
from tiffin.retraining.decision import (
    Asked,
    Rules,
    check_budget,
    check_cool_down,
    check_roll_back_hours,
    decide,
    rolls_back,
)
from tiffin.retraining.settings import check_settings
from tiffin.retraining.spans import Newest, check_spans, digest_files, find_newest
from tiffin.retraining.state import change, locate, with_expired, with_started
from tiffin.serving.history import read_history
from tiffin.serving.prediction_log import resolve_log_root
from tiffin.serving.production import locate_root
from tiffin.serving.root import ServedModel
from tiffin.stages.retrain.parameters import check_policy, check_trigger

LOG_ROOT = "TIFFIN_LOG_ROOT"
# Of settings that ingest chooses by the data.
_DETECTED = "auto"
_ACTIONS = {
    "ASK": "Start the pipeline retraining with model_name={model}, trigger=hand and the settings of this run.",
    "BUDGET": "Look at why they did not help; start one by hand with the pipeline retraining, model_name={model}, trigger=hand "
    "and the settings of this run.",
    "SAME_DATA": "Give it newer data by training, or answers whose labels have arrived by labelled_window.",
    "NOT_BY_TRAINING": "See the verdict with: tiffin monitor status {model}.",
    "PAUSED": "Allow it again with: tiffin monitor resume {model}.",
}


def plan(
    output: str | Path,
    reference: str | Path,
    training: Mapping[str, Any],
    *,
    trigger: str = "hand",
    verdict: str = "",
    cause: str = "",
    policy: str = "retrain",
    spans: int = 1,
    cool_down_hours: float = 24.0,
    max_per_week: int = 3,
    roll_back_hours: float = 0.0,
    labelled_window: str = "",
    labels: str = "",
    log_root: str = "",
    state: str = "",
    serving_root: str = "",
    run: str = "",
    now: datetime | None = None,
) -> Retraining:
    """Write the retraining artifact, and return the decision. With the code `START`, the state has the retraining.

    Args:
        output: Folder to write the artifact to.
        reference: Folder of the reference artifact of the version in production.
        training: Parameters of the pipeline `training`; `data` may have `{span}`. Those about the data that are not given are
            taken from the training of the version in production.
        trigger: What asks. Defaults to `hand`.
        verdict: The verdict of the monitoring. Defaults to none.
        cause: Codes and columns of what monitoring found. Defaults to none.
        policy: `none`, `ask` or `retrain`. Defaults to `retrain`.
        spans: Number of newest spans to train on. Defaults to 1.
        cool_down_hours: Time from the start of a retraining to the next one. Defaults to 24.
        max_per_week: Retrainings within a week that no person asked for. Defaults to 3.
        roll_back_hours: Time in which a version that became worse is rolled back. Defaults to 0: never.
        labelled_window: Time whose labelled answers are added to the data. Defaults to none.
        labels: Labels of these answers. Defaults to none: none are added.
        log_root: Root of the prediction log; empty for TIFFIN_LOG_ROOT.
        state: Path or URI of the state; empty for the log root.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT. Only needed to roll back.
        run: ID of the pipeline run.
        now: Time. Defaults to the time.

    Raises:
        InputError: A parameter is wrong, or there are no data.
        StorageError: The state cannot be read or written.
    """
    check_trigger(trigger)
    check_policy(policy)
    check_spans(spans)
    check_cool_down(cool_down_hours)
    check_budget(max_per_week)
    check_roll_back_hours(roll_back_hours)
    check_settings(training)
    found = read_reference(reference)
    manifest = read_manifest(reference) if found.has_examples else None
    settings, notes = _settings(training, found, manifest)
    newest = find_newest(str(settings["data"]), spans)
    settings["data"] = newest.data
    notes += _tell_spans(newest)
    rules = Rules(cast("Policy", policy), timedelta(hours=cool_down_hours), max_per_week)
    asked = Asked(
        run, cast("Trigger", trigger), verdict, cause, found.version, newest.digest,
        known_data=_digest(manifest) if manifest else "", is_labelled=bool(labelled_window and labels),
    )  # fmt: skip
    moment = now or datetime.now(UTC)
    uri = locate(home_of(state, log_root, found.model))
    started = moment.astimezone(UTC).isoformat(timespec="seconds")
    attempt = Attempt(run, asked.trigger, cause, found.version, newest.digest, started)
    code, reason, expired = "", "", 0

    def claim(before: RetrainingState) -> RetrainingState:
        nonlocal code, reason, expired
        known = with_expired(before, moment, rules.expiry)
        expired = sum(one != other for one, other in zip(before.attempts, known.attempts, strict=True))
        code, reason = decide(known, asked, rules, moment)
        return with_started(known, attempt) if code == "START" else known

    after = change(uri, found.model, claim)
    if expired:
        notes.append(Note("EXPIRED", "earlier retrainings told no end, and count as ended", count=expired))
    since = _in_production_since(serving_root, found) if roll_back_hours else None
    rolled = not after.paused and rolls_back(asked, since, timedelta(hours=roll_back_hours), moment)
    decided = Retraining(
        found.model, found.version, asked.trigger, cause, code, reason,  # type: ignore[arg-type]
        _ACTIONS.get(code, "").format(model=found.model), settings, newest.spans, uri, run, rolled, tuple(notes),
    )  # fmt: skip
    write_retraining(output, decided)
    return decided


def home_of(state: str, log_root: str, model: str) -> str:
    """Return the folder of a model's state: below `state`, or in the model's prediction log.

    Raises:
        InputError: There is neither.
    """
    root = resolve_log_root(state or log_root or os.environ.get(LOG_ROOT, ""))
    return storage.join(root, *own_folder(state, model))


def _settings(
    training: Mapping[str, Any], reference: Reference, manifest: Manifest | None
) -> tuple[dict[str, object], list[Note]]:
    """Return the settings, with those about the data from the training of the version in production, and what was taken."""
    known: dict[str, object] = {"label": reference.label}
    if manifest:
        recipe = manifest.recipe
        known |= {
            "data": "\n".join(source.uri for source in manifest.sources),
            "derive": manifest.derive,
            "exclude": [manifest.original_name(name) for name in manifest.exclude],
            "key": manifest.original_name(manifest.key) if manifest.key else "",
            "missing_values": list(recipe.missing_values),
            "delimiter": recipe.delimiter,
            "header": recipe.header,
            "column_names": list(recipe.column_names),
            "partitions": recipe.partitions,
        }
    taken = {
        name: value for name, value in known.items() if value not in ("", [], {}, _DETECTED) and name not in training
    }
    if not training.get("data") and "data" not in taken:
        raise InputError(
            f"training should have the location of the data. Received: none, and the reference of '{reference.model}' version "
            f'{reference.version} does not have it. Pass it, such as training={{"data": "gs://bucket/day={{span}}/*.parquet"}}.'
        )
    notes = []
    if taken:
        text = f"settings are those that version {reference.version} was trained with: {', '.join(sorted(taken))}"
        notes.append(Note("SETTINGS_TAKEN", text, count=len(taken)))
    return {**taken, **training}, notes


def _tell_spans(newest: Newest) -> list[Note]:
    if not newest.spans:
        return []
    text = f"the newest of {len(newest.spans) + newest.left_out} spans are read: {', '.join(newest.spans)}"
    return [Note("SPANS", text, count=newest.left_out, example=newest.data.split("\n")[-1])]


def _digest(manifest: Manifest) -> str:
    """Return the digest of the files that a manifest names, as that of newest spans."""
    made = [one.uri for one in manifest.sources if one.uri.startswith("sample:")]
    files = [storage.SourceFile(one.uri, one.size_bytes, one.generation or "") for one in manifest.sources]
    return digest_files([one for one in files if one.uri not in made], made)


def _in_production_since(serving_root: str, reference: Reference) -> datetime | None:
    """Return since when a version is in production, by the history of the serving root; None if it does not tell."""
    root = locate_root(serving_root or os.environ.get("TIFFIN_SERVING_ROOT", ""))
    if root is None:
        return None
    history = read_history(ServedModel(root, reference.model))
    if history.standing.champion != reference.version or history.standing.previous is None:
        return None
    since = None
    for record in reversed(history.records):
        if record.standing.champion != reference.version:
            break
        since = record.time
    return since
