"""Complete the predictions of a batch: check that all parts are there, and write the document that marks them as complete."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import COMPLETE, Predictions, join_parts, read_part, store, write_predictions
from tiffin.errors import DataError, InputError
from tiffin.stages.predict.files import WRITING
from tiffin.stages.predict.notes import COUNTED, count_notes
from tiffin.stages.predict.units import count_rows


def complete(
    examples: str | Path, output: str | Path, locations: Sequence[str], reused: Sequence[float] = ()
) -> Predictions:
    """Complete the predictions of all parts, write the artifact of the last step, and return its document.

    Args:
        examples: Folder of the examples artifact.
        output: Folder of the artifact.
        locations: Folder of the files, as each part returned it.
        reused: Number of files of each part that were complete before. Defaults to none.

    Raises:
        InputError: The parts are not of the same predictions.
        DataError: A part or a file is missing, or rows are.
        StorageError: The folder cannot be read or written.
    """
    # KFP passes the integers of a loop as floats.
    found = replace(finish(examples, locations), reused=round(sum(reused)))
    if len(locations) == 1:
        # The only part has told its notes.
        found = replace(found, notes=())
    write_predictions(output, found)
    return found


def finish(examples: str | Path, locations: Sequence[str], notes: Sequence[Note] | None = None) -> Predictions:
    """Return the document of all parts, after it was written beside their files.

    Files that are not of these predictions, as of a shard that was divided in another way, are removed.

    Args:
        examples: Folder of the examples artifact.
        locations: Folder of the files, as each part returned it.
        notes: Notes of the document. Defaults to those of all parts.

    Raises:
        InputError: The parts are not of the same predictions.
        DataError: A part or a file is missing, or rows are.
        StorageError: The folder cannot be read or written.
    """
    if len(set(locations)) != 1:
        received = ", ".join(map(repr, sorted(set(locations)))) or "none"
        raise InputError(
            f"locations should list the same folder once for each part. Received: {received}. Pass the output location of all "
            "parts."
        )
    home, parts = locations[0], len(locations)
    found = [read_part(home, part, parts) for part in range(parts)]
    if absent := [part for part, one in enumerate(found) if one is None]:
        raise DataError(
            f"All parts should be complete in '{home}'. Received: no part {', '.join(map(str, absent[:10]))} of {parts}. Run "
            "these parts again."
        )
    documents_of = [one for one in found if one is not None]
    joined = join_parts(documents_of)
    manifest = read_manifest(examples)
    if {one.request for one in documents_of} != {joined.request} or joined.data_version != manifest.version:
        raise InputError(
            f"The parts should be of the same model and parameters, and of the examples {manifest.version}. Received: parts of "
            f"{', '.join(sorted({one.data_version for one in documents_of}))} in '{home}'. Run all parts again."
        )
    _check_rows(joined, count_rows(manifest, joined.split))
    if notes is None:
        fixed = dict.fromkeys(note for one in documents_of for note in one.notes if note.code not in COUNTED)
        notes = (*fixed, *count_notes(joined.files, joined.version, joined.log_share))
    joined = replace(joined, notes=tuple(notes))
    _clean(home, joined)
    store(storage.join(home, COMPLETE), documents.format_document(replace(joined, reused=0)))
    return joined


def _check_rows(joined: Predictions, expected: Mapping[str, int]) -> None:
    rows: Counter[str] = Counter()
    for file in joined.files:
        rows.update({file.split: file.rows} if file.rows else {})
        if not storage.exists(storage.join(joined.location, file.name)):
            raise DataError(
                f"'{file.name}' should be in '{joined.location}', since its part is complete. Received: no such file. Run the "
                "parts again."
            )
    wanted = {split: count for split, count in expected.items() if count}
    if dict(rows) != wanted:
        raise DataError(
            f"The files in '{joined.location}' should have the rows of the examples: {wanted}. Received: {dict(rows)}. Run the "
            "parts again."
        )


def _clean(home: str, joined: Predictions) -> None:
    """Remove files of other predictions, and what killed attempts left."""
    names = {file.name for file in joined.files}
    if names:
        for file in storage.list_files(home):
            name = file.uri.rsplit("/", 1)[-1]
            if name.endswith(".parquet") and name not in names:
                storage.delete(file.uri)
    if "://" not in home:
        for folder in Path(home).glob(f"{WRITING}*"):
            shutil.rmtree(folder, ignore_errors=True)
