"""The predictions of a batch: Parquet files, one for each unit of rows, and the document that marks them as complete.

predictions.json            in the artifact of a step: what it predicted
<split>-<shard>-<unit>.parquet
_predictions.json           beside the files, once all of them are complete
_parts/                     the document of each part
_units/                     the entry of each file, written after the file
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note
from tiffin.storage.files import write_bytes

PREDICTIONS = "predictions.json"
COMPLETE = "_predictions.json"
# A reader of the folder skips names that start with an underscore.
PARTS, UNITS = "_parts", "_units"


@dataclass(frozen=True)
class PredictionColumn:
    """A column of the files.

    Attributes:
        name: Name of the column.
        type: Type of the values, as Arrow writes it, such as `float`, `string` or `list<item: float>`.
        source: What it is: `row`, where the row is in the examples; `model`; `example`, a copied column; or `output`.
        of: Name of the column of the examples, or of the output of the signature; empty for others.
    """

    name: str
    type: str
    source: str
    of: str = ""


@dataclass(frozen=True)
class PredictionFile:
    """A complete file.

    Attributes:
        name: Name of the file.
        split: Split of its rows.
        rows: Number of rows.
        digest: SHA-256 of the file, in hexadecimal digits.
        versions: Version of the model to the number of rows that it predicted.
        unreadable_dates: Rows with a date that the model could not read.
        replaced_texts: Values of text outputs that are not UTF-8, whose bytes were replaced.
        logged: Number of rows in the prediction log.
        unsecured: Columns left out of the prediction log, since they are hashed and there is no secret.
    """

    name: str
    split: str
    rows: int
    digest: str
    versions: dict[str, int]
    unreadable_dates: int = 0
    replaced_texts: int = 0
    logged: int = 0
    unsecured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictions:
    """Predictions of examples by a model.

    Attributes:
        model: Name of the model; empty if it was passed as an artifact without a name.
        version: Version that was asked for, or found in production; 0 for a model without a version.
        data_version: Version of the examples.
        signature: Signature of the model that was called.
        split: Split of the examples; empty for all.
        location: Folder of the files: an absolute path or a URI.
        request: Digest of all that the files depend on.
        rows: Number of rows.
        columns: Columns of the files, in order.
        files: The files, in the order of the rows.
        parts: Number of parts that the rows were divided into.
        part: Number of the part that the document is of, from 0; None for all of them.
        reused: Files that were complete before.
        classes: Classes in the order of the model's probabilities; empty without classes, or if they are unknown.
        log: Location of the prediction log; empty if the rows are not in it.
        log_share: Share of the rows that the prediction log keeps of the model.
        notes: What to tell the user.
    """

    model: str
    version: int
    data_version: str
    signature: str
    split: str
    location: str
    request: str
    rows: int
    columns: tuple[PredictionColumn, ...]
    files: tuple[PredictionFile, ...]
    parts: int = 1
    part: int | None = None
    reused: int = 0
    classes: tuple[str, ...] = ()
    log: str = ""
    log_share: float = 1.0
    notes: tuple[Note, ...] = ()

    @property
    def versions(self) -> dict[str, int]:
        """Version of the model to the number of rows that it predicted, by version."""
        found: Counter[str] = Counter()
        for file in self.files:
            found.update(file.versions)
        return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))

    @property
    def model_text(self) -> str:
        """The model with its version, or versions."""
        versions = [version for version in self.versions if version != "0"]
        number = ", ".join(versions) or (str(self.version) if self.version else "")
        name = self.model or "the model artifact"
        return f"{name} version {number}" if number else name

    @property
    def sentence(self) -> str:
        """The outcome in one line: rows, model, files and location."""
        part = "" if self.part is None or self.parts == 1 else f"part {self.part + 1} of {self.parts}: "
        reused = f", {self.reused:,} complete before," if self.reused else ""
        files = "1 file" if len(self.files) == 1 else f"{len(self.files):,} files"
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{part}{rows} predicted by {self.model_text}; {files}{reused} in {self.location}"


def write_predictions(artifact: str | Path, predictions: Predictions) -> None:
    """Write the document of an artifact."""
    documents.write(Path(artifact) / PREDICTIONS, predictions)


def read_predictions(artifact: str | Path) -> Predictions:
    """Read the document of an artifact.

    Raises:
        InputError: The file is missing or is not such a document.
    """
    return documents.read(Path(artifact) / PREDICTIONS, Predictions)


def part_location(location: str, part: int, parts: int) -> str:
    """Return the location of the document of a part of the files at a location."""
    return storage.join(location, PARTS, f"{part:05d}-of-{parts:05d}.json")


def unit_location(location: str, name: str) -> str:
    """Return the location of the entry of a file."""
    return storage.join(location, UNITS, f"{name}.json")


def store(location: str, content: bytes) -> None:
    """Write a file of the predictions, on local disk or in a bucket; a reader sees all of it or nothing.

    Raises:
        StorageError: The location cannot be written.
    """
    if "://" not in location:
        with storage.files.explained("write", location):
            write_bytes(location, content)
        return
    found = storage.read(location)
    if found is None or found[0] != content:
        storage.compare_and_swap(location, content, found[1] if found else None)


def read_part(location: str, part: int, parts: int) -> Predictions | None:
    """Return the document of a part; None if the part is not complete.

    Raises:
        InputError: The file is not such a document.
    """
    uri = part_location(location, part, parts)
    found = storage.read(uri)
    return documents.parse(found[0], Predictions, uri) if found else None


def join_parts(found: list[Predictions]) -> Predictions:
    """Return the document of all parts."""
    files = sorted((file for one in found for file in one.files), key=lambda file: file.name)
    return replace(
        found[0],
        part=None,
        rows=sum(one.rows for one in found),
        files=tuple(files),
        reused=sum(one.reused for one in found),
        notes=tuple(note for one in found for note in one.notes),
    )
