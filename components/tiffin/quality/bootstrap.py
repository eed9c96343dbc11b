"""Bootstrap samples of rows, drawn as counts of cells: no round needs a pass over the rows.

Each row is drawn a Poisson(1) number of times (Chamandy et al., "Estimating uncertainty for massive data streams", 2012), so
a cell of n rows that count alike is drawn Poisson(n) times. Cells come from sorted values and the generator is seeded from
the data, so the result depends neither on batches nor on the order of the rows.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from tiffin.artifacts.measures import Interval

ROUNDS = 1000
# Rows of up to this number are cells of their own; of more rows, the extreme ones are, and the others are grouped.
CELLS = 1024
_EXTREME = 128
# Rounds that are drawn at once, so that the counts stay in the cache.
_CHUNK = 125
_SHARE = 0.95
# Rounds in which a metric must be defined, as it is not in a sample without positive rows.
_FEWEST = 0.9


def seeded(*names: object) -> np.random.Generator:
    """Return a generator of random numbers that depends on these names only, such as the data version and a metric."""
    return np.random.default_rng(int(hashlib.sha256(repr(names).encode()).hexdigest()[:16], 16))


def draws(counts: np.ndarray, rng: np.random.Generator, rounds: int = ROUNDS) -> Iterator[np.ndarray]:
    """Yield how often cells are drawn, `[some rounds, cells]`, until there are `rounds`.

    Args:
        counts: Number of rows of each cell, `[cells]`.
        rng: Generator, as `seeded` returns it.
        rounds: Number of bootstrap samples.
    """
    expected = counts.astype(np.float64)
    for start in range(0, rounds, _CHUNK):
        yield rng.poisson(expected, (min(_CHUNK, rounds - start), len(expected))).astype(np.float64)


def means(columns: np.ndarray, rng: np.random.Generator, rounds: int = ROUNDS) -> np.ndarray:
    """Return the means of columns in bootstrap samples of their rows, `[rounds, columns]`.

    Of more rows than CELLS, rows with near values in the first column share a cell and count by its mean; what the values vary
    within cells is added as normal noise with the same covariance.

    Args:
        columns: Values, `[rows, columns]`.
        rng: Generator, as `seeded` returns it.
        rounds: Number of bootstrap samples.
    """
    # By all columns, so that the sums are the same in any order of the rows.
    ordered = columns[np.lexsort(columns.T[::-1])]
    rows = len(ordered)
    if rows <= CELLS:
        counts, values, lost = np.ones(rows, np.int64), ordered, None
    else:
        inner = np.linspace(_EXTREME, rows - _EXTREME, CELLS - 2 * _EXTREME + 1).round().astype(int)
        starts = np.concatenate([np.arange(_EXTREME), inner[:-1], np.arange(rows - _EXTREME, rows)])
        counts = np.diff(starts, append=rows)
        values = np.add.reduceat(ordered, starts) / counts[:, None]
        apart = ordered - np.repeat(values, counts, axis=0)
        lost = apart.T @ apart
    found = []
    for drawn in draws(counts, rng, rounds):
        sums = drawn @ values
        if lost is not None:
            sums += rng.multivariate_normal(np.zeros(len(lost)), lost, len(drawn), method="eigh", check_valid="ignore")
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(sums / drawn.sum(axis=1, keepdims=True))
    return np.concatenate(found)


def interval(value: float | None, samples: np.ndarray, low: float = -np.inf, high: float = np.inf) -> Interval | None:
    """Return the 95 % percentile interval of a metric, moved so that the samples' mean is the value.

    The samples of a metric such as a largest difference are larger than the value on average, since a sample adds noise.

    Args:
        value: The metric on all rows; None if it is undefined.
        samples: The metric in the bootstrap samples; NaN where it is undefined.
        low: Smallest possible value. Defaults to none.
        high: Largest possible value. Defaults to none.

    Returns:
        The interval; None if the metric is undefined, or in a tenth of the samples.
    """
    defined = samples[np.isfinite(samples)]
    if value is None or len(defined) < _FEWEST * len(samples) or not len(defined):
        return None
    ends = np.quantile(defined, [(1 - _SHARE) / 2, (1 + _SHARE) / 2]) - defined.mean() + value
    first, last = np.clip(ends, low, high).tolist()
    return Interval(float(f"{min(first, value):.8g}"), float(f"{max(last, value):.8g}"))
