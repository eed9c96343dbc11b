"""95 % intervals of the metrics, from bootstrap samples.

`metrics` measures the rows themselves; here, scores in one of 1,024 bins count alike in the samples.
"""

from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from tiffin.artifacts.measures import Interval
from tiffin.quality import bootstrap, calibration, metrics
from tiffin.quality.definitions import TOP
from tiffin.quality.outcomes import Outcomes

# Bins of log odds from -16 to 16, beyond which float32 has no probabilities below 1.
_BINS, _ODDS = 1024, 16.0
# Metrics without an upper bound of 1.
_UNBOUNDED = {
    "log_loss", "rmse", "mae", "pinball_loss_10", "pinball_loss_90", "mean_prediction_difference", "mae_difference",
}  # fmt: skip


def find_intervals(
    outcomes: Outcomes, values: Mapping[str, float | None], *seed: object, rounds: int = bootstrap.ROUNDS
) -> dict[str, Interval]:
    """Return the intervals of the metrics that are defined.

    Args:
        outcomes: Labels and predictions.
        values: Metrics of these rows.
        *seed: Names that the samples depend on.
        rounds: Number of bootstrap samples.
    """
    if all(values[name] is None for name in metrics.names_of(outcomes)):
        return {}
    rng = bootstrap.seeded(*seed)
    samples = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[outcomes.task](
        outcomes, rng, rounds
    )
    return clean(values, samples)


