"""Compare metrics with those at training and with the gate's bounds: a model that decays is told from one with few labels.

With the value at training T and its standard error t, and the value now V and its standard error v,

    z = (T - V) / sqrt(t^2 + v^2)      where higher is better, and (V - T) / ... otherwise
    p = 1 - Phi(z)                     the probability of such a loss, or a larger one, without any change

A metric is worse if p is at most the level. The level is divided by the number of metrics that are watched (Bonferroni), so
that one look has a false alarm among them with at most this probability; other metrics are shown and decide nothing.

A bound is violated only if the 95 % interval is beyond it as a whole. The calibration error of few rows is larger, by the noise
of its bins: it is not compared with training, and violates its bound only on as many rows as the evaluation had.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import norm

from tiffin.artifacts.measures import ClassRecall, Interval, Slice
from tiffin.artifacts.model import Task
from tiffin.artifacts.performance import BoundCheck, BoundCode, Compared, ComparedCode, Measurement
from tiffin.artifacts.verdict import Check, Evaluation
from tiffin.errors import InputError, did_you_mean
from tiffin.performance.ranked import LEVEL, theoretical_error
from tiffin.quality.definitions import HIGHER_IS_BETTER, METRICS, OF_A_CLASS

# Rows with labels below which nothing is decided, and those of each class for the AUC.
LEAST_ROWS, LEAST_OF_A_CLASS = 30, 10
WATCHED: dict[Task, tuple[str, ...]] = {
    "binary": ("log_loss", "auc"),
    "multiclass": ("log_loss", "accuracy"),
    "regression": ("rmse", "mae"),
}

_NOISY = "calibration_error"


@dataclass(frozen=True)
class Reference:
    """Metrics of the model at its evaluation.

    Attributes:
        task: Task of the model.
        rows: Number of rows.
        metrics: Name of a metric to its value; None if it was undefined.
        errors: Name of a metric to its standard error: the length of the 95 % interval / 3.92, or for the AUC of a binary model
            without an interval that of Hanley and McNeil. A metric without one is compared as if it were exact.
    """

    task: Task
    rows: int
    metrics: dict[str, float | None]
    errors: dict[str, float]


def reference_of(evaluation: Evaluation) -> Reference:
    """Return the metrics of an evaluation, with their standard errors."""
    errors = {name: (one.high - one.low) / 3.92 for name, one in (evaluation.intervals or {}).items()}
    auc = evaluation.metrics.get("auc")
    if evaluation.task == "binary" and auc is not None and "auc" not in errors and evaluation.confusion:
        negatives, positives = (sum(row) for row in evaluation.confusion)
        errors["auc"] = theoretical_error(auc, max(1, positives), max(1, negatives))
    metrics = {name: evaluation.metrics.get(name) for name in METRICS[evaluation.task]}
    return Reference(evaluation.task, evaluation.rows, metrics, errors)


def reference_of_slice(task: Task, one: Slice) -> Reference:
    """Return the metrics of a slice of an evaluation, with their standard errors."""
    errors = {name: (ends.high - ends.low) / 3.92 for name, ends in one.intervals.items()}
    return Reference(task, one.rows, one.metrics, errors)


def compare(
    measured: Measurement,
    reference: Reference,
    *,
    watched: Sequence[str] | None = None,
    level: float = LEVEL,
    counts: Sequence[int] | None = None,
) -> tuple[Compared, ...]:
    """Compare the metrics with those at training.

    Args:
        measured: Metrics of rows with labels.
        reference: Metrics at training.
        watched: Metrics that decide. Defaults to the main metric, and `auc`, `accuracy` or `mae`.
        level: Probability of a false alarm among the watched metrics, above 0 and below 0.5. Defaults to 0.0025.
        counts: Number of rows of each class: the AUC needs 10 of both. Defaults to enough of them.

    Raises:
        InputError: A watched metric is not one of the task, or the level is out of range.
    """
    names = tuple(name for name in METRICS[reference.task] if name != _NOISY)
    chosen = tuple(dict.fromkeys(WATCHED[reference.task] if watched is None else watched))
    for name in chosen:
        if name not in names:
            raise InputError(
                f"watched should be metrics of the task {reference.task}: {', '.join(names)}. Received: '{name}'."
                f"{did_you_mean(name, names)}"
            )
    if not 0 < level < 0.5:
        raise InputError(f"level should be above 0 and below 0.5. Received: {level:g}.")
    each = level / max(1, len(chosen))
    is_small = counts is not None and min(counts, default=0) < LEAST_OF_A_CLASS
    found = []
    for name in names:
        if name not in measured.metrics:
            continue
        few = measured.rows < LEAST_ROWS or (name in ("auc", "average_precision") and is_small)
        found.append(_compare(name, measured, reference, each if name in chosen else 0.0, each, few=few))
    return tuple(found)


def _compare(
    name: str, measured: Measurement, reference: Reference, level: float, tested: float, *, few: bool
) -> Compared:
    value, before = measured.metrics[name], reference.metrics.get(name)
    error = measured.errors.get(name)
    difference = None if value is None or before is None else value - before
    code: ComparedCode | None = (
        "TOO_FEW_ROWS" if few else "UNDEFINED" if value is None or error is None else None
    ) or ("NO_REFERENCE" if before is None else None)
    if code is not None or difference is None or error is None:
        return Compared(
            name, value, before, difference, None, None, None, None, level, measured.rows, code or "UNDEFINED"
        )
    total = math.hypot(error, reference.errors.get(name, 0.0))
    p_value = p_of_loss(-difference if HIGHER_IS_BETTER[name] else difference, total)
    is_better = 1 - p_value <= tested
    code = "WORSE_THAN_TRAINING" if p_value <= tested else "BETTER_THAN_TRAINING" if is_better else "AS_AT_TRAINING"
    low, high = difference - 1.96 * total, difference + 1.96 * total
    return Compared(name, value, before, difference, low, high, total, p_value, level, measured.rows, code)


def p_of_loss(loss: float, error: float) -> float:
    """Return the probability of this loss, or a larger one, without a change.

    Args:
        loss: Loss, above 0 for one that is worse.
        error: Its standard error, at least 0.
    """
    if not error:
        return 0.0 if loss > 0 else 1.0 if loss < 0 else 0.5
    return float(norm.sf(loss / error))


def worse(compared: Sequence[Compared]) -> tuple[Compared, ...]:
    """Return the watched metrics that are worse than at training."""
    return tuple(one for one in compared if one.level and one.code == "WORSE_THAN_TRAINING")


def check_bounds(
    checks: Sequence[Check], measured: Measurement, slices: Sequence[Slice] = (), classes: Sequence[ClassRecall] = ()
) -> tuple[BoundCheck, ...]:
    """Check the bounds that the gate had for metrics, for the calibration error, for classes and for slices.

    Args:
        checks: Checks of the evaluation; bounds of what labels do not show are left out.
        measured: Metrics of rows with labels.
        slices: Metrics of slices, cut as those of the evaluation. A slice that has too few rows is `UNDEFINED`.
        classes: Recall of each class. Defaults to none, which leaves bounds of one class `UNDEFINED`.
    """
    by_name = {one.value: one for one in slices}
    # As the gate names them.
    by_class = {f"{OF_A_CLASS} of '{one.name}'": one for one in classes}
    found = []
    for check in checks:
        if check.bound is None or check.metric not in HIGHER_IS_BETTER:
            continue
        if check.code in ("BOUND", "CALIBRATION") and not check.slice:
            found.append(_check(check, measured.metrics, measured.intervals, measured.rows))
        elif check.code == "BOUND":
            named = by_class.get(check.slice)
            ends = {check.metric: named.interval} if named and named.interval else {}
            found.append(
                _check(check, {check.metric: named.recall if named else None}, ends, named.rows if named else 0)
            )
        elif check.code == "SLICE":
            one = by_name.get(check.slice)
            found.append(_check(check, one.metrics, one.intervals, one.rows) if one else _check(check, {}, {}, 0))
    return tuple(found)


def _check(
    check: Check, metrics: Mapping[str, float | None], intervals: Mapping[str, Interval], rows: int
) -> BoundCheck:
    value, ends, bound = metrics.get(check.metric), intervals.get(check.metric), float(check.bound or 0)
    code: BoundCode
    if value is None:
        code = "UNDEFINED"
    elif (value >= bound) if HIGHER_IS_BETTER[check.metric] else (value <= bound):
        code = "WITHIN_BOUND"
    elif check.metric == _NOISY and rows < (check.rows or 0):
        code = "UNCLEAR"
    elif ends is not None and ((ends.high < bound) if HIGHER_IS_BETTER[check.metric] else (ends.low > bound)):
        code = "BEYOND_BOUND"
    else:
        code = "UNCLEAR"
    low, high = (ends.low, ends.high) if ends else (None, None)
    return BoundCheck(check.metric, check.slice, value, bound, low, high, rows, code)
