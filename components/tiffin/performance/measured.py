"""Performance with labels: the metrics of `tiffin.quality.definitions`, as at evaluation, with 95 % intervals.

Of the window as a whole, of each period (all of the same length, in UTC), and of each slice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from tiffin.artifacts.measures import ClassRecall, Slice
from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import Measurement, Period
from tiffin.performance.ranked import auc_error
from tiffin.performance.rows import Rows, mask_between
from tiffin.quality import bootstrap, intervals, metrics, slices
from tiffin.quality.outcomes import Outcomes

# Lengths of periods in seconds: hours, days and weeks.
LENGTHS = tuple(hours * 3600 for hours in (1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 28))
MOST_PERIODS = 60
# Rows with a label that the median period should have.
PERIOD_ROWS = 500
SLICE_ROWS = 100


def measure(outcomes: Outcomes, *seed: object, rounds: int = bootstrap.ROUNDS) -> Measurement:
    """Return the metrics of rows with labels.

    Args:
        outcomes: Labels and predictions.
        *seed: Names that the intervals depend on, such as the model and the start of the window.
        rounds: Number of bootstrap samples. Defaults to 1,000.
    """
    values = metrics.measure(outcomes)
    ends = intervals.find_intervals(outcomes, values, *seed, rounds=rounds) if outcomes.rows else {}
    errors = {name: (one.high - one.low) / 3.92 for name, one in ends.items()}
    if outcomes.task == "binary" and values["auc"] is not None:
        errors["auc"] = auc_error(outcomes.truth == 1, outcomes.answer)
    return Measurement(outcomes.rows, values, ends, errors)


def measure_classes(outcomes: Outcomes, classes: Sequence[str], *seed: object) -> tuple[ClassRecall, ...]:
    """Return the recall of each class, as the evaluation has it; none for a regression.

    Args:
        outcomes: Labels and predictions.
        classes: Names of the classes, in the order of the model's outputs.
        *seed: Names that the intervals depend on.
    """
    if outcomes.task == "regression" or not outcomes.rows:
        return ()
    matrix = metrics.confusion(outcomes)
    drawn = intervals.recall_samples(matrix, bootstrap.seeded(*seed, "recall"))
    values, rows = metrics.recalls(matrix), matrix.sum(axis=1).tolist()
    return tuple(
        ClassRecall(name, rows[place], values[place], bootstrap.interval(values[place], drawn[:, place], 0, 1))
        for place, name in enumerate(classes)
    )


def choose_length(rows: Rows) -> int:
    """Return the length of periods in seconds: the shortest of which 60 are enough, and half have 500 labels."""
    seconds = rows.seconds[rows.labelled]
    offset = rows.start // 1_000_000
    span = int(rows.seconds.max()) + 1 if len(rows.seconds) else 0
    for length in LENGTHS:
        counts = np.bincount((seconds + offset % length) // length) if len(seconds) else np.zeros(1, int)
        filled = counts[counts > 0]
        if span <= length * (MOST_PERIODS - 1) and len(filled) and np.median(filled) >= PERIOD_ROWS:
            return length
    # The shortest with few enough periods: with few labels, at least the answers are shown by time.
    enough = [length for length in LENGTHS if span <= length * (MOST_PERIODS - 1)]
    days = [length for length in enough if length >= 24 * 3600]
    return (days or enough or LENGTHS[-1:])[0]


def measure_periods(
    rows: Rows, length: int, *seed: object, end: int | None = None, rounds: int = bootstrap.ROUNDS
) -> Iterator[Period]:
    """Yield the metrics of each period with answers.

    Args:
        rows: The answers.
        length: Length of a period in seconds, as `choose_length` returns it.
        *seed: Names that the intervals depend on.
        end: End of the window in microseconds since 1970; a period ends there at the latest. Defaults to none.
        rounds: Number of bootstrap samples. Defaults to 1,000.
    """
    first = rows.start // 1_000_000
    place = (rows.seconds + first % length) // length
    for number in np.unique(place).tolist():
        begin = first - first % length + number * length
        wanted = mask_between(rows, begin - first, begin - first + length)
        last = begin + length if end is None else min(begin + length, end // 1_000_000)
        measured = measure(rows.outcomes(wanted), *seed, begin, rounds=rounds)
        is_whole = begin * 1_000_000 >= rows.start and last == begin + length
        yield Period(_moment(max(begin, first)), _moment(last), int(wanted.sum()), measured, is_whole)


@dataclass(frozen=True)
class MeasuredSlice:
    """The metrics of a slice of the rows with labels.

    Attributes:
        columns: Column, or pair of columns, that the rows were divided by.
        value: What the rows of the slice have in common, such as `city = Oslo`.
        measured: The metrics.
        counts: Number of rows of each class; None for regression.
    """

    columns: tuple[str, ...]
    value: str
    measured: Measurement
    counts: tuple[int, ...] | None

    @property
    def slice(self) -> Slice:
        """The slice as an evaluation has it."""
        own = self.measured
        return Slice(self.columns, self.value, own.rows, own.metrics, own.intervals)


def measure_slices(
    rows: Rows,
    by: Sequence[Sequence[str]],
    seed: str,
    min_rows: int = SLICE_ROWS,
    rounds: int = bootstrap.ROUNDS,
) -> tuple[tuple[MeasuredSlice, ...], tuple[Note, ...]]:
    """Return the metrics of slices of the rows with labels, and notes on groups that are left out.

    Args:
        rows: The answers.
        by: Columns, or pairs of columns, that divide the rows; each is among the rows' codes, or has too many values.
        seed: Name that the intervals depend on.
        min_rows: Fewest rows with a label of a slice. Defaults to 100.
        rounds: Number of bootstrap samples. Defaults to 1,000.
    """
    chosen = rows.labelled
    outcomes, codes = rows.outcomes(), {name: code[chosen] for name, code in rows.codes.items()}
    found: list[MeasuredSlice] = []
    notes: list[Note] = []
    for columns in by:
        parts, left_out = slices.divide(columns, rows.cuts, codes, min_rows)
        for part in parts:
            own = outcomes.of(part.positions)
            counts = None if own.task == "regression" else tuple(own.counts.tolist())
            measured = measure(own, seed, *columns, part.value, rounds=rounds)
            found.append(MeasuredSlice(tuple(columns), part.value, measured, counts))
        notes += left_out
    return tuple(found), tuple(notes)


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