def clean(values: Mapping[str, float | None], samples: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    """Return the intervals of values by their samples, without those that are undefined."""
    found = {}
    for name, drawn in samples.items():
        low, high = -np.inf if name == "r2" else 0.0, np.inf if name in _UNBOUNDED else 1.0
        ends = bootstrap.interval(values.get(name), drawn, low, high)
        if ends is not None:
            found[name] = ends
    return found


def recall_samples(matrix: np.ndarray, rng: np.random.Generator, rounds: int = bootstrap.ROUNDS) -> np.ndarray:
    """Return the recall of each class in bootstrap samples, `[rounds, classes]`; NaN without rows."""
    return _by_class(matrix, rng, rounds)[2]


def _binary(outcomes: Outcomes, rng: np.random.Generator, rounds: int) -> dict[str, np.ndarray]:
    score = outcomes.answer.astype(np.float64)
    bins, means = score_bins(score)
    positive = outcomes.truth == 1
    size = len(means)
    cells = bins + size * positive
    counts = np.bincount(cells, minlength=2 * size)
    kept = np.flatnonzero(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = (np.bincount(cells, outcomes.losses(), 2 * size) / counts)[kept]
        square = (np.bincount(cells, (positive - score) ** 2, 2 * size) / counts)[kept]
    calibrated = np.searchsorted(calibration.bin_edges(np.clip(score, 0, 1)), np.clip(means, 0, 1))
    parts = [
        binary_samples(_spread(drawn, kept, size), drawn, means, loss, square, calibrated)
        for drawn in bootstrap.draws(counts[kept], rng, rounds)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _spread(drawn: np.ndarray, kept: np.ndarray, size: int) -> np.ndarray:
    """Return the draws of all cells, `[rounds, 2, bins]`, from those of the cells with rows."""
    whole = np.zeros((len(drawn), 2 * size))
    whole[:, kept] = drawn
    return whole.reshape(len(drawn), 2, size)


def binary_samples(
    whole: np.ndarray,
    drawn: np.ndarray,
    means: np.ndarray,
    loss: np.ndarray,
    square: np.ndarray,
    calibrated: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the metrics of a binary model in samples of cells: rows of one score and one label.

    Args:
        whole: Rows of each cell, `[samples, 2, scores]`: negative ones first, scores in ascending order.
        drawn: The same for the cells that have a loss, `[samples, cells]`.
        means: Scores, `[scores]`.
        loss: Log loss of these cells, `[cells]`.
        square: Squared error of these cells, `[cells]`.
        calibrated: Bin of each score, of those of the calibration curve, `[scores]`.
    """
    negative, positive = whole[:, 0], whole[:, 1]
    rows, of_positive, of_negative = drawn.sum(axis=1), positive.sum(axis=1), negative.sum(axis=1)
    above = means >= 0.5
    true, false = positive[:, above].sum(axis=1), negative[:, above].sum(axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    hits = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1]
    both = hits + np.cumsum(negative[:, ::-1], axis=1)[:, ::-1]
    member = np.equal.outer(calibrated, np.arange(calibration.BINS)).astype(np.float64)
    sides = positive + negative
    apart = np.abs((positive - sides * np.clip(means, 0, 1)) @ member).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "auc": (positive * below).sum(axis=1) / (of_positive * of_negative),
            "average_precision": (positive * np.where(both > 0, hits / both, 0)).sum(axis=1) / of_positive,
            "accuracy": (true + of_negative - false) / rows,
            "precision": _share(true, true + false),
            "recall": _share(true, of_positive),
            "f1": _share(2 * true, true + false + of_positive),
            "log_loss": drawn @ loss / rows,
            "brier": drawn @ square / rows,
            "calibration_error": apart / rows,
        }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the shares; 0 of nothing, as in `metrics`."""
    found: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found


def score_bins(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each score, and the mean score of each bin, in ascending order. Few distinct scores are bins."""
    distinct = np.unique(score[: 64 * _BINS])
    if len(distinct) <= _BINS and (len(score) <= 64 * _BINS or np.isin(score, distinct).all()):
        return np.searchsorted(distinct, score), distinct
    with np.errstate(divide="ignore"):
        odds = np.log(score) - np.log1p(-score)
    width = 2 * _ODDS / _BINS
    bins = np.floor((np.clip(odds, -_ODDS, _ODDS - width / 2) + _ODDS) / width).astype(np.int64)
    # Rounding must not move a score across 0.5, where the prediction changes.
    half = _BINS // 2
    bins = np.where(score >= 0.5, np.maximum(bins, half), np.minimum(bins, half - 1))
    counts = np.bincount(bins)
    used = np.flatnonzero(counts)
    bins = (np.cumsum(counts > 0) - 1)[bins]
    return bins, np.bincount(bins, score, len(used)) / counts[used]


def _multiclass(outcomes: Outcomes, rng: np.random.Generator, rounds: int) -> dict[str, np.ndarray]:
    truth, predicted = outcomes.truth.astype(np.int64), outcomes.predicted()
    pairs = np.bincount(truth * outcomes.classes + predicted, minlength=outcomes.classes**2)
    accuracy, f1, _ = _by_class(pairs.reshape(outcomes.classes, outcomes.classes), rng, rounds)
    found = {"accuracy": accuracy, "f1": f1, "log_loss": bootstrap.means(outcomes.losses()[:, None], rng, rounds)[:, 0]}
    probability, hit = calibration.confidence(outcomes)
    bins = np.searchsorted(calibration.bin_edges(probability), probability)
    found["calibration_error"] = _calibration_samples(bins, probability, hit, rng, rounds)
    place = np.concatenate([_place(part) for part in outcomes.chunks()])
    for best in TOP:
        if outcomes.classes > best:
            share = (place < best).mean()
            counts = np.array([share, 1 - share]) * len(place)
            found[f"top_{best}_accuracy"] = _hits(counts, rng, rounds)
    if (outcomes.counts > 0).sum() > 1:
        found["auc"] = bootstrap.means(_auc_parts(outcomes)[:, None], rng, rounds)[:, 0]
    return found


def _by_class(matrix: np.ndarray, rng: np.random.Generator, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return accuracy, macro F1 and the recalls in samples of a confusion matrix."""
    true, predicted = np.nonzero(matrix)
    classes, cells = len(matrix), len(true)
    ones = np.ones(cells)
    of_true = sparse.csr_array((ones, (np.arange(cells), true)), (cells, classes))
    of_predicted = sparse.csr_array((ones, (np.arange(cells), predicted)), (cells, classes))
    right = (true == predicted).astype(np.float64)
    accuracy, f1, recall = [], [], []
    for drawn in bootstrap.draws(matrix[true, predicted], rng, rounds):
        hits, rows, chosen = (drawn * right) @ of_true, drawn @ of_true, drawn @ of_predicted
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracy.append(hits.sum(axis=1) / rows.sum(axis=1))
            # Over the classes that occur in the labels or in the predictions.
            each, some = 2 * hits / (rows + chosen), rows + chosen > 0
            f1.append(np.where(some, each, 0).sum(axis=1) / some.sum(axis=1))
            recall.append(hits / rows)
    return np.concatenate(accuracy), np.concatenate(f1), np.concatenate(recall)


def _hits(counts: np.ndarray, rng: np.random.Generator, rounds: int) -> np.ndarray:
    drawn = np.concatenate(list(bootstrap.draws(counts, rng, rounds)))
    with np.errstate(invalid="ignore"):
        shares: np.ndarray = drawn[:, 0] / drawn.sum(axis=1)
    return shares


def _calibration_samples(
    bins: np.ndarray, probability: np.ndarray, hit: np.ndarray, rng: np.random.Generator, rounds: int
) -> np.ndarray:
    cells = bins * 2 + hit
    counts = np.bincount(cells, minlength=2 * calibration.BINS)
    mean = np.bincount(cells, probability, 2 * calibration.BINS) / np.maximum(counts, 1)
    apart = np.tile([0.0, 1.0], calibration.BINS) - mean
    found = []
    for drawn in bootstrap.draws(counts, rng, rounds):
        sides = np.abs((drawn * apart).reshape(len(drawn), calibration.BINS, 2).sum(axis=2)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            found.append(sides / drawn.sum(axis=1))
    return np.concatenate(found)


def _place(part: Outcomes) -> np.ndarray:
    """Return the number of classes that are more likely than the label's; ties as in scikit-learn."""
    own = part.answer[np.arange(part.rows), part.truth][:, None]
    later = np.arange(part.classes) > part.truth[:, None]
    places: np.ndarray = ((part.answer > own) | ((part.answer == own) & later)).sum(axis=1)
    return places


def _auc_parts(outcomes: Outcomes) -> np.ndarray:
    """Return what each row adds to the macro AUC, to first order, around its mean (DeLong et al., 1988)."""
    present = np.flatnonzero(outcomes.counts)
    parts = np.zeros(outcomes.rows)
    for number in present:
        positive, score = outcomes.truth == number, outcomes.answer[:, number]
        ranks = rankdata(score)
        above = np.empty(outcomes.rows)
        for side in (positive, ~positive):
            above[side] = ranks[side] - rankdata(score[side])
        negatives = outcomes.rows - positive.sum()
        better = np.where(positive, above / negatives, 1 - above / positive.sum())
        auc = better[positive].mean()
        parts += (better - auc) * np.where(positive, 1 / positive.sum(), 1 / negatives) * outcomes.rows
    return parts / len(present)


def _regression(outcomes: Outcomes, rng: np.random.Generator, rounds: int) -> dict[str, np.ndarray]:
    truth, answer = outcomes.truth, outcomes.answer.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        errors, centred = truth - answer, truth - truth.mean()
        columns = np.stack(
            [errors**2, np.abs(errors), errors * np.where(errors < 0, -0.9, 0.1), centred, centred**2], axis=1
        )
        if not np.isfinite(columns).all():
            return {}
        square, size, low, mean, variance = bootstrap.means(columns, rng, rounds).T
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        r2 = 1 - square / (variance - mean**2)
    # The loss of the 90 % quantile: both losses add up to the absolute error.
    return {
        "r2": r2,
        "rmse": np.sqrt(np.maximum(square, 0)),
        "mae": size,
        "pinball_loss_10": low,
        "pinball_loss_90": size - low,
    }
