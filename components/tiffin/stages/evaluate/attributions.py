"""Which columns the predictions depend on: attributions of the signature `explain`, over some rows of the split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.measures import Attribution, Attributions, Effect
from tiffin.artifacts.notes import Note
from tiffin.quality.cuts import cut_batches
from tiffin.stages.evaluate.predictions import inputs_of, tensors
from tiffin.stages.evaluate.spread import Spread

# Rows that are explained, evenly spread over the split. An explanation takes several times as long as a prediction.
MOST_ROWS = 1000
# Columns, largest attributions first, whose groups are listed.
MOST_COLUMNS = 8
_BATCH_ROWS = 128


class Sample:
    """Rows for attributions, gathered as batches come.

    Args:
        rows: Number of rows of the split that will come.
    """

    def __init__(self, rows: int) -> None:
        self._spread = Spread(rows, MOST_ROWS)
        self._batches: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        chosen = self._spread.choose(batch.num_rows)
        if len(chosen):
            self._batches.append(batch.take(pa.array(chosen)))

    def table(self) -> pa.Table:
        """Return the gathered rows."""
        return pa.Table.from_batches(self._batches)


def measure(explain: Any, sample: Sample, manifest: Manifest) -> tuple[Attributions | None, list[Note]]:
    """Return the mean attributions of each column.

    Args:
        explain: Signature `explain`; None for a model without it.
        sample: Rows with the columns of the signature's inputs.
        manifest: Manifest of the examples.

    Returns:
        The attributions; None for a model without the signature, or whose attributions are not numbers. And notes.
    """
    if explain is None:
        return None, []
    table = sample.table().combine_chunks()
    names = list(inputs_of(explain))
    logical = {column.name: column.logical for column in manifest.columns}
    parts: list[np.ndarray] = []
    for batch in table.to_batches(_BATCH_ROWS):
        answer = explain(**tensors(explain, batch, logical))
        parts.append(np.stack([np.asarray(answer[name], np.float64) for name in names if name in answer], axis=1))
    found = np.concatenate(parts)
    explained = [name for name in names if name in answer]
    finite = np.isfinite(found).all(axis=1)
    if not finite.any() or not explained:
        text = "no attributions: those of the signature explain are not finite numbers"
        return None, [Note("NOT_EXPLAINED", text, count=len(found))]
    notes = []
    if not finite.all():
        text = "rows left out of the attributions, which are not finite numbers for them"
        notes.append(Note("NOT_EXPLAINED", text, count=int((~finite).sum())))
        found, table = found[finite], table.filter(pa.array(finite))
    means = np.abs(found).mean(axis=0)
    order = sorted(range(len(explained)), key=lambda number: (-means[number], number))
    effects = _effects(table, found, [explained[number] for number in order[:MOST_COLUMNS]], explained, manifest)
    columns = tuple(
        Attribution(explained[number], float(f"{means[number]:.8g}"), effects.get(explained[number], ()))
        for number in order
    )
    return Attributions(len(found), columns), notes


def _effects(
    table: pa.Table, found: np.ndarray, chosen: Sequence[str], explained: Sequence[str], manifest: Manifest
) -> Mapping[str, tuple[Effect, ...]]:
    """Return, for each of the chosen columns, the mean attribution of each group of its values."""
    columns = [column for column in manifest.columns if column.name in chosen]
    shown = {column.name: manifest.original_name(column.name) for column in columns}
    effects = {}
    for name, cut in cut_batches(table.select(list(shown)).to_batches(), columns, len(table), shown).items():
        codes = cut.codes(table.column(name).combine_chunks())
        rows = np.bincount(codes, minlength=len(cut.names))
        sums = np.bincount(codes, found[:, explained.index(name)], len(cut.names))
        effects[name] = tuple(
            Effect(value, int(count), float(f"{total / count:.8g}"))
            for value, count, total in zip(cut.names, rows, sums, strict=True)
            if count
        )
    return effects
