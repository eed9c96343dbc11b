"""Slices: the metrics of groups of rows, by a column or a pair of columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiffin.artifacts.measures import Slice
from tiffin.artifacts.notes import Note
from tiffin.quality import intervals, metrics
from tiffin.quality.cuts import MOST_TEXTS, Cut
from tiffin.quality.outcomes import Outcomes

# Slices of a column or a pair of columns; those with the most rows.
MOST_SLICES = 50


@dataclass(frozen=True)
class Rows:
    """The rows of a slice: what they have in common, and their positions."""

    value: str
    positions: np.ndarray


def divide(
    columns: Sequence[str], cuts: Mapping[str, Cut], codes: Mapping[str, np.ndarray], min_rows: int
) -> tuple[list[Rows], list[Note]]:
    """Return the slices by columns that have the minimum number of rows, and notes on what was left out."""
    shown = " and ".join(columns)
    for name in columns:
        if name not in cuts:
            text = f"{name}: not divided into groups, since it has more than {MOST_TEXTS:,} distinct values"
            return [], [Note("SLICE_TOO_MANY_VALUES", text, name)]
    group = np.zeros(len(codes[columns[0]]), np.int64)
    for name in columns:
        group = group * len(cuts[name].names) + codes[name]
    order = np.argsort(group, kind="stable")
    present, starts = np.unique(group[order], return_index=True)
    counts = np.diff(starts, append=len(order))
    wanted = counts >= min_rows
    if wanted.sum() > MOST_SLICES:
        largest = np.argsort(-counts, kind="stable")[:MOST_SLICES]
        wanted &= np.isin(np.arange(len(counts)), largest)
    found = [
        Rows(
            _value(int(present[number]), columns, cuts),
            np.sort(order[starts[number] : starts[number] + counts[number]]),
        )
        for number in np.flatnonzero(wanted)
    ]
    small, others = counts < min_rows, ~wanted & (counts >= min_rows)
    notes = []
    for code, which, why in (
        ("SLICE_TOO_FEW_ROWS", small, f"each has fewer than {min_rows} rows, see min_slice_rows"),
        ("SLICE_NOT_AMONG_LARGEST", others, f"only the {MOST_SLICES} largest are evaluated"),
    ):
        if groups := int(which.sum()):
            rows = int(counts[which].sum())
            text = (
                f"{shown}: {groups} group{'s' * (groups > 1)} with {rows:,} row{'s' * (rows > 1)} "
                f"{'are' if groups > 1 else 'is'} not evaluated by itself: {why}"
            )
            notes.append(Note(code, text, shown, rows))
    return found, notes


def _value(group: int, columns: Sequence[str], cuts: Mapping[str, Cut]) -> str:
    names = []
    for name in reversed(columns):
        group, code = divmod(group, len(cuts[name].names))
        names.append(cuts[name].names[code])
    return ", ".join(reversed(names))


def measure(outcomes: Outcomes, columns: Sequence[str], found: Sequence[Rows], seed: str) -> Iterator[Slice]:
    """Yield the metrics of slices, with their intervals."""
    for rows in found:
        part = outcomes.of(rows.positions)
        values = metrics.measure(part)
        ends = intervals.find_intervals(part, values, seed, *columns, rows.value)
        yield Slice(tuple(columns), rows.value, part.rows, values, ends)
