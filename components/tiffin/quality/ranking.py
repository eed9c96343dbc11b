"""Rank scores in bounded memory: count the rows of each distinct score, and group near ones when there are too many."""

import numpy as np

# Scores that are gathered before they are counted.
_GATHERED = 1 << 19
_SIGN = np.int64(np.iinfo(np.int64).max)


class Ranking:
    """The number of rows, and of positive rows, by score.

    Up to `limit` distinct scores, everything is exact. Beyond, the last bits of all scores are dropped, one after another, until
    at most `limit` groups are left: the result does not depend on the order of the rows. Rows of a group count as ties.

    Attributes:
        groups: Number of groups.
        grouped: Whether scores were grouped.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._dropped = limit, 0
        self._keys, self._rows, self._positive = (np.empty(0, np.int64) for _ in range(3))
        self._gathered: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0

    def add(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """Add rows.

        Args:
            scores: Finite scores, `[rows]`.
            positive: Whether each row is positive, `[rows]`.
        """
        self._gathered.append((scores.astype(np.float64), positive.astype(bool)))
        self._waiting += len(scores)
        # In proportion to the groups, so that counting takes linear time.
        if self._waiting >= max(min(_GATHERED, self._limit), len(self._keys) // 2):
            self._count()

    @property
    def groups(self) -> int:
        """Number of groups of equal or near scores."""
        self._count()
        return len(self._keys)

    @property
    def grouped(self) -> bool:
        """Whether scores that differ are in one group."""
        self._count()
        return self._dropped > 0

    def auc_error(self) -> float:
        """Return what the area may differ from the exact one by: half the share of pairs within groups; 0 if exact."""
        positive, negative = self._of_groups()
        pairs = positive.sum() * negative.sum()
        return float((positive * negative).sum() / 2 / pairs) if self.grouped else 0.0

    def average_precision_error(self) -> float:
        """Return what the average precision may differ from the exact one by; 0 if it is exact."""
        if not self.grouped:
            return 0.0
        positive, negative = (counts[::-1] for counts in self._of_groups())
        hits, rows = np.cumsum(positive), np.cumsum(positive + negative)
        # The precision of a group with its positive rows first, and with them last.
        best = hits / (rows - negative)
        worst = (hits - positive + 1) / (rows - positive + 1)
        some = positive > 0
        return float((positive * np.abs(best - worst))[some].sum() / positive.sum())

    def weighted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the groups for scikit-learn: whether the rows are positive, their lowest score, and their number."""
        positive, negative = self._of_groups()
        scores = self._scores()
        truth = np.repeat([True, False], len(scores))
        weight = np.concatenate([positive, negative])
        some = weight > 0
        return truth[some], np.tile(scores, 2)[some], weight[some]

    def _of_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the positive and the negative rows of each group, in ascending order of the score."""
        self._count()
        return self._positive.astype(np.float64), (self._rows - self._positive).astype(np.float64)

    def _scores(self) -> np.ndarray:
        """Return the lowest score of each group."""
        return _flipped(self._keys << self._dropped).view(np.float64)

    def _count(self) -> None:
        if not self._gathered:
            return
        scores, positive = (np.concatenate(parts) for parts in zip(*self._gathered, strict=True))
        self._gathered, self._waiting = [], 0
        # The bits of floats, as integers, have the order of the floats; 0.0 is added to make one zero of two.
        keys = _flipped((scores + 0.0).view(np.int64)) >> self._dropped
        keys = np.concatenate([self._keys, keys])
        rows = np.concatenate([self._rows, np.ones(len(scores), np.int64)])
        hits = np.concatenate([self._positive, positive.astype(np.int64)])
        order = np.argsort(keys, kind="stable")
        self._merge(keys[order], rows[order], hits[order])
        while len(self._keys) > self._limit:
            self._dropped += 1
            self._merge(self._keys >> 1, self._rows, self._positive)

    def _merge(self, keys: np.ndarray, rows: np.ndarray, positive: np.ndarray) -> None:
        """Keep one group for each of the sorted keys."""
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        self._keys = keys[starts]
        self._rows, self._positive = np.add.reduceat(rows, starts), np.add.reduceat(positive, starts)


def _flipped(bits: np.ndarray) -> np.ndarray:
    """Return the bits of floats as integers in their order, and back: the magnitude of negative ones is reversed."""
    flipped: np.ndarray = np.where(bits < 0, bits ^ _SIGN, bits)
    return flipped
