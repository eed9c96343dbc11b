"""The gate: check a model's metrics against thresholds and the baseline, and return a verdict with reasons.

Imports nothing heavy, so thresholds can be checked before a run starts.
"""

import math
from collections.abc import Mapping
from typing import Any

from tiffin.artifacts.verdict import Check, Verdict
from tiffin.errors import InputError, did_you_mean
from tiffin.stages.evaluate.definitions import HIGHER_IS_BETTER, MAIN, METRICS

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
    unknown_classes: Mapping[str, int] | None = None,
) -> Verdict:
    """Return the verdict on a model's metrics.

    The main metric of the task must be better than its baseline, with or without thresholds.

    Args:
        task: `binary`, `multiclass` or `regression`.
        found: Metrics and baselines by name; None for a metric that could not be measured, which fails its check.
        thresholds: Metric name to bound: a minimum for metrics where higher is better, a maximum otherwise.
        unknown_classes: Classes absent in training, each with its number of rows. Any fails the gate.

    Raises:
        InputError: A threshold does not name a metric of the task, or is not a number.
    """
    check_thresholds(thresholds, task)
    main = MAIN[task]
    checks = [_check(name, found[name], float(bound)) for name, bound in sorted(thresholds.items())]
    baseline = found[f"baseline_{main}"]
    checks.append(_baseline(main, found[main], math.inf if baseline is None else baseline))
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


def _baseline(metric: str, value: float | None, baseline: float) -> Check:
    if value is None:
        words = f"could not be measured, so it is no better than {baseline:.6g}"
        return Check(metric, value, baseline, False, f"{metric} {words} without a model")
    passed = value < baseline
    words = f"is better than {baseline:.6g}" if passed else f"is no better than {baseline:.6g}"
    return Check(metric, value, baseline, passed, f"{metric} {value:.6g} {words} without a model")
