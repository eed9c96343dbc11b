"""Profiles: how often the values of a column are in each bin. They are small, and those of the same bins add up.

Numbers have bins between the edges of the baseline, which are its 32 quantiles: `(-inf, e0], (e0, e1], ..., (ek, inf)`. Equal
quantiles are one edge, so that a frequent value has a bin of its own.
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

# Values of texts that a profile lists; of more, the others are counted together.
MOST_TEXTS = 1000
# Numbers are compared with each edge if there are at most so many edges, and at least so many numbers.
_FEW_EDGES, _MANY_ROWS = 64, 4096


@dataclass(frozen=True)
class Numbers:
    """The values of a column of numbers.

    Attributes:
        rows: Number of rows.
        missing: Rows without a value, or with NaN.
        edges: Upper edges of the bins, growing.
        counts: Values in each bin, one more than edges; fractions come from statistics.
        low: Lower end of the first bin; NaN without values.
        high: Upper end of the last bin.
        logical: `boolean`, `date` or `timestamp`; empty for plain numbers.
        at_edges: How many values of each bin are known to be its upper edge; empty if unknown.
    """

    rows: int
    missing: int
    edges: tuple[float, ...]
    counts: tuple[float, ...]
    low: float = float("nan")
    high: float = float("nan")
    logical: str = ""
    at_edges: tuple[float, ...] = ()

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing


@dataclass(frozen=True)
class Texts:
    """The values of a column of texts.

    Attributes:
        rows: Number of rows.
        missing: Rows without a value.
        counts: Values to their rows, the most frequent first, at most 1,000.
        others: Rows with values that are not listed.
        listed_all: Whether all values are listed.
        has_known: Whether all values of the baseline are listed that occur.
        logical: Always empty.
    """

    rows: int
    missing: int
    counts: Mapping[str, int] = field(default_factory=dict)
    others: int = 0
    listed_all: bool = True
    has_known: bool = False
    logical: str = ""

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def single(self) -> int:
        """Listed values that one row has."""
        return sum(count == 1 for count in self.counts.values())


Profile = Numbers | Texts


def rank(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts with the most frequent value first, and values with equal counts in alphabetical order."""
    # Twice, since a stable order without a function for each item takes half of the time.
    ordered = sorted(sorted(counts), key=counts.__getitem__, reverse=True)
    return {value: counts[value] for value in ordered}


def make_texts(
    rows: int, missing: int, counts: Mapping[str, int], known: Collection[str] = (), most: int = MOST_TEXTS
) -> Texts:
    """Return the profile of counted texts.

    Args:
        rows: Number of rows.
        missing: Rows without a value.
        counts: Values to their rows.
        known: Values that are listed in any case, such as those of the baseline.
        most: Number of other values to list. Defaults to 1,000.
    """
    ranked = rank(counts)
    further = itertools.islice((value for value in ranked if value not in known), most)
    kept = {*further, *(value for value in known if value in ranked)}
    listed = {value: count for value, count in ranked.items() if value in kept}
    others = rows - missing - sum(listed.values())
    return Texts(rows, missing, listed, others, listed_all=not others, has_known=bool(known))


def count_numbers(values: np.ndarray, edges: tuple[float, ...], *, missing: int = 0, logical: str = "") -> Numbers:
    """Return the profile of numbers.

    Args:
        values: Numbers, of any shape; NaN counts as missing, an infinity is in the first or the last bin. Edges are compared with
            float32 as float32: 7.31 is still at the edge 7.31, and not above it.
        edges: Upper edges of the bins, growing.
        missing: Rows without a value, which `values` does not have. Defaults to 0.
        logical: What integers stand for. Defaults to plain numbers.
    """
    numbers = np.asarray(values).ravel()
    numbers = numbers if numbers.dtype == np.float32 else numbers.astype(np.float64)
    is_nan = np.isnan(numbers)
    known = numbers[~is_nan] if is_nan.any() else numbers
    with np.errstate(over="ignore"):
        places = np.asarray(edges, np.float64).astype(numbers.dtype)
    counts = _count_bins(known, places)
    low, high = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
    return Numbers(
        len(numbers) + missing, missing + int(is_nan.sum()), edges, tuple(counts.tolist()), low, high, logical
    )


