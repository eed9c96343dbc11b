"""Performance without labels, of a classification: confidence-based performance estimation (CBPE).

A row with the calibrated probability c is positive with this probability, so that it counts as c positive rows and 1 - c
negative ones. The metrics of these fractional rows are the estimate: with predictions s,

    accuracy   mean of c where s >= 0.5, and of 1 - c elsewhere
    precision  sum of c where s >= 0.5 / number of rows where s >= 0.5; recall and f1 likewise, as ratios of expectations
    log_loss   mean of -(c ln s + (1 - c) ln (1 - s))
    auc        probability that a positive row has a higher score than a negative one, rows weighing c and 1 - c

It accounts for changes of the inputs, as far as the probabilities stay calibrated; it does not see a changed relation of inputs
and labels (concept drift), which is why a loss that it misses tells of one. Sources: the documentation of NannyML, "How CBPE
works", and Kivimäki et al., "Performance estimation in binary classification using calibrated confidence", 2025.

95 % intervals are from samples in which the labels are drawn by c, the map from probabilities to c varies by its own error, and
the rows vary as others would, unless they are `fixed`: the labels of these rows will come. Scores in one of 1,024 bins count
alike, as in `tiffin.quality.intervals`.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from tiffin.artifacts.performance import Estimate
from tiffin.performance.calibrated import CalibrationMap
from tiffin.quality import bootstrap, calibration, intervals, metrics
from tiffin.quality.outcomes import CHUNK_ROWS

# Metrics that are estimated. The expected calibration error is that of the map, and no estimate.
ESTIMATED = {
    "binary": ("auc", "average_precision", "accuracy", "precision", "recall", "f1", "log_loss", "brier"),
    "multiclass": ("auc", "accuracy", "log_loss"),
    "regression": ("rmse", "mae"),
}
_CHUNK = 125
# Samples of rows with several classes: how many, and of how many rows, whose spread is scaled to that of all.
_ROUNDS, _SAMPLE = 200, 4096


def estimate(
    answer: np.ndarray,
    found: CalibrationMap,
    *seed: object,
    fixed: bool = False,
    rounds: int = bootstrap.ROUNDS,
    rows: int | None = None,
) -> Estimate:
    """Return the expected metrics of a classification.

    Args:
        answer: Finite predictions: probabilities of the positive class, `[rows]`, or of each class, `[rows, classes]`.
        found: Map from probabilities to calibrated ones.
        *seed: Names that the samples depend on.
        fixed: Whether the intervals are for the labels of these very rows, as to compare with these. Defaults to False.
        rounds: Number of samples. Defaults to 1,000.
        rows: Number of rows that will have labels; fewer give wider intervals. Defaults to all.
    """
    names = ESTIMATED["binary" if answer.ndim == 1 else "multiclass"]
    if not len(answer):
        return Estimate(0, dict.fromkeys(names), {}, {}, found.source, fixed)
    rng = bootstrap.seeded("estimate", *seed)
    factor = 1.0 if rows is None else min(1.0, max(rows, 1) / len(answer))
    values, samples = (_binary if answer.ndim == 1 else _multiclass)(answer, found, rng, rounds, factor, fixed=fixed)
    values = metrics.rounded({name: values[name] for name in names})
    kept = {name: samples[name] for name in names}
    errors = {name: float(f"{np.nanstd(kept[name]):.8g}") for name in names if values[name] is not None}
    return Estimate(len(answer), values, intervals.clean(values, kept), errors, found.source, fixed)


_Found = tuple[Mapping[str, float | None], Mapping[str, np.ndarray]]


def _binary(
    answer: np.ndarray, found: CalibrationMap, rng: np.random.Generator, rounds: int, factor: float, *, fixed: bool
) -> _Found:
    score = answer.astype(np.float64)
    bins, means = intervals.score_bins(score)
    size = len(means)
    calibrated = found.apply(score)
    rows = np.bincount(bins, minlength=size).astype(np.float64)
    positive = np.bincount(bins, calibrated, size)
    cells = np.stack([rows - positive, positive])
    least = float(np.finfo(answer.dtype).eps)
    clipped = np.clip(score, least, 1 - least)
    # What a row of the bin loses if it is negative, and if it is positive; on average over its rows by their weight.
    parts = []
    for weight, loss, square in (
        (1 - calibrated, -np.log1p(-clipped), score**2),
        (calibrated, -np.log(clipped), (1 - score) ** 2),
    ):
        total = np.maximum(np.bincount(bins, weight, size), 1e-300)
        parts.append((np.bincount(bins, weight * loss, size) / total, np.bincount(bins, weight * square, size) / total))
    loss, square = (np.concatenate([parts[0][place], parts[1][place]]) for place in (0, 1))
    edges = np.searchsorted(calibration.bin_edges(np.clip(score, 0, 1)), np.clip(means, 0, 1))

    def measured(whole: np.ndarray) -> dict[str, np.ndarray]:
        return intervals.binary_samples(whole, whole.reshape(len(whole), -1), means, loss, square, edges)

    exact = {name: float(values[0]) for name, values in measured(cells[None]).items()}
    share = np.divide(positive, rows)
    drawn = []
    for start in range(0, rounds, _CHUNK):
        count = min(_CHUNK, rounds - start)
        # The share of a bin is the mean over its rows, and not the map of their mean.
        moved = np.clip(share + found.noise(means, rng, count) - found.apply(means), 0, 1)
        if fixed:
            of = np.broadcast_to(np.maximum(1, np.rint(rows * factor)), moved.shape)
        else:
            of = rng.poisson(rows * factor, moved.shape)
        hits = rng.binomial(of.astype(np.int64), moved)
        drawn.append(measured(np.stack([of - hits, hits], axis=1).astype(np.float64)))
    return exact, {name: np.concatenate([part[name] for part in drawn]) for name in exact}


def _multiclass(
    answer: np.ndarray, found: CalibrationMap, rng: np.random.Generator, rounds: int, factor: float, *, fixed: bool
) -> _Found:
    exact = _expected(answer, found)
    rows = min(len(answer), _SAMPLE)
    # Spread evenly over the rows, so that the order of equal ones does not matter much.
    sample = answer[np.linspace(0, len(answer) - 1, rows).astype(np.int64)].astype(np.float64)
    highest = np.clip(sample.max(axis=1), 0, 1)
    rounds = min(rounds, _ROUNDS)
    drawn: dict[str, list[float]] = {name: [] for name in exact}
    noise = found.noise(highest, rng, rounds)
    for number in range(rounds):
        probability = _spread_rest(sample, noise[number])
        place = slice(None) if fixed else rng.integers(rows, size=rows)
        chosen, score = probability[place], sample[place]
        label = (chosen.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1)
        weight = np.zeros_like(chosen)
        weight[np.arange(rows), label] = 1
        for name, value in _weighted(score, weight).items():
            drawn[name].append(value)
    # The error of the map does not fall with the number of rows, so that it is found by itself.
    map_only = [_weighted(sample, _spread_rest(sample, one)) for one in noise]
    scale = np.sqrt(rows / (len(answer) * factor))
    result = {}
    for name, values in drawn.items():
        of_map = np.array([one[name] for one in map_only])
        of_map -= of_map.mean()
        labels = np.array(values) - of_map
        centre = exact[name]
        result[name] = (0.0 if centre is None else centre) + of_map + (labels - np.nanmean(labels)) * scale
    return exact, result


def _expected(answer: np.ndarray, found: CalibrationMap) -> dict[str, float | None]:
    """Return the metrics of the fractional rows: means in parts, and the AUC of each class over all rows."""
    total = {"accuracy": 0.0, "log_loss": 0.0}
    calibrated = np.empty(answer.shape, np.float32)
    for start in range(0, len(answer), CHUNK_ROWS):
        part = answer[start : start + CHUNK_ROWS].astype(np.float64)
        weight = _spread_rest(part, found.apply(np.clip(part.max(axis=1), 0, 1)))
        calibrated[start : start + CHUNK_ROWS] = weight
        for name, value in _means(part, weight).items():
            total[name] += value * len(part)
    values: dict[str, float | None] = {name: value / len(answer) for name, value in total.items()}
    return {"auc": _auc(answer, calibrated), **values}


def _spread_rest(answer: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Return the probabilities with the highest one replaced, and the others scaled so that all add up to 1."""
    place = np.arange(len(answer)), answer.argmax(axis=1)
    rest = answer.copy()
    rest[place] = 0
    total = rest.sum(axis=1, keepdims=True)
    even = np.full_like(rest, 1 / max(1, answer.shape[1] - 1))
    even[place] = 0
    found: np.ndarray = np.where(total > 0, rest / np.where(total > 0, total, 1), even) * (1 - highest)[:, None]
    found[place] = highest
    return found


def _weighted(score: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    return {"auc": _auc(score, weight), **_means(score, weight)}


def _means(score: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    least = float(np.finfo(np.float64).eps)
    chance = np.clip(score / score.sum(axis=1, keepdims=True), least, 1 - least)
    return {
        "accuracy": float(weight[np.arange(len(score)), score.argmax(axis=1)].mean()),
        "log_loss": float(-(weight * np.log(chance)).sum(axis=1).mean()),
    }


def _auc(score: np.ndarray, weight: np.ndarray) -> float:
    """Return the mean AUC of the classes one-vs-rest; rows weigh as much as they are of the class, and of the rest."""
    found = []
    for number in range(score.shape[1]):
        positive = weight[:, number].astype(np.float64)
        total = positive.sum() * (1 - positive).sum()
        if not total:
            continue
        ranks = rankdata(score[:, number], method="dense") - 1
        size = int(ranks.max()) + 1
        ranks = ranks.astype(np.int64)
        ups, downs = np.bincount(ranks, positive, size), np.bincount(ranks, 1 - positive, size)
        found.append(float((ups * (np.cumsum(downs) - downs / 2)).sum() / total))
    return float(np.mean(found)) if found else float("nan")
