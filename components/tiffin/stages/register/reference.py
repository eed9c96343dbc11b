"""The files that the monitoring of a registered version compares with, see `tiffin.artifacts.reference`."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Manifest
from tiffin.artifacts.model import TRAINING, Training
from tiffin.artifacts.reference import SCHEMA, STATISTICS
from tiffin.artifacts.verdict import VERDICT
from tiffin.errors import InputError
from tiffin.masking import masked


@contextmanager
def gathered(
    model: str | Path,
    evaluation: str | Path,
    record: Training,
    manifest: Manifest | None = None,
    statistics: str | Path = "",
    schema: str | Path = "",
) -> Iterator[Path]:
    """Yield a temporary folder with the files.

    The verdict is also in the run's folder `evaluation`, which people look at, and the record in the model. They are small,
    and with them the folder is complete: one download has everything.

    Args:
        model: Folder of the model artifact.
        evaluation: Folder of the evaluation artifact.
        record: Record of the training.
        manifest: Manifest of the examples; None for none.
        statistics: Folder of the statistics artifact; empty for none.
        schema: Folder of the schema artifact; empty for none.

    Raises:
        InputError: An artifact lacks its file, or the schema is not the one that the model was trained with.
    """
    if schema:
        _check_schema(schema, record)
    sources = {STATISTICS: statistics, SCHEMA: schema, VERDICT: evaluation, TRAINING: model}
    with tempfile.TemporaryDirectory(prefix="tiffin-") as temporary:
        folder = Path(temporary)
        for name, artifact in sources.items():
            if artifact:
                _copy(Path(artifact) / name, folder / name)
        if manifest:
            documents.write(folder / MANIFEST, _without_secrets(manifest))
        yield folder


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        documents.read_bytes(source)  # raises the error of a missing file
    shutil.copyfile(source, target)


def _check_schema(schema: str | Path, record: Training) -> None:
    # Imports protobuf messages.
    from tiffin.artifacts.schema import digest_schema

    digest = digest_schema(schema)
    if record.schema_digest and digest != record.schema_digest:
        raise InputError(
            f"schema should be the one that the model was trained with, whose digest is {record.schema_digest}. "
            f"Received: schema='{schema}' with the digest {digest}. Pass the schema that was passed to the training."
        )


def _without_secrets(manifest: Manifest) -> Manifest:
    sources = tuple(replace(source, uri=masked(source.uri)) for source in manifest.sources)
    notes = tuple(replace(note, text=masked(note.text), example=masked(note.example)) for note in manifest.notes)
    return replace(manifest, sources=sources, notes=notes)
