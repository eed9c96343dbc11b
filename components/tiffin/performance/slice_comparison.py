"""Compare slices with their values at training, by the test of `comparison`, beside the whole.

A slice has a counterpart if the evaluation has one of the same columns and name. `other values` have none: these are the values
that the evaluation does not list, which may be others than at training.

The level of all tests is divided by the number of comparisons that decide, those of the slices included (Bonferroni), so that
one look has a false alarm among all of them with at most the level's probability. A slice that decays by itself is found; more
slices need a larger loss each.
"""

from collections.abc import Sequence
from dataclasses import replace

from tiffin.artifacts.measures import Slice
from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import Compared, ComparedSlice, Measurement
from tiffin.performance.comparison import WATCHED, Reference, compare, reference_of_slice
from tiffin.performance.measured import MeasuredSlice
from tiffin.performance.ranked import LEVEL
from tiffin.quality.cuts import OTHER


def compare_all(
    measured: Measurement,
    reference: Reference,
    slices: Sequence[MeasuredSlice],
    before: Sequence[Slice],
    *,
    counts: Sequence[int] | None = None,
    level: float = LEVEL,
) -> tuple[tuple[Compared, ...], tuple[ComparedSlice, ...], tuple[Note, ...]]:
    """Compare the whole and its slices with their values at training.

    Args:
        measured: Metrics of all rows with labels.
        reference: Their values at training.
        slices: Metrics of slices of these rows.
        before: Slices of the evaluation.
        counts: Number of rows of each class in all rows: the AUC needs 10 of both. Defaults to enough of them.
        level: Probability of a false alarm among everything that is watched, above 0 and below 0.5. Defaults to 0.0025.

    Returns:
        The metrics of the whole; the watched metrics of each slice with a counterpart; and a note about the others.
    """
    watched = WATCHED[reference.task]
    by_name = {(one.columns, one.value): one for one in before}
    pairs = [
        (one, reference_of_slice(reference.task, by_name[one.columns, one.value]))
        for one in slices
        if (one.columns, one.value) in by_name and not _is_rest(one)
    ]
    tried = [one for part, own in pairs for one in _compare(part, own, level)]
    each = level / (len(watched) + sum(one.p_value is not None for one in tried))
    whole = compare(measured, reference, level=each * len(watched), counts=counts)
    found = tuple(
        ComparedSlice(part.columns, part.value, _compare(part, own, each * len(watched))) for part, own in pairs
    )
    return whole, found, _tell(slices, found)


def _is_rest(one: MeasuredSlice) -> bool:
    rests = [f"{name} = {OTHER}" for name in one.columns]
    return any(
        one.value == rest or one.value.startswith(f"{rest}, ") or one.value.endswith(f", {rest}") for rest in rests
    )


def _compare(part: MeasuredSlice, own: Reference, level: float) -> tuple[Compared, ...]:
    """Return the watched metrics of a slice beside its own at training. One without an interval there is not compared."""
    known = {name: value if name in own.errors else None for name, value in own.metrics.items()}
    found = compare(part.measured, replace(own, metrics=known), level=level, counts=part.counts)
    return tuple(one for one in found if one.level)


def _tell(slices: Sequence[MeasuredSlice], found: Sequence[ComparedSlice]) -> tuple[Note, ...]:
    known = {(one.columns, one.slice) for one in found}
    alone = [one for one in slices if (one.columns, one.value) not in known]
    if not alone:
        return ()
    text = (
        "slices are not compared with training, since the evaluation has none of the same groups; evaluate the model with the "
        "same slices"
    )
    return (Note("SLICE_WITHOUT_REFERENCE", text, count=len(alone), example=alone[0].value),)
