"""Compare a model with the one in production on the same rows, by paired bootstrap of the main metric."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from tiffin.artifacts.measures import Interval
from tiffin.artifacts.model import Task
from tiffin.artifacts.verdict import Check
from tiffin.quality import bootstrap
from tiffin.quality.definitions import MAIN
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate.document import Production
from tiffin.stages.evaluate.reasons import on_rows, short

_CONFIDENCE = 0.95
CODE = "CHAMPION"


def compare(rule: Production, model: Outcomes, champion: Outcomes, who: str, seed: str) -> Check:
    """Return the check against the model in production.

    Args:
        rule: What the model must show.
        model: Outcomes of the new model.
        champion: Outcomes of the model in production, of the same rows.
        who: Name and version of the model in production.
        seed: What the bootstrap samples depend on.
    """
    metric, rows = MAIN[model.task], model.rows
    new, old = model.losses(), champion.losses()
    measured, bound = (_metric(model.task, losses.mean()) for losses in (new, old))
    if not np.isfinite(bound):
        text = f"the predictions of {who} are not finite, so the new model is not compared"
        return Check(metric, None, None, True, text, rows=rows, code=CODE, decided=False)
    if not np.isfinite(measured):
        text = f"{metric} could not be measured, so it is not compared with that of {who} ({short(bound)})"
        return Check(metric, None, bound, False, text, rows=rows, code=CODE)
    # Ordered by the difference, which the result depends on most.
    drawn = bootstrap.means(np.stack([old - new, old], axis=1), bootstrap.seeded(seed, CODE))
    news, olds = (_metrics(model.task, losses) for losses in (drawn[:, 1] - drawn[:, 0], drawn[:, 1]))
    gain, margin = bound - measured, rule.margin * bound
    found = _Found(
        gain=gain,
        margin=margin,
        better=_at_least(olds - news, gain, rows),
        worse=_at_least(news - olds, -gain, rows),
        # The margin is a share of a metric that is itself uncertain.
        within=_at_least((1 + rule.margin) * olds - news, gain + margin, rows),
    )
    text, passed = _judge(rule, found, f"{metric} {short(measured)} is ", f" of {who} ({short(bound)}) {on_rows(rows)}")
    ends = bootstrap.interval(gain, olds - news) or Interval(gain, gain)
    value, bound, margin = (float(f"{number:.8g}") for number in (measured, bound, margin))
    return Check(metric, value, bound, passed, text, margin, rows, CODE, low=ends.low, high=ends.high)


@dataclass(frozen=True)
class _Found:
    """What a model is better by, and the lower ends of one-sided 95 % intervals of three differences.

    Attributes:
        gain: What the model is better by; negative if it is worse.
        margin: What it may be worse by.
        better: It is better by at least this.
        worse: It is worse by at least this.
        within: It is better than the margin allows by at least this.
    """

    gain: float
    margin: float
    better: float
    worse: float
    within: float


def _metric(task: Task, loss: float) -> float:
    return math.sqrt(loss) if task == "regression" else float(loss)


def _metrics(task: Task, losses: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(losses, 0)) if task == "regression" else losses


def _at_least(samples: np.ndarray, value: float, rows: int) -> float:
    """Return the lower end of the one-sided 95 % interval of a difference.

    On few rows, the samples vary less than the difference does: they are spread by the ratio of Student's to the normal
    quantile, and by that of the two estimates of the variance.
    """
    if rows < 2:
        return -math.inf
    wider = float(stdtrit(rows - 1, _CONFIDENCE) / ndtri(_CONFIDENCE)) * math.sqrt(rows / (rows - 1))
    return float(value + wider * (np.nanquantile(samples, 1 - _CONFIDENCE) - np.nanmean(samples)))


def _judge(rule: Production, found: _Found, value: str, bound: str) -> tuple[str, bool]:
    """Return the reason, and whether the model passes."""
    gain = found.gain
    by = f"{'better' if gain > 0 else 'worse'} by {short(abs(gain), 3)} than that" if gain else "that"
    beside = f"{value}{by}{bound}"
    allowed = f"the margin of {short(found.margin, 3)} ({rule.margin * 100:g} %)"
    if rule.mode == "improvement":
        passed = found.better > 0
        shown = "shown" if passed else "but not shown, as the gate requires,"
        return f"{beside}, {shown} to be better with 95 % confidence", passed
    if rule.mode == "non_inferiority":
        passed = found.within > 0
        shown = "shown" if passed else "but not shown, as the gate requires,"
        return f"{beside}, {shown} to be worse by less than {allowed} with 95 % confidence", passed
    if found.worse > 0 or -gain > found.margin:
        why = "shown with 95 % confidence" if found.worse > 0 else f"more than {allowed}"
        return f"{beside}, {why}: the model in production stays", False
    return f"{beside}, which may be chance and is within {allowed}" if gain < 0 else beside, True
