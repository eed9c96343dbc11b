"""The gate: which metrics a model must reach, and the verdict with its reasons."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.evaluate.metrics import HIGHER_IS_BETTER, MAIN


@dataclass(frozen=True)
class Check:
    """One rule of the gate.

    Attributes:
        metric: Name.
        value: What the model reached; None if it could not be measured, which passes nothing.
        bound: What it had to reach: at least where larger is better, else at most.
        passed: Whether it did.
        reason: The same in words.
    """

    metric: str
    value: float | None
    bound: float
    passed: bool
    reason: str


def judge(task: str, found: Mapping[str, float | None], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Return the verdict: `passed`, `reason` in one line, and every check.

    Args:
        task: `binary`, `multiclass` or `regression`.
        found: Metrics with their baseline.
        thresholds: Metric to bound: a least value where larger is better, such as auc, and a largest value where smaller
            is, such as log_loss. Besides, the main metric must always be better than its baseline.

    Raises:
        InputError: A threshold names no metric of the task, or is no number.
    """
    known = [name for name in found if name in HIGHER_IS_BETTER]
    for name, bound in thresholds.items():
        if name not in known:
            raise InputError(
                f"A threshold should name a metric of the task {task}: {', '.join(known)}. "
                f"Received: thresholds['{name}'].{did_you_mean(name, known)}"
            )
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise InputError(f"A threshold should be a number. Received: thresholds['{name}']={bound!r}.")
    main = MAIN[task]
    checks = [_check(name, found[name], float(bound)) for name, bound in sorted(thresholds.items())]
    baseline = found[f"baseline_{main}"]
    checks.append(_baseline(main, found[main], math.inf if baseline is None else baseline))
    failed = [check for check in checks if not check.passed]
    return {
        "passed": not failed,
        "reason": "; ".join(check.reason for check in failed or checks) + ".",
        "checks": [asdict(check) for check in checks],
    }


def _check(metric: str, value: float | None, bound: float) -> Check:
    higher = HIGHER_IS_BETTER[metric]
    rule = f"at {'least' if higher else 'most'} {bound:g}"
    if value is None:
        return Check(metric, value, bound, False, f"{metric} could not be measured, so it is not {rule}")
    passed = value >= bound if higher else value <= bound
    return Check(metric, value, bound, passed, f"{metric} {value:.6g} is {'' if passed else 'not '}{rule}")


def _baseline(metric: str, value: float | None, baseline: float) -> Check:
    if value is None:
        words = f"could not be measured, so it is no better than {baseline:.6g}"
        return Check(metric, value, baseline, False, f"{metric} {words} without a model")
    passed = value < baseline
    words = f"is better than {baseline:.6g}" if passed else f"is no better than {baseline:.6g}"
    return Check(metric, value, baseline, passed, f"{metric} {value:.6g} {words} without a model")
