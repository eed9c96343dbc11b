"""Look for columns that give the label away: those that predict it almost alone, or that are made from it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tiffin.stages.train.features import Features, Number
from tiffin.stages.train.label import Label

# Rows that are looked at, and that are needed to tell.
ROWS = 20_000
_FEWEST = 50
# Share of what guessing loses that a column removes by itself on other rows, from which it is told. A number explains more
# of another number by chance of their form.
_ALONE_CLASSES, _ALONE_NUMBERS = 0.9, 0.98
# Share from which the bins of a number are replaced by those of a decision tree.
_WORTH_A_TREE = 0.4
_LEAVES, _ROWS_OF_LEAF = 64, 5
# Rows of a class that tell whether it has one value.
_ROWS_OF_CLASS = 5
# Share of a class's rows that have its most frequent value, from which the column is a function of the label.
_SAME = 0.999


@dataclass(frozen=True)
class Leak:
    """A column that gives the label away.

    Attributes:
        column: Name of the column.
        share: Share of the log loss of guessing, or of the variance, that the column explains alone on rows that it was not
            fitted to: 0 is nothing, 1 is all.
        is_function: Whether the column has one value for each class: it is made from the label.
    """

    column: str
    share: float
    is_function: bool


def find_leaks(records: np.ndarray, features: Features, label: Label) -> tuple[Leak, ...]:
    """Return the columns that give the label away.

    A column is fitted to one half of the rows, and measured on the other: by bins at its quantiles, or by a decision tree.

    Args:
        records: A random sample of rows; see `columns.record_type`.
        features: Input columns.
        label: Label to predict.
    """
    if len(records) < _FEWEST:
        return ()
    target = records["target"].astype(int) if label.classes else records["target"]
    fitted = np.arange(len(records)) % 2 == 0
    found = []
    for column, values, codes in _columns(records, features):
        share = _explained(codes, target, fitted, len(label.classes))
        if values is not None and share >= _WORTH_A_TREE:
            share = max(share, _by_tree(values, target, fitted, len(label.classes)))
        is_function = len(label.classes) > 1 and _is_function(codes, target, len(label.classes))
        if is_function or share >= (_ALONE_CLASSES if label.classes else _ALONE_NUMBERS):
            found.append(Leak(column, round(share, 4), is_function))
    return tuple(found)


def _columns(records: np.ndarray, features: Features) -> Iterator[tuple[str, np.ndarray | None, np.ndarray]]:
    """Yield the name of each column, its numbers, and its values as small whole numbers."""
    for place, number in enumerate(features.numbers):
        values = records["numbers"][:, place]
        yield number.name, values, _bins(values, number)
    for place, category in enumerate(features.categories):
        yield category.name, None, records["indices"][:, place].astype(int)


def _bins(values: np.ndarray, number: Number) -> np.ndarray:
    """Return the bin of each number, from 1; 0 for a missing one."""
    return np.where(np.isnan(values), 0, np.searchsorted(number.edges, values, side="right") + 1)


def _explained(codes: np.ndarray, target: np.ndarray, fitted: np.ndarray, classes: int) -> float:
    """Return the share of the loss of guessing that the mean of each code removes on the rows that are not fitted."""
    most = int(codes.max()) + 1
    if not classes:
        middle = target[fitted].mean()
        rows = np.bincount(codes[fitted], minlength=most)
        means = (np.bincount(codes[fitted], target[fitted] - middle, most) / (rows + 1e-9)) + middle
        return _share(((target - means[codes]) ** 2)[~fitted].sum(), ((target - middle) ** 2)[~fitted].sum())
    counts = np.bincount(codes[fitted] * classes + target[fitted], minlength=most * classes).reshape(most, classes)
    shares = (counts.sum(axis=0) + 1) / (counts.sum() + classes)
    # A class that a code does not have on the fitted rows keeps a small probability, so that one row is no infinite loss.
    probabilities = (counts + shares) / (counts.sum(axis=1, keepdims=True) + 1)
    losses, guesses = -np.log(probabilities[codes, target]), -np.log(shares[target])
    return _share(losses[~fitted].sum(), guesses[~fitted].sum())


def _by_tree(values: np.ndarray, target: np.ndarray, fitted: np.ndarray, classes: int) -> float:
    """Return the same of the leaves of a decision tree over a number."""
    from sklearn import tree

    kind = tree.DecisionTreeClassifier if classes else tree.DecisionTreeRegressor
    grown = kind(max_leaf_nodes=_LEAVES, min_samples_leaf=_ROWS_OF_LEAF, random_state=0)
    # The order of the numbers is all that a tree uses; it has float32, which does not hold every number.
    column = np.unique(values, return_inverse=True)[1].astype(np.float32)[:, None]
    grown.fit(column[fitted], target[fitted])
    _, codes = np.unique(grown.apply(column), return_inverse=True)
    return _explained(codes, target, fitted, classes)


def _share(loss: float, guess: float) -> float:
    return max(0.0, 1 - float(loss) / float(guess)) if guess > 0 else 0.0


def _is_function(codes: np.ndarray, target: np.ndarray, classes: int) -> bool:
    """Return whether each class has one value of the column, and not all have the same."""
    most = int(codes.max()) + 1
    counts = np.bincount(target * most + codes, minlength=classes * most).reshape(classes, most)
    present = counts[counts.sum(axis=1) >= _ROWS_OF_CLASS]
    same = (present.max(axis=1) >= _SAME * present.sum(axis=1)).all()
    return bool(same and len(np.unique(present.argmax(axis=1))) > 1)
