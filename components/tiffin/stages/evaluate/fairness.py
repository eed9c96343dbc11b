"""Fairness: differences and ratios between the groups of a sensitive column, by fairlearn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from fairlearn import metrics as fairlearn
from sklearn import metrics as sklearn

from tiffin.artifacts.measures import Fairness, Group
from tiffin.quality import bootstrap, intervals
from tiffin.quality.definitions import MEASURES
from tiffin.quality.metrics import rounded
from tiffin.quality.outcomes import Outcomes
from tiffin.quality.slices import Rows


def measure(outcomes: Outcomes, column: str, groups: Sequence[Rows], seed: str) -> Fairness:
    """Return the differences between groups; all are None for fewer than two, or for predictions that are not finite.

    Args:
        outcomes: Labels and predictions.
        column: Name of the sensitive column.
        groups: Rows of each group.
        seed: What the bootstrap samples depend on.
    """
    parts = [outcomes.of(group.positions) for group in groups]
    if not outcomes.is_finite:
        parts = []
    means = [_means(part) for part in parts]
    listed = tuple(
        Group(group.value, len(group.positions), rounded(means[number]) if means else {})
        for number, group in enumerate(groups)
    )
    if len(parts) < 2:
        return Fairness(column, listed, dict.fromkeys(MEASURES[outcomes.task]), {})
    rng = bootstrap.seeded(seed, "fairness", column)
    found, samples = _numbers(parts, rng) if outcomes.task == "regression" else _classes(parts, rng)
    values = rounded({name: found.get(name) for name in MEASURES[outcomes.task]})
    return Fairness(column, listed, values, intervals.clean(values, samples))


def _means(part: Outcomes) -> dict[str, float | None]:
    if part.task == "regression":
        return {
            "mean_prediction": float(part.answer.mean(dtype=np.float64)),
            "mean_label": float(part.truth.mean()),
            "mae": float(sklearn.mean_absolute_error(part.truth, part.answer)),
        }
    predicted = part.predicted()
    found: dict[str, float | None] = {"accuracy": float(sklearn.accuracy_score(part.truth, predicted))}
    if part.task == "binary":
        negatives, positives = part.counts
        found["selection_rate"] = float(fairlearn.selection_rate(part.truth, predicted, pos_label=1))
        found["true_positive_rate"] = _rate(part.truth, predicted, 1) if positives else None
        found["false_positive_rate"] = _rate(part.truth, predicted, 0) if negatives else None
    return found


def _rate(truth: np.ndarray, predicted: np.ndarray, of: int) -> float:
    return float(predicted[truth == of].mean())


def _classes(parts: Sequence[Outcomes], rng: np.random.Generator) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    # Rows of the same group, label and prediction are one row with a weight.
    cells = []
    for number, part in enumerate(parts):
        truth, predicted = part.truth == 1, part.predicted() == 1
        hit = part.predicted() == part.truth
        keys, counts = np.unique(np.stack([truth, predicted, hit]), axis=1, return_counts=True)
        cells += [(number, *key, count) for key, count in zip(keys.T.tolist(), counts.tolist(), strict=True)]
    group, truth, predicted, hit, count = (np.array(values, dtype=np.int64) for values in zip(*cells, strict=True))
    frame = fairlearn.MetricFrame(
        metrics=sklearn.accuracy_score,
        y_true=np.ones(len(hit), int),
        y_pred=hit,
        sensitive_features=group,
        sample_params={"sample_weight": count},
    )
    found = {"accuracy_difference": float(frame.difference()), "accuracy_ratio": float(frame.ratio())}
    if parts[0].task == "binary":
        weighted: dict[str, Any] = {"sensitive_features": group, "sample_weight": count}
        names = ["demographic_parity"]
        # The rate of a class that a group lacks is undefined; fairlearn takes it as 0.
        names += ["equal_opportunity"] if all(part.counts[1] for part in parts) else []
        names += ["equalized_odds"] if all(part.counts.all() for part in parts) else []
        for name in names:
            for kind in ("difference", "ratio"):
                value = getattr(fairlearn, f"{name}_{kind}")(truth, predicted, **weighted)
                found[f"{name}_{kind}"] = float(value)
    drawn = np.concatenate(list(bootstrap.draws(count, rng)))
    member = np.equal.outer(group, np.arange(len(parts))).astype(np.float64)

    def rates(of: np.ndarray, among: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: np.ndarray = (drawn * (of * among)) @ member / ((drawn * among) @ member)
        return shares

    everyone = np.ones(len(group))
    accuracy, chosen = rates(hit, everyone), rates(predicted, everyone)
    true, false = rates(predicted, truth), rates(predicted, 1 - truth)
    samples = {
        "accuracy_difference": _difference(accuracy),
        "accuracy_ratio": _ratio(accuracy),
        "demographic_parity_difference": _difference(chosen),
        "demographic_parity_ratio": _ratio(chosen),
        "equal_opportunity_difference": _difference(true),
        "equal_opportunity_ratio": _ratio(true),
        "equalized_odds_difference": np.maximum(_difference(true), _difference(false)),
        "equalized_odds_ratio": np.minimum(_ratio(true), _ratio(false)),
    }
    return found, {name: drawn for name, drawn in samples.items() if name in found}


def _numbers(parts: Sequence[Outcomes], rng: np.random.Generator) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    frame = fairlearn.MetricFrame(
        metrics={"mean_prediction": fairlearn.mean_prediction, "mae": sklearn.mean_absolute_error},
        y_true=np.concatenate([part.truth for part in parts]),
        y_pred=np.concatenate([part.answer for part in parts]).astype(np.float64),
        sensitive_features=np.repeat(np.arange(len(parts)), [part.rows for part in parts]),
    )
    found = {
        "mean_prediction_difference": float(frame.difference()["mean_prediction"]),
        "mae_difference": float(frame.difference()["mae"]),
        "mae_ratio": float(frame.ratio()["mae"]),
    }
    drawn = np.stack(
        [
            bootstrap.means(np.stack([part.answer.astype(np.float64), np.abs(part.truth - part.answer)], axis=1), rng)
            for part in parts
        ],
        axis=2,
    )
    samples = {
        "mean_prediction_difference": _difference(drawn[:, 0]),
        "mae_difference": _difference(drawn[:, 1]),
        "mae_ratio": _ratio(drawn[:, 1]),
    }
    return found, samples


def _difference(rates: np.ndarray) -> np.ndarray:
    apart: np.ndarray = rates.max(axis=1) - rates.min(axis=1)
    return apart


def _ratio(rates: np.ndarray) -> np.ndarray:
    highest = rates.max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = np.where(highest > 0, rates.min(axis=1) / highest, np.nan)
    return ratio
