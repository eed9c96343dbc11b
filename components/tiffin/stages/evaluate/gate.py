"""The gate: check a model's metrics against thresholds and guessing, and return a verdict with reasons.

Imports nothing heavy, so thresholds can be checked before a run starts.
"""

import math
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context
from typing import Any

from tiffin.artifacts.verdict import Check, Verdict
from tiffin.errors import InputError, did_you_mean
from tiffin.stages.evaluate.definitions import HIGHER_IS_BETTER, MAIN, METRICS, Comparison

# Name of the check of the label's classes: the number of rows with a class absent in training, at most 0.
UNKNOWN_CLASSES = "rows_of_unknown_classes"
_NAMED = 5


def check_thresholds(thresholds: Mapping[str, Any], task: str = "") -> None:
    """Raise an InputError unless each threshold names a metric and is a number.

    Args:
        thresholds: Metric name to bound.
        task: `binary`, `multiclass` or `regression`; empty if unknown, which allows the metrics of all tasks.
    """
    known = METRICS[task] if task else tuple(HIGHER_IS_BETTER)
    for name, bound in thresholds.items():
        if name not in known:
            raise InputError(
                f"thresholds should name metrics{f' of the task {task}' if task else ''}: {', '.join(known)}. "
                f"Received: thresholds['{name}'].{did_you_mean(name, known)}"
            )
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise InputError(
                f"thresholds should be finite numbers. Received: thresholds['{name}']={bound!r}. "
                "Pass a number, such as 0.9."
            )


def judge(
    task: str,
    found: Mapping[str, float | None],
    thresholds: Mapping[str, float],
    comparison: Comparison,
    unknown_classes: Mapping[str, int] | None = None,
) -> Verdict:
    """Return the verdict on a model's metrics.

    The main metric of the task must be clearly better than guessing, with or without thresholds.

    Args:
        task: `binary`, `multiclass` or `regression`.
        found: Metrics and baselines by name; None for a metric that could not be measured, which fails its check.
        thresholds: Metric name to bound: a minimum for metrics where higher is better, a maximum otherwise.
        comparison: The model beside guessing, by the main metric.
        unknown_classes: Classes absent in training, each with its number of rows. Any fails the gate.

    Raises:
        InputError: A threshold does not name a metric of the task, or is not a number.
    """
    check_thresholds(thresholds, task)
    checks = [_check(name, found[name], float(bound)) for name, bound in sorted(thresholds.items())]
    checks.append(_against_guessing(MAIN[task], found, comparison))
    if unknown_classes:
        checks.append(_unknown(unknown_classes))
    failed = [check for check in checks if not check.passed]
    return Verdict(not failed, "; ".join(check.reason for check in failed or checks) + ".", tuple(checks))


def _check(metric: str, value: float | None, bound: float) -> Check:
    higher = HIGHER_IS_BETTER[metric]
    rule = f"at {'least' if higher else 'most'} {bound:g}"
    if value is None:
        return Check(metric, value, bound, False, f"{metric} could not be measured, so it is not {rule}")
    passed = value >= bound if higher else value <= bound
    return Check(metric, value, bound, passed, f"{metric} {value:.6g} is {'' if passed else 'not '}{rule}")


def _unknown(classes: Mapping[str, int]) -> Check:
    rows = sum(classes.values())
    first = sorted(classes.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    named = ", ".join(f"'{name}' ({count})" for name, count in first)
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    reason = (
        f"{rows} {'row has a class that was' if rows == 1 else 'rows have classes that were'} not in training, "
        f"{named}{more}: train with rows of {'it' if len(classes) == 1 else 'them'}, or leave them out of the data"
    )
    return Check(UNKNOWN_CLASSES, float(rows), 0.0, False, reason)


def _against_guessing(metric: str, values: Mapping[str, float | None], found: Comparison) -> Check:
    value, bound, rows = values[metric], values[f"baseline_{metric}"], found.rows
    constant = "the label's mean" if metric == "rmse" else "the shares of the classes"
    on_rows = f"on {rows:,} {'row' if rows == 1 else 'rows'}"
    if bound is None:  # beyond the range of float64
        bound, value = 0.0, None
    if value is None or found.at_least is None:
        reason = f"{metric} could not be measured, so it is not better than guessing ({_short(bound)})"
        return Check(metric, None, bound, False, reason, None, rows)
    gained = bound - value
    margin = float(f"{gained - found.at_least:.8g}")
    passed = found.at_least > 0
    if passed:
        reason = (
            f"{metric} {_short(value)} is better than guessing ({_short(bound)}) by {_short(gained, 3)}, "
            f"at least {_short(found.at_least, 2, ROUND_DOWN)} with 95 % confidence {on_rows}"
        )
    elif bound == 0:
        reason = (
            f"{metric} {_short(value)} is not better than guessing (0): the label has a single value {on_rows}, which shows "
            "nothing about the model: add rows to the split"
        )
    elif gained > 0:
        reason = (
            f"{metric} {_short(value)} is not clearly better than guessing, always predicting {constant} ({_short(bound)}): "
            f"it is better by {_short(gained, 3)}, and {_short(margin, 3)} may be chance {on_rows}: "
            "add rows to the split, or features"
        )
    else:
        reason = (
            f"{metric} {_short(value)} is not better than guessing, always predicting {constant} ({_short(bound)}), "
            f"{on_rows}: add features, or rows to train on"
        )
    return Check(metric, value, bound, passed, reason, margin, rows)


def _short(value: float, digits: int = 4, rounding: str = ROUND_HALF_EVEN) -> str:
    if value and not 1e-6 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    return f"{Context(prec=digits, rounding=rounding).create_decimal(value).normalize():,f}"
