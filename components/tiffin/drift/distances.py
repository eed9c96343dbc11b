"""Distances between two distributions of the same bins.

`p` and `q` are the shares of the rows of the baseline and of the other rows in each bin; they add up to 1.
"""

import numpy as np

# Added to the rows of each bin by `population_stability_index`, whose logarithm needs shares above 0.
_PSEUDO = 0.5


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence in bits, as TFDV defines it; 0 means equal, 1 means no bin in common.

    Formula: sum(p log2(p / m) + q log2(q / m)) / 2, with m = (p + q) / 2 (Lin, 1991, IEEE Trans. Inf. Theory 37).
    """
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * np.log2(p / m), 0.0) + np.where(q > 0, q * np.log2(q / m), 0.0)
    return max(0.0, float(parts.sum() / 2))


def population_stability_index(baseline: np.ndarray, current: np.ndarray) -> float:
    """Return the population stability index; 0 means equal, and it has no upper bound.

    Formula: sum((q - p) ln(q / p)), where half a row is added to each bin of both sides, so that no share is 0.

    Args:
        baseline: Rows of the baseline in each bin.
        current: Other rows in each bin.
    """
    p, q = ((counts + _PSEUDO) / (counts.sum() + _PSEUDO * len(counts)) for counts in (baseline, current))
    return float(((q - p) * np.log(q / p)).sum())


def infinity(p: np.ndarray, q: np.ndarray) -> float:
    """Return the largest difference of a share; 0 means equal, 1 means that all rows moved to another bin.

    Formula: max(|p - q|). Of texts, the bins are the values, as in TFDV's infinity norm.
    """
    return float(np.abs(p - q).max(initial=0.0))


def wasserstein(edges: np.ndarray, p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Return the Wasserstein distance in units of the baseline's deviation, and that deviation.

    0 means equal; 1 means that values moved by a standard deviation on average. Values count as the upper edge of their bin,
    and those above the last edge as the last edge, so that the lowest and the highest 3 % do not decide it.

    Formula: sum((e[j+1] - e[j]) |P[j] - Q[j]|) / s, with the cumulated shares P and Q up to each edge, and
    s² = sum(p (e - sum(p e))²). The distance is NaN if the baseline has a single edge or no deviation.

    Args:
        edges: Upper edges of the bins, growing.
        p: Shares of the baseline, one more than edges.
        q: Shares of the other rows.
    """
    deviation = deviation_of(edges, p)
    if not deviation:
        return float("nan"), 0.0
    apart = np.abs(np.cumsum(p) - np.cumsum(q))[: len(edges) - 1]
    return float((np.diff(edges) * apart).sum() / deviation), deviation


def deviation_of(edges: np.ndarray, shares: np.ndarray) -> float:
    """Return the standard deviation of values that count as the upper edge of their bin; 0 below two edges."""
    if len(edges) < 2:
        return 0.0
    at_edges = np.append(shares[: len(edges) - 1], shares[len(edges) - 1 :].sum())
    # Relative to the span, so that squares of large numbers do not overflow.
    span = float(edges[-1]) - float(edges[0])
    places = (edges - edges[0]) / span if np.isfinite(span) else np.zeros(len(edges))
    mean = (at_edges * places).sum()
    return float(np.sqrt((at_edges * (places - mean) ** 2).sum()) * span) if np.isfinite(span) else 0.0
