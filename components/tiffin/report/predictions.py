"""The section about the predictions of a batch: the model, the columns and the files."""

from collections.abc import Mapping

from tiffin.artifacts.predictions import PredictionColumn, Predictions
from tiffin.masking import masked
from tiffin.report.data import listing
from tiffin.report.page import Block, Text

_MOST_OPEN = 20
_SOURCES = {"row": "place of the row in the examples", "model": "what predicted the row"}


def describe_predictions(found: Predictions, names: Mapping[str, str]) -> list[Block]:
    """Describe the predictions of all parts.

    Args:
        found: The predictions.
        names: Name of a column in the examples to its name in the data, where they differ.
    """
    blocks: list[Block] = [Text(f"{found.sentence}. Signature {found.signature}, data {found.data_version}.")]
    facts = [
        ("location", masked(found.location)),
        ("parts", f"{found.parts:,}" if found.parts > 1 else ""),
        ("files complete before", f"{found.reused:,}" if found.reused else ""),
        ("classes", ", ".join(found.classes)),
        ("prediction log", masked(found.log)),
        ("rows in the prediction log", f"{sum(file.logged for file in found.files):,}" if found.log else ""),
    ]
    blocks += listing(("what", "value"), [fact for fact in facts if fact[1]])
    if len(found.versions) > 1:
        versions = [(version, f"{rows:,}") for version, rows in found.versions.items()]
        blocks += listing(("version", "rows"), versions, "lr", "Versions")
    columns = [(column.name, column.type, _source(column, names)) for column in found.columns]
    blocks += listing(("column", "type", "what"), columns, title="Columns", is_folded=len(columns) > _MOST_OPEN)
    files = [(file.name, f"{file.rows:,}", file.digest) for file in found.files]
    blocks += listing(("file", "rows", "SHA-256"), files, "lrl", "Files", len(files) > _MOST_OPEN)
    return blocks


def _source(column: PredictionColumn, names: Mapping[str, str]) -> str:
    if column.source == "example":
        return f"'{names.get(column.of, column.of)}' of the data"
    return f"output '{column.of}' of the model" if column.source == "output" else _SOURCES[column.source]
