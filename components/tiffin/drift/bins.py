"""Bins that two profiles share: about ten for numbers, the frequent values of texts, missing values, and new values."""

import math
from dataclasses import dataclass

import numpy as np

from tiffin.artifacts.numbers import format_moment, format_number
from tiffin.drift.profiles import Numbers, Texts, rebin

# Bins of the divergences. More would find smaller changes of shape, and need more rows to tell them from chance.
_NUMBER_BINS = 10
_TEXT_BINS = 20
_MOST_BETWEEN = 1 / 8
# A text with fewer rows in the baseline is counted with the other values.
_LEAST_ROWS = 5
MISSING, OTHERS, NEW, RARE = "missing", "other values", "new values", "new or rare values"


@dataclass(frozen=True)
class Shared:
    """The rows of two profiles in the same bins.

    Attributes:
        names: Names of the bins.
        before: Rows of the baseline in each bin, `[bins]`.
        now: Other rows in each bin, `[bins]`.
    """

    names: tuple[str, ...]
    before: np.ndarray
    now: np.ndarray


@dataclass(frozen=True)
class Fine:
    """The numbers of two profiles in all bins of the baseline, without missing values.

    Attributes:
        edges: Upper edges of the bins.
        before: Values of the baseline, one more than edges.
        now: Other values.
    """

    edges: np.ndarray
    before: np.ndarray
    now: np.ndarray


def share_numbers(baseline: Numbers, current: Numbers) -> tuple[Shared, Fine]:
    """Return the rows of both in about ten bins of equal size of the baseline, and in all of its bins."""
    edges = baseline.edges
    fine = Fine(np.asarray(edges, np.float64), np.asarray(baseline.counts), rebin(current, edges))
    # Bins between edges that both have, if these are close enough: values between edges are only estimated.
    ends = _find_common(baseline, current)
    starts = np.append(0, ends + 1)
    groups = _group(np.add.reduceat(fine.before, starts))
    starts = starts[np.flatnonzero(np.diff(groups, prepend=-1))]
    before, now = (np.add.reduceat(counts, starts) for counts in (fine.before, fine.now))
    uppers = [edges[place - 1] for place in starts[1:]]
    names = tuple(_name(baseline, low, high) for low, high in zip([None, *uppers], [*uppers, None], strict=True))
    return _with_missing(names, before, now, baseline, current), fine


def _find_common(baseline: Numbers, current: Numbers) -> np.ndarray:
    """Return the places of the edges that both have, or of all edges if there is more than an eighth of the rows between two."""
    common = np.flatnonzero(np.isin(baseline.edges, current.edges))
    at_edges = np.asarray(baseline.at_edges or np.zeros(len(baseline.counts)))
    between = np.add.reduceat(np.asarray(baseline.counts, np.float64), np.append(0, common + 1))
    between[: len(common)] -= at_edges[common]
    return common if between.max() <= sum(baseline.counts) * _MOST_BETWEEN else np.arange(len(baseline.edges))


def _group(counts: np.ndarray) -> np.ndarray:
    """Return the tenth of the rows that the middle of each bin is in, from 0 to 9."""
    total = counts.sum()
    if not total:
        return np.zeros(len(counts), int)
    middles = np.cumsum(counts) - counts / 2
    return np.asarray(_NUMBER_BINS * middles / total, int).clip(max=_NUMBER_BINS - 1)


def _name(numbers: Numbers, low: float | None, high: float | None) -> str:
    if numbers.logical == "boolean":
        return "false" if high is not None and high <= 0 else "true"
    first, last = (None if place is None else _format(place, numbers.logical) for place in (low, high))
    if high is None:
        return f"> {first}" if low is not None else "all"
    return f"<= {last}" if low is None else f"{first} to {last}"


def _format(value: float, logical: str) -> str:
    if logical in ("date", "timestamp"):
        return format_moment(value, logical)
    return format_number(value)


@dataclass(frozen=True)
class Known:
    """The values of texts that both sides can be counted for.

    Attributes:
        values: Values that the baseline has in at least `least` rows.
        least: 1 if both sides list all of their values; else as many rows as a value needs to be listed by both.
        new_before: Rows of the baseline that are expected to have other values, if it were drawn again.
        new: Other rows that have other values.
        not_fewer: The same as `new_before`, but no larger share than that of `new`: rows that repeat those of the baseline,
            as in data that grows, have fewer new values than rows that are drawn again, which is no drift.
    """

    values: frozenset[str]
    least: int
    new_before: int
    new: int
    not_fewer: float


def find_known(baseline: Texts, current: Texts) -> Known:
    """Return the values that both sides can be counted for, and the rows with other values.

    Values that few rows have are not those that few rows of another sample have. By Good (1953, Biometrika 40, 237-264), the
    values that `k` rows or more of a sample have are expected in as many rows of another one as those of `k + 1` or more.
    """
    least = 1 if baseline.listed_all else min(baseline.counts.values(), default=0) + 1
    if not (current.listed_all or current.has_known) and current.present:
        rarest = min(current.counts.values(), default=0)
        least = max(least, math.ceil(2 * rarest * baseline.present / current.present))
    values = frozenset(value for value, count in baseline.counts.items() if count >= least)
    expected = sum(count for count in baseline.counts.values() if count > least)
    found = sum(count for value, count in current.counts.items() if value in values)
    new_before, new = baseline.present - expected, current.present - found
    not_fewer = min(new_before, baseline.present * new / current.present) if current.present else new_before
    return Known(values, least, new_before, new, not_fewer)


def share_texts(baseline: Texts, current: Texts) -> tuple[Shared, Known]:
    """Return the rows of both by value: the most frequent values of the baseline, others, new ones, and missing ones."""
    known = find_known(baseline, current)
    least = max(_LEAST_ROWS, known.least + 1)
    own = {value: count for value, count in list(baseline.counts.items())[:_TEXT_BINS] if count >= least}
    now = [current.counts.get(value, 0) for value in own]
    names = (*own, OTHERS, NEW if known.least == 1 else RARE)
    before_counts = [*own.values(), baseline.present - known.not_fewer - sum(own.values()), known.not_fewer]
    now_counts = [*now, current.present - known.new - sum(now), known.new]
    return _with_missing(names, np.array(before_counts, float), np.array(now_counts, float), baseline, current), known


def _with_missing(
    names: tuple[str, ...],
    before: np.ndarray,
    now: np.ndarray,
    baseline: Numbers | Texts,
    current: Numbers | Texts,
) -> Shared:
    """Return the bins that have rows, with one for missing values."""
    names = (*names, MISSING)
    before, now = np.append(before, baseline.missing), np.append(now, current.missing)
    kept = (before > 0) | (now > 0)
    return Shared(tuple(n for n, keep in zip(names, kept, strict=True) if keep), before[kept], now[kept])
