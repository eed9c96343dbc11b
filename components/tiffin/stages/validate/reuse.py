"""Compute the statistics of examples, or reuse those of the same data version; and find those of another version."""

import dataclasses
import hashlib
import json
import tempfile
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.results import digest_code, find_about, obtain
from tiffin.artifacts.statistics import read_statistics, write_statistics
from tiffin.printing import printable

_STEP = "compute_statistics"
_PACKAGES = ("tiffin.stages.validate", "tiffin.validation", "tiffin.artifacts")
_DISTRIBUTIONS = ("tensorflow-data-validation", "numpy", "pyarrow")


def compute_or_reuse(
    examples: str | Path, output: str | Path, *, store: str = "", reuse: bool = True, run: str = ""
) -> tuple[Note, ...]:
    """Write the statistics artifact, and return a note if the statistics were reused.

    Args:
        examples: Folder of the examples artifact.
        output: Folder of the statistics artifact.
        store: Folder or URI that keeps statistics; empty for TIFFIN_RESULT_STORE.
        reuse: Whether to reuse statistics.
        run: ID of the run.

    Raises:
        InputError: The examples are not an artifact, or a shard does not match the manifest.
    """
    manifest = read_manifest(examples)
    inputs = {
        "data_version": manifest.version,
        "columns": _digest_columns(manifest),
        "code": digest_code(_PACKAGES, _DISTRIBUTIONS),
    }

    def make() -> None:
        from tiffin.validation.statistics import compute

        write_statistics(output, compute(examples))

    notes = obtain(_STEP, inputs, Path(output), make, about=manifest.version, store=store, reuse=reuse, run=run)
    notes = tuple(dataclasses.replace(note, text=f"statistics: {note.text}") for note in notes)
    for note in notes:
        print(printable(note.text), flush=True)  # noqa: T201 - the step's log
    return notes


def find_kept(
    data_version: str, scratch: str | Path, *, store: str = ""
) -> tuple[statistics_pb2.DatasetFeatureStatisticsList | None, tuple[Note, ...]]:
    """Return the newest statistics that a store has of a data version, also those of an earlier Tiffin; None without any.

    Args:
        data_version: Version of the data.
        scratch: Existing folder for temporary files.
        store: Folder or URI that keeps statistics; empty for TIFFIN_RESULT_STORE.

    Returns:
        The statistics, and a note for each result that cannot be read.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".kept-") as folder:
        output = Path(folder, "statistics")
        is_there, notes = find_about(_STEP, data_version, output, store=store)
        return read_statistics(output) if is_there else None, notes


def _digest_columns(manifest: Manifest) -> str:
    """Return the digest of what the data version leaves out: what integers stand for, the key, and the splits' names."""
    columns = [dataclasses.astuple(column) for column in manifest.columns]
    content = [columns, manifest.final_name(manifest.key), sorted(manifest.splits)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
