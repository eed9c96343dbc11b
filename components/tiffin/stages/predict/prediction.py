"""Predict the rows of an examples artifact, or of a part of it, into Parquet files."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.predictions import COMPLETE, PredictionFile, Predictions, part_location, store, write_predictions
from tiffin.errors import InputError
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.stages.predict.chosen import Chosen, choose_model, root_of
from tiffin.stages.predict.columns import find_columns, plan_columns
from tiffin.stages.predict.files import Batch, find_complete, write_file
from tiffin.stages.predict.finishing import finish
from tiffin.stages.predict.inputs import read_inputs
from tiffin.stages.predict.log import Log, open_log
from tiffin.stages.predict.notes import allowed_missing, count_notes
from tiffin.stages.predict.parameters import check_deadline, check_keep, check_outputs, check_part
from tiffin.stages.predict.runners import Runner, open_runner
from tiffin.stages.predict.units import UNIT_ROWS, Shard, find_shards, open_units

# Changes when the same input gives other files.
_FORMAT = 1
_LOG_ROOT = "TIFFIN_LOG_ROOT"


def predict(
    examples: str | Path,
    output: str | Path,
    *,
    model: str | Path = "",
    name: str = "",
    version: int = 0,
    serving_root: str = "",
    address: str = "",
    signature: str = "",
    split: str = "",
    key: str = "",
    keep: Sequence[str] = (),
    outputs: Sequence[str] = (),
    allow_missing: bool = False,
    location: str = "",
    part: int = 0,
    parts: int = 1,
    log: bool = False,
    log_root: str = "",
    deadline_seconds: float = 30.0,
) -> Predictions:
    """Predict the rows of examples, or of a part of them, and return the document of the predictions.

    Each unit of the examples gives a file in a folder of its own for this model, data and parameters. A file that is complete
    is not made again. After the only part, the folder gets `_predictions.json`; with several parts, `finishing.finish` writes it.

    Args:
        examples: Folder of the examples artifact.
        output: Folder of the predictions artifact.
        model: Folder of a model artifact; empty for a version in the serving root or of a server.
        name: Name of the model.
        version: Number of the version; 0 for the one in production, or for the server's choice.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT.
        address: `host:port` of a model server that predicts; empty to load the SavedModel in this process.
        signature: Signature to call; empty for `serving_default`.
        split: Split to predict; empty for all.
        key: Column that identifies a row, which is copied; empty for none.
        keep: Other columns to copy.
        outputs: Outputs of the signature to write; empty for all.
        allow_missing: Whether columns that the examples lack are missing values. Defaults to False: an error.
        location: Path or URI below which the folder of the files is; empty for the artifact.
        part: Number of the part, from 0.
        parts: Number of parts.
        log: Whether the rows are written to the prediction log. Defaults to False.
        log_root: Path or URI of the prediction log; empty for TIFFIN_LOG_ROOT.
        deadline_seconds: Deadline of each request to the server, in seconds, above 0. Defaults to 30.

    Raises:
        InputError: A parameter is invalid, there is no such model, or the examples lack a column.
        StorageError: A file cannot be read or written.
        ServingError: The server does not respond, or does not serve the model.
    """
    check_part(part, parts)
    check_keep(keep)
    check_outputs(outputs)
    check_deadline(deadline_seconds)
    log_root = _find_log(log, log_root)
    manifest = read_manifest(examples)
    shards = find_shards(examples, manifest, split)
    find_columns(manifest, key, keep)
    chosen = choose_model(model, name, version, serving_root, address)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(open_runner(chosen, signature, outputs, deadline_seconds))
        inputs = read_inputs(runner.signature, manifest, chosen.recipe, runner.by_tiffin, allow_missing)
        table = plan_columns(runner.signature, manifest, key, keep)
        called = signature or DEFAULT_SIGNATURE
        request = _digest(
            manifest, chosen, runner,
            [called, split, key, list(keep), list(runner.signature.outputs), allow_missing, log_root],
        )  # fmt: skip
        root = location or str(output)
        root = root.rstrip("/") if "://" in root else str(Path(root).resolve())
        home = storage.join(root, f"{manifest.version}-{chosen.name or 'model'}-{chosen.version}-{request[:8]}")
        _make_folder(home)
        logged: Log | None = None
        if log:
            settings = serving_root_of(serving_root)
            logged = open_log(
                home, log_root, chosen.name, manifest.version, (called, runner.signature), request, settings
            )
        executor = stack.enter_context(ThreadPoolExecutor(runner.calls, thread_name_prefix="predict"))
        kept = next(iter(find_columns(manifest, key, ())), None)
        batch = Batch(home, request, chosen.name, runner, inputs, table, kept.name if kept else "", logged, executor)
        files, reused = [], 0
        for file, was_complete in _files(batch, shards, part, parts):
            files.append(file)
            reused += was_complete
    share = logged.keeps.share if logged else 1.0
    fixed = (*allowed_missing(inputs.absent), *table.notes)
    found = Predictions(
        model=chosen.name,
        version=chosen.version,
        data_version=manifest.version,
        signature=called,
        split=split,
        location=home,
        request=request,
        rows=sum(file.rows for file in files),
        columns=table.described,
        files=tuple(files),
        parts=parts,
        part=part,
        classes=chosen.recipe.classes if chosen.recipe else (),
        log=log_root,
        log_share=share,
        notes=(*fixed, *count_notes(files, chosen.version, share)),
    )
    # The document is the same whether files are made or reused; the artifact has the number.
    store(part_location(home, part, parts), documents.format_document(found))
    found = replace(found, reused=reused)
    if parts == 1:
        found = replace(finish(examples, [home], found.notes), reused=reused, notes=found.notes)
        write_predictions(output, found)
    else:
        # The last step tells the notes of all parts.
        write_predictions(output, replace(found, notes=()))
    return found


def serving_root_of(serving_root: str) -> str:
    """Return the serving root that has the settings of a model's log; empty if there is none here."""
    root = root_of(serving_root)
    return "" if root and "://" not in root and not os.path.isdir(root) else root


def _find_log(log: bool, log_root: str) -> str:
    if not log:
        return ""
    found = log_root or os.environ.get(_LOG_ROOT, "")
    if not found:
        raise InputError(
            f"log_root should be the path or URI of the prediction log, since log=true. Received: log_root='', and {_LOG_ROOT} "
            "is not set. Set one of them."
        )
    return found


def _digest(manifest: Manifest, chosen: Chosen, runner: Runner, parameters: Sequence[object]) -> str:
    """Return the digest of all that the files depend on, beside the shards."""
    model = [chosen.name, chosen.version, runner.digest, chosen.address and chosen.is_pinned]
    content = [_FORMAT, UNIT_ROWS, manifest.version, model, parameters]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _make_folder(home: str) -> None:
    if "://" not in home:
        with storage.files.explained("write to", home):
            Path(home).mkdir(parents=True, exist_ok=True)


def _files(batch: Batch, shards: Sequence[Shard], part: int, parts: int) -> Iterator[tuple[PredictionFile, bool]]:
    """Yield the files of a part in order, and whether each was complete before."""
    is_open = False
    for shard in open_units(shards, part, parts):
        for unit in shard.units:
            if complete := find_complete(batch, unit, shard.digest):
                yield complete, True
                continue
            if not is_open:
                # What the folder had is not complete from here on.
                storage.delete(storage.join(batch.home, COMPLETE))
                is_open = True
            yield write_file(batch, unit, shard), False