def _count_bins(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the number of numbers up to and with the first edge, up to and with each next one, and above the last one."""
    if len(edges) > _FEW_EDGES or len(numbers) < _MANY_ROWS:
        return np.bincount(np.searchsorted(edges, numbers, side="left"), minlength=len(edges) + 1)
    # Comparing all numbers with one edge at a time takes a tenth of the time of finding the bin of each number.
    above = [len(numbers), *(int(np.count_nonzero(numbers > edge)) for edge in edges), 0]
    return -np.diff(above)


def find_edges(values: np.ndarray, bins: int = 32) -> tuple[float, ...]:
    """Return the edges of bins with about equal numbers of values: quantiles that are values, each once.

    Args:
        values: Numbers; those that are not finite are left out.
        bins: Number of bins. Defaults to 32.
    """
    known = np.sort(np.asarray(values, np.float64)[np.isfinite(values)], axis=None)
    if not len(known):
        return ()
    places = np.ceil(np.arange(1, bins + 1) * len(known) / bins).astype(int) - 1
    return tuple(np.unique(known[places]).tolist())


def rebin(numbers: Numbers, edges: tuple[float, ...]) -> np.ndarray:
    """Return the values in other bins. Between its own edges, a profile is taken as evenly spread, without those at an edge.

    Args:
        numbers: The profile.
        edges: Upper edges of the other bins, growing.
    """
    if numbers.edges == edges:
        return np.asarray(numbers.counts, np.float64)
    total = float(sum(numbers.counts))
    if not total:
        return np.zeros(len(edges) + 1)
    places, up_to = _distribution(numbers)
    found = np.interp(edges, places, up_to, left=0.0, right=total)
    return np.diff(np.concatenate([[0.0], found, [total]]))


def _distribution(numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Return places in ascending order, and the number of values up to each of them. A place is twice there if values are at it.

    The first number of such a place is of the values below it.
    """
    edges, total = np.asarray(numbers.edges, np.float64), float(sum(numbers.counts))
    up_to = np.cumsum(numbers.counts[: len(edges)])
    at_edges = np.asarray(numbers.at_edges or np.zeros(len(edges)))[: len(edges)]
    first = len(edges) == 0 or numbers.low < edges[0]
    places = np.concatenate([[numbers.low] if first else [], np.repeat(edges, 2)])
    found = np.concatenate([[0.0] if first else [], np.stack([up_to - at_edges, up_to], axis=1).ravel()])
    if len(edges) and numbers.high <= edges[-1]:
        found[-1] = total
        return places, found
    return np.append(places, numbers.high), np.append(found, total)


def add(one: Profile, other: Profile, known: Collection[str] = ()) -> Profile:
    """Return the profile of the rows of both.

    Args:
        one: A profile.
        other: A profile of the same kind; numbers should have the same edges.
        known: Texts that are listed in any case, such as those of the baseline.

    Raises:
        ValueError: The bins differ.
    """
    if isinstance(one, Texts) and isinstance(other, Texts):
        counts = dict(one.counts)
        for value, count in other.counts.items():
            counts[value] = counts.get(value, 0) + count
        rows, missing = one.rows + other.rows, one.missing + other.missing
        return make_texts(rows, missing, counts, known)
    if not isinstance(one, Numbers) or not isinstance(other, Numbers) or one.edges != other.edges:
        raise ValueError("profiles that are added should have the same bins")
    return Numbers(
        one.rows + other.rows,
        one.missing + other.missing,
        one.edges,
        tuple(a + b for a, b in zip(one.counts, other.counts, strict=True)),
        float(np.fmin(one.low, other.low)),
        float(np.fmax(one.high, other.high)),
        one.logical,
    )
