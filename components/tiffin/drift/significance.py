"""Decide whether a difference between two splits is more than chance, with Fisher's exact test.

Given that `a` of `n` rows of one split and `b` of `m` rows of another have a property, and that both were drawn from the same
rows, `b` follows the hypergeometric distribution of a + b marked rows (Fisher, 1934). Nothing is assumed of the values, so the
test holds for heavy tails and rare values. For a property of no row of the first split, it gives (m / (n + m))^b.
"""

import math
from bisect import bisect_left


def chance(marked: int, rows: int, others: int, other_rows: int) -> float:
    """Return the probability that at least `others` of `other_rows` rows have a property, if both splits are drawn alike.

    Args:
        marked: Number of rows of the first split that have the property.
        rows: Number of rows of the first split.
        others: Number of rows of the other split that have it.
        other_rows: Number of rows of the other split.
    """
    total = marked + others
    if others <= max(0, total - rows):
        return 1.0
    term = math.exp(_log_choose(total, others) + _log_choose(rows + other_rows - total, other_rows - others)
                    - _log_choose(rows + other_rows, other_rows))  # fmt: skip
    found = 0.0
    for count in range(others, min(other_rows, total) + 1):
        found += term
        if term < found * 1e-12:
            break
        term *= (total - count) * (other_rows - count) / ((count + 1) * (rows - total + count + 1))
    return min(1.0, found)


def most_by_chance(marked: int, rows: int, other_rows: int, risk: float) -> int:
    """Return the largest number of rows of the other split that can have the property by chance.

    Args:
        marked: Number of rows of the first split that have the property.
        rows: Number of rows of the first split.
        other_rows: Number of rows of the other split.
        risk: Probability that more rows than the result have it by chance, from 0 to 1.
    """
    expected = marked * other_rows // max(1, rows)
    counts = range(expected, other_rows + 1)
    return expected + bisect_left(counts, True, key=lambda count: chance(marked, rows, count, other_rows) < risk) - 1


def fewest_for_half(rows: int, other_rows: int, risk: float) -> int:
    """Return how many rows of the first split must have a property so that half of the other split can have it by chance.

    Args:
        rows: Number of rows of the first split.
        other_rows: Number of rows of the other split.
        risk: Probability that half of the other split has it by chance in spite of fewer rows, from 0 to 1.
    """
    half = (other_rows + 1) // 2
    return bisect_left(range(rows), True, key=lambda marked: chance(marked, rows, half, other_rows) >= risk)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
