"""The quality of both versions, once the labels of the requests arrive.

Labels are joined with the logged outputs by a key: the request's ID, or a key of the data. The metrics are those of
`tiffin.quality.definitions`, and each difference, candidate minus stable, has an interval that is valid at all looks:

    log_loss  bounded, since probabilities are clipped: `intervals.mean_interval`, exact
    accuracy  a share: `intervals.share_interval`, exact
    auc       no mean: the sum of the bands around the scores of both classes (`distributions.radius`), exact
    rmse      unbounded: `intervals.asymptotic_interval` of the squared error, valid for many rows; none below 100 rows

The level is halved between the versions, and for `auc` again between the classes. An interval without 0 shows a difference.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tiffin.errors import InputError
from tiffin.rollout.statistics import distributions, intervals
from tiffin.rollout.statistics.intervals import Interval

STABLE, CANDIDATE = "stable", "candidate"
# Probabilities are clipped to this, so that the log loss is bounded; the epsilon of float32, as in the evaluation.
_LEAST = float(np.finfo(np.float32).eps)
_MAX_LOSS = -math.log(_LEAST)


@dataclass(frozen=True)
class Labels:
    """Labels by key.

    Attributes:
        values: Key to its label.
        repeated: Rows whose key had the same label before.
        contradicting: Keys with different labels; they have no label, since it is unknown which one is right.
    """

    values: Mapping[Hashable, object]
    repeated: int = 0
    contradicting: int = 0


@dataclass(frozen=True)
class Answer:
    """A logged output.

    Attributes:
        key: Key of the row.
        route: `stable` or `candidate`.
        output: Probability of the positive class, probabilities of all classes, or the number.
    """

    key: Hashable
    route: str
    output: float | Sequence[float]


@dataclass(frozen=True)
class Metric:
    """A metric of both versions.

    Attributes:
        stable: Value of the stable version; None if it is undefined, such as without rows, or an AUC of one class.
        candidate: Value of the candidate.
        difference: Candidate minus stable.
        interval: Interval of the difference; None if it is unknown.
    """

    stable: float | None
    candidate: float | None
    difference: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Quality:
    """The quality of both versions.

    Attributes:
        metrics: Metric to its values.
        matched: Route to its outputs with a label.
        unlabelled: Route to its outputs without a label.
        unused: Labels without an output.
        repeated_labels: Rows of labels whose key had the same label before.
        contradicting: Keys with different labels.
        repeated_outputs: Labelled outputs that were logged again, with the same key, route and values; they count once.
        not_finite: Route to its labelled outputs that are not finite; the metrics are without them.
    """

    metrics: dict[str, Metric]
    matched: dict[str, int]
    unlabelled: dict[str, int]
    unused: int
    repeated_labels: int
    contradicting: int
    repeated_outputs: int
    not_finite: dict[str, int]


def collect(rows: Iterable[tuple[Hashable, object]]) -> Labels:
    """Return labels by key, from rows of key and label."""
    values: dict[Hashable, object] = {}
    contradicting: set[Hashable] = set()
    repeated = 0
    for key, label in rows:
        if key in values and values[key] == label:
            repeated += 1
        elif key in values:
            contradicting.add(key)
        values.setdefault(key, label)
    for key in contradicting:
        del values[key]
    return Labels(values, repeated, len(contradicting))


def measure(
    answers: Iterable[Answer],
    labels: Labels,
    task: Literal["binary", "multiclass", "regression"],
    *,
    classes: Sequence[object] = (),
    level: float = 0.05,
) -> Quality:
    """Return the quality of both versions.

    Args:
        answers: Logged outputs of both routes.
        labels: The labels.
        task: Task of the model.
        classes: Labels in the order of the model's outputs; the positive one of a binary model is the second. Defaults to 0, 1
            and so on.
        level: Probability, above 0 and below 1, that the interval of a difference misses it at any look. Defaults to 0.05.

    Raises:
        InputError: A route is unknown, an output has another number of values than the task, or a label is no class or number.
    """
    joined = _Joined(task, classes)
    for answer in answers:
        joined.add(answer, labels)
    sides = [joined.side(route) for route in (STABLE, CANDIDATE)]
    found = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[task](sides, level)
    return Quality(
        found,
        {route: len(joined.truth[route]) for route in joined.truth},
        joined.unlabelled,
        len(labels.values.keys() - joined.used),
        labels.repeated,
        labels.contradicting,
        joined.repeated,
        joined.not_finite,
    )


# Labels and outputs of a route.
_Side = tuple[np.ndarray, np.ndarray]


class _Joined:
    """Outputs with their labels, as they come."""

    def __init__(self, task: str, classes: Sequence[object]) -> None:
        self.task, self.classes = task, {label: number for number, label in enumerate(classes)}
        self.truth: dict[str, list[float]] = {STABLE: [], CANDIDATE: []}
        self.outputs: dict[str, list[tuple[float, ...]]] = {STABLE: [], CANDIDATE: []}
        self.unlabelled = {STABLE: 0, CANDIDATE: 0}
        self.not_finite = {STABLE: 0, CANDIDATE: 0}
        self.used: set[Hashable] = set()
        self.repeated = 0
        self._seen: set[tuple[Hashable, str, tuple[float, ...]]] = set()
        self._width = 0 if task == "multiclass" else 1

    def add(self, answer: Answer, labels: Labels) -> None:
        values = np.atleast_1d(np.asarray(answer.output, dtype=np.float64))
        self._width = self._width or len(values)
        if answer.route not in self.truth or values.ndim != 1 or len(values) != self._width or not len(values):
            raise InputError(
                f"An output should be of the route {STABLE} or {CANDIDATE}, with {self._width or 'several'} values for the "
                f"task {self.task}. Received: {len(values)} values of the route '{answer.route}'."
            )
        output = tuple(values.tolist())
        if answer.key not in labels.values:
            self.unlabelled[answer.route] += 1
            return
        if (answer.key, answer.route, output) in self._seen:
            self.repeated += 1
            return
        self._seen.add((answer.key, answer.route, output))
        self.used.add(answer.key)
        self.truth[answer.route].append(self._number(labels.values[answer.key], answer.key))
        self.outputs[answer.route].append(output)
        self.not_finite[answer.route] += not np.isfinite(values).all()

    def _number(self, label: object, key: Hashable) -> float:
        """Return a label as a number: the index of its class, or itself."""
        try:
            number = self.classes[label] if self.classes else float(label)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            number = math.nan
        most = {"binary": 2, "multiclass": self._width, "regression": math.inf}[self.task]
        if not math.isfinite(number) or (self.task != "regression" and number not in range(int(most))):
            rule = f"one of {', '.join(map(str, self.classes))}" if self.classes else "a number"
            if self.task != "regression" and not self.classes:
                rule = f"a class from 0 to {most - 1}"
            raise InputError(f"The label of '{key}' should be {rule}. Received: {label!r}.")
        return float(number)

    def side(self, route: str) -> _Side:
        outputs = np.array(self.outputs[route], dtype=np.float64).reshape(len(self.outputs[route]), max(self._width, 1))
        finite = np.isfinite(outputs).all(axis=1)
        return np.array(self.truth[route], dtype=np.float64)[finite], outputs[finite]


def _binary(sides: Sequence[_Side], level: float) -> dict[str, Metric]:
    losses = [np.where(truth == 1, given[:, 0], 1 - given[:, 0]) for truth, given in sides]
    areas = [_area(truth, given[:, 0]) for truth, given in sides]
    bands = [
        sum(distributions.radius(int((truth == number).sum()), level / 4) for number in (0, 1))
        if area is not None
        else 1.0
        for (truth, _), area in zip(sides, areas, strict=True)
    ]
    around = [
        None if area is None else Interval(max(0.0, area - band), min(1.0, area + band))
        for area, band in zip(areas, bands, strict=True)
    ]
    return {"log_loss": _log_loss(losses, level), "auc": _metric(areas, around)}


def _multiclass(sides: Sequence[_Side], level: float) -> dict[str, Metric]:
    hits = [int((given.argmax(axis=1) == truth).sum()) if len(truth) else 0 for truth, given in sides]
    rows = [len(truth) for truth, _ in sides]
    around = [intervals.share_interval(hit, of, level=level / 2) for hit, of in zip(hits, rows, strict=True)]
    chosen = []
    for truth, given in sides:
        with np.errstate(invalid="ignore", divide="ignore"):
            share = given[np.arange(len(truth)), truth.astype(int)] / given.sum(axis=1)
        chosen.append(np.nan_to_num(share, nan=0.0))
    shares = [hit / of if of else None for hit, of in zip(hits, rows, strict=True)]
    return {"accuracy": _metric(shares, around), "log_loss": _log_loss(chosen, level)}


def _regression(sides: Sequence[_Side], level: float) -> dict[str, Metric]:
    squares = [intervals.moments((truth - given[:, 0]) ** 2) for truth, given in sides]
    roots = [None if one.mean is None else math.sqrt(one.mean) for one in squares]
    around = [intervals.asymptotic_interval(one, level=level / 2) for one in squares]
    return {
        "rmse": _metric(
            roots, [one and Interval(math.sqrt(max(0.0, one.low)), math.sqrt(max(0.0, one.high))) for one in around]
        )
    }


def _log_loss(chosen: Sequence[np.ndarray], level: float) -> Metric:
    """Return the log loss, from the probability of each row's class."""
    found = [intervals.moments(-np.log(np.clip(one, _LEAST, 1.0))) for one in chosen]
    around = [intervals.mean_interval(one, 0.0, _MAX_LOSS, level=level / 2) for one in found]
    return _metric([one.mean for one in found], around)


def _metric(values: Sequence[float | None], around: Sequence[Interval | None]) -> Metric:
    """Return a metric, from its values and intervals of the stable version and the candidate."""
    (stable, candidate), (ours, theirs) = values, around
    if stable is None or candidate is None:
        return Metric(stable, candidate, None, None)
    return Metric(stable, candidate, candidate - stable, theirs - ours if ours and theirs else None)


def _area(truth: np.ndarray, score: np.ndarray) -> float | None:
    """Return the AUC: the probability that a positive row has a higher score than a negative one, ties counting half."""
    positive, negative = int((truth == 1).sum()), int((truth == 0).sum())
    if not positive or not negative:
        return None
    _, group, number = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(number) - (number - 1) / 2
    return float((ranks[group][truth == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))
