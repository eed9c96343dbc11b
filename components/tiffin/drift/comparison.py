"""Compare the profiles of two sets of rows: every distance of every column, and which of them are more than chance.

A distance drifts if it exceeds its mean by chance by more than its threshold, and if its p-value, corrected for the number of
distances by Benjamini and Hochberg (1995), is at most the level. So small samples, whose distances are large by chance, do
not decide anything, nor do small changes in many rows. Dates are measured and not judged: time moves on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tiffin.artifacts.drift import ColumnDrift, Distance, Drift, Form
from tiffin.artifacts.notes import Note
from tiffin.artifacts.numbers import format_number
from tiffin.drift import chance
from tiffin.drift.columns import DATES, measure_column, rounded
from tiffin.drift.limits import Limits
from tiffin.drift.profiles import Profile

_LISTED = 3


@dataclass(frozen=True)
class Sides:
    """What is compared.

    Attributes:
        baseline: Name of the baseline in messages.
        current: Name of the other rows.
        baseline_version: Data version of the baseline; empty if unknown.
        names: Name of a column to its name in messages, where they differ.
        baseline_form: What the baseline was counted from, `rows` or `statistics`; empty if unknown.
        current_form: The same of the other rows.
    """

    baseline: str
    current: str
    baseline_version: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    baseline_form: Form = ""
    current_form: Form = ""


def compare(
    baseline: Mapping[str, Profile],
    current: Mapping[str, Profile],
    sides: Sides,
    limits: Limits | None = None,
    importance: Mapping[str, float] | None = None,
    optional: frozenset[str] = frozenset(),
) -> Drift:
    """Return the drift of all columns.

    Args:
        baseline: Column to its profile in the baseline.
        current: Column to its profile in the other rows.
        sides: Names of both.
        limits: What may differ. Defaults to `THRESHOLDS` at a level of 0.005.
        importance: Column to its share in the attributions of the model. A column with less than half of an equal share does
            not decide the verdict. Defaults to none: every column counts.
        optional: Columns that a side may lack, such as the label.
    """
    limits = limits or Limits()
    names = [
        name
        for name in dict.fromkeys([*baseline, *current])
        if name not in optional or name in baseline.keys() & current
    ]
    rows_before, rows = (max((one.rows for one in side.values()), default=0) for side in (baseline, current))
    if not rows or not rows_before:
        # Without rows, no column is missing.
        names = []
    found = [measure_column(name, baseline.get(name), current.get(name), limits) for name in names]
    found = _decide(found, limits.level)
    if importance is not None:
        found = [_weigh(column, importance) for column in found]
    columns = sorted(
        found,
        key=lambda column: (not (column.drifted and column.counts), not column.drifted, -(column.importance or 0.0)),
    )
    deciding = [column for column in columns if column.drifted and column.counts]
    return Drift(
        drifted=bool(deciding),
        reason=_reason(columns, deciding, sides, rows_before, rows),
        baseline=sides.baseline,
        current=sides.current,
        rows_before=rows_before,
        rows=rows,
        level=limits.level,
        columns=tuple(columns),
        notes=tuple(_notes(columns, optional, baseline, current)),
        baseline_version=sides.baseline_version,
        baseline_form=sides.baseline_form,
        current_form=sides.current_form,
    )


def _decide(columns: list[ColumnDrift], level: float) -> list[ColumnDrift]:
    """Return the columns with corrected p-values and decisions."""
    judged = [
        distance.p_value
        for column in columns
        for distance in column.distances
        if distance.p_value is not None and distance.threshold is not None
    ]
    adjusted = iter(chance.adjust(np.array(judged)).tolist())
    return [_decide_column(column, adjusted, level) for column in columns]


def _decide_column(column: ColumnDrift, adjusted: Iterator[float], level: float) -> ColumnDrift:
    found = []
    for one in column.distances:
        if one.p_value is None or one.threshold is None:
            found.append(one)
            continue
        p_value = next(adjusted)
        above = (one.value or 0.0) - (one.by_chance or 0.0) > one.threshold
        found.append(replace(one, adjusted=rounded(p_value), drifted=above and p_value <= level))
    drifted = [one for one in found if one.drifted]
    if not drifted:
        return replace(column, distances=tuple(found))
    furthest = max(drifted, key=lambda one: (one.value or 0.0) / max(one.threshold or 0.0, 1e-9))
    return replace(column, distances=tuple(found), drifted=True, reason=_describe(furthest))


def _describe(one: Distance) -> str:
    name = one.measure.replace("_", " ")
    return f"{name} {one.value or 0.0:.3g}, above {format_number(one.threshold or 0.0)} (by chance {one.by_chance or 0.0:.2g})"


def _weigh(column: ColumnDrift, importance: Mapping[str, float]) -> ColumnDrift:
    share = importance.get(column.column)
    least = 0.5 / len(importance) if importance else 0.0
    return replace(column, importance=share, counts=share is not None and share >= least)


def _reason(columns: list[ColumnDrift], deciding: list[ColumnDrift], sides: Sides, rows_before: int, rows: int) -> str:
    if not rows or not rows_before:
        empty = sides.current if rows_before else sides.baseline
        return f"Nothing to compare: {empty} has no rows."
    other = sum(column.drifted for column in columns) - len(deciding)
    less = f" {other} more drifted that contribute little to the predictions." if other else ""
    if not deciding:
        return f"No column of {sides.current} drifted from {sides.baseline}.{less}"
    named = [(sides.names.get(one.column, one.column), one) for one in deciding[:_LISTED]]
    listed = "; ".join(
        f"'{name}' {one.reason}" if one.kind == "absent" else f"'{name}': {one.reason}" for name, one in named
    )
    more = f"; and {len(deciding) - _LISTED} more" if len(deciding) > _LISTED else ""
    count = "1 column" if len(deciding) == 1 else f"{len(deciding)} columns"
    return f"{count} of {sides.current} drifted from {sides.baseline}: {listed}{more}.{less}"


def _notes(
    columns: list[ColumnDrift],
    optional: frozenset[str],
    baseline: Mapping[str, Profile],
    current: Mapping[str, Profile],
) -> list[Note]:
    notes = []
    if times := [one.column for one in columns if one.reason == DATES]:
        notes.append(
            Note(
                "DATES_NOT_JUDGED",
                "the drift of dates is measured and not judged: time moves on",
                count=len(times),
                example=times[0],
            )
        )
    if minor := [one.column for one in columns if one.drifted and not one.counts]:
        text = "columns drifted that contribute little to the predictions, and do not count"
        notes.append(Note("UNIMPORTANT_DRIFT", text, count=len(minor), example=minor[0]))
    if left := sorted(name for name in optional if name in baseline.keys() ^ current.keys()):
        notes.append(
            Note("NOT_COMPARED", "columns that one side may lack were not compared", count=len(left), example=left[0])
        )
    return notes
