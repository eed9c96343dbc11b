"""Compare a model with the one in production on the same rows, by paired bootstrap of the main metric."""

import math

import numpy as np
from scipy.special import ndtri, stdtrit

from tiffin.artifacts.verdict import Check, Interval
from tiffin.stages.evaluate import bootstrap
from tiffin.stages.evaluate.definitions import MAIN
from tiffin.stages.evaluate.document import Production
from tiffin.stages.evaluate.outcomes import Outcomes
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
    losses = [_finite(one.losses()) for one in (model, champion)]
    if losses[1] is None:
        text = f"the predictions of {who} are not finite, so the new model is not compared"
        return Check(metric, None, None, True, text, rows=rows, code=CODE, decided=False)
    if losses[0] is None:
        text = f"{metric} could not be measured, so it is not compared with that of {who}"
        return Check(metric, None, _metric(model, float(losses[1].mean())), False, text, rows=rows, code=CODE)
    new, old = losses
    value, bound = _metric(model, float(new.mean())), _metric(model, float(old.mean()))
    # Ordered by the difference, which the result depends on most.
    drawn = bootstrap.means(np.stack([old - new, old], axis=1), bootstrap.seeded(seed, "champion"))
    olds = _metric(model, drawn[:, 1])
    news = _metric(model, drawn[:, 1] - drawn[:, 0])
    gain, margin = bound - value, rule.margin * bound
    better = _at_least(olds - news, gain, rows)
    worse = -_at_least(news - olds, -gain, rows)  # at most
    # The margin is a share of a metric that is itself uncertain.
    within = _at_least((1 + rule.margin) * olds - news, gain + margin, rows)
    text, passed = _judge(rule, metric, value, bound, gain, margin, (better, worse, within), who, rows)
    ends = bootstrap.interval(gain, olds - news) or Interval(gain, gain)
    return Check(
        metric, *(float(f"{number:.8g}") for number in (value, bound)), passed, text, float(f"{margin:.8g}"), rows, CODE,
        low=ends.low, high=ends.high,
    )  # fmt: skip


def _finite(losses: np.ndarray) -> np.ndarray | None:
    return losses if bool(np.isfinite(losses).all()) else None


def _metric(outcomes: Outcomes, loss: float | np.ndarray) -> float | np.ndarray:
    return np.sqrt(np.maximum(loss, 0)) if outcomes.task == "regression" else loss


def _at_least(samples: np.ndarray, value: float, rows: int) -> float:
    """Return the lower end of the one-sided 95 % interval of a difference.

    On few rows, the samples vary less than the difference does: they are spread by the ratio of Student's to the normal
    quantile, and by that of the two estimates of the variance.
    """
    if rows < 2:
        return -math.inf
    wider = float(stdtrit(rows - 1, _CONFIDENCE) / ndtri(_CONFIDENCE)) * math.sqrt(rows / (rows - 1))
    return float(value + wider * (np.nanquantile(samples, 1 - _CONFIDENCE) - np.nanmean(samples)))


def _judge(
    rule: Production,
    metric: str,
    value: float,
    bound: float,
    gain: float,
    margin: float,
    shown: tuple[float, float, float],
    who: str,
    rows: int,
) -> tuple[str, bool]:
    """Return the reason, and whether the model passes."""
    better, worse, within = shown
    by = f"{'better' if gain > 0 else 'worse'} by {short(abs(gain), 3)} than that" if gain else "that"
    beside = f"{metric} {short(value)} is {by} of {who} ({short(bound)}) {on_rows(rows)}"
    allowed = f"the margin of {short(margin, 3)} ({rule.margin * 100:g} %)"
    if rule.mode == "improvement":
        passed = better > 0
        found = "shown" if passed else "but not shown, as the gate requires,"
        return f"{beside}, {found} to be better with 95 % confidence", passed
    if rule.mode == "non_inferiority":
        passed = within > 0
        found = "shown" if passed else "but not shown, as the gate requires,"
        return f"{beside}, {found} to be worse by less than {allowed} with 95 % confidence", passed
    if worse < 0 or -gain > margin:
        why = "shown with 95 % confidence" if worse < 0 else f"more than {allowed}"
        return f"{beside}, {why}: the model in production stays", False
    return f"{beside}, which may be chance and is within {allowed}" if gain < 0 else beside, True
