"""Performance without labels, of a regression: direct loss estimation (DLE).

A second model predicts the absolute and the squared error of a row from the prediction and the inputs, and the estimate is

    mae = mean of the predicted absolute errors      rmse = square root of the mean of the predicted squared errors

    labels      two gradient boostings of scikit-learn (seed 1, 100 trees of 15 leaves) on up to 50,000 rows of the log with
                labels, if there are 1,000. A fifth of them is held out: how far these are from the prediction is the error of
                the estimate. They should be from before the time that is estimated, see `calibrated`.
    evaluation  without enough labels: the squared error of a bin of predictions is s^2 + (predicted - observed)^2, where s^2 is
                such that the bins have the rmse of the evaluation; the absolute error is in proportion to its square root.
                It follows changed shares of the bins only.

Source: the documentation of NannyML, "How DLE works". The models are trained when they are needed, and never stored.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from tiffin.artifacts.measures import Calibration, Interval
from tiffin.artifacts.performance import Estimate
from tiffin.performance.calibrated import LEAST_ROWS
from tiffin.performance.comparison import Reference
from tiffin.performance.estimation import ESTIMATED
from tiffin.performance.workspace import BATCH_ROWS
from tiffin.quality import metrics
from tiffin.serving.prediction_log import INPUT, is_list

MOST_ROWS = 50_000
# Values of a text that are categories of their own; scikit-learn takes 255.
_CATEGORIES = 250
_HELD_OUT = 5


@dataclass(frozen=True)
class LossModel:
    """What the loss of a row is expected to be.

    Attributes:
        source: `labels` or `evaluation`.
        rows: Number of rows with labels that it is from.
        columns: Columns of the joined answers that it needs.
        predict: Function from a batch of them to the expected absolute and squared error of each row, `[rows, 2]`.
        spreads: Standard deviation of the losses of a row around these.
        errors: Standard error of the means of these.
    """

    source: Literal["labels", "evaluation"]
    rows: int
    columns: tuple[str, ...]
    predict: Callable[[pa.RecordBatch], np.ndarray]
    spreads: tuple[float, float]
    errors: tuple[float, float]


def fit_losses(path: Path, inputs: Mapping[str, str], until: int | None = None) -> LossModel | None:
    """Return a model of the losses, from answers with labels; None if there are fewer than 1,000.

    Args:
        path: Joined answers, as `joining.join` writes them.
        inputs: Inputs to their kinds, as the answers have them; lists are left out.
        until: Only answers before this time are used, in microseconds since 1970. Defaults to all.
    """
    names = [name for name, kind in sorted(inputs.items()) if not is_list(kind)]
    columns = ["score_0", "truth", *(INPUT + name for name in names)]
    total = sum(batch.num_rows for batch in _labelled(path, ["truth"], until))
    if total < LEAST_ROWS:
        return None
    parts, start, step = [], 0, math.ceil(total / MOST_ROWS)
    for batch in _labelled(path, columns, until):
        parts.append(batch.take(pa.array(np.arange((-start) % step, batch.num_rows, step))))
        start += batch.num_rows
    sample = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
    texts = [_frequent(sample, name) if inputs[name] == "string" else None for name in names]
    encode = _encoder(names, texts)
    features = encode(sample)
    apart = np.abs(_numbers(sample, "score_0") - _numbers(sample, "truth"))
    held = np.arange(len(apart)) % _HELD_OUT == _HELD_OUT - 1
    categories = [False, *(known is not None for known in texts)]
    models, spreads, errors = [], [], []
    for losses in (apart, apart**2):
        model = HistGradientBoostingRegressor(
            max_iter=100, max_leaf_nodes=15, min_samples_leaf=20, early_stopping=False, random_state=1,
            categorical_features=categories,
        )  # fmt: skip
        # On a busy machine, threads that wait for one another take fifty times as long.
        with threadpool_limits(1, "openmp"):
            model.fit(features[~held], losses[~held])
            left = losses[held] - np.maximum(model.predict(features[held]), 0)
        models.append(model)
        spreads.append(float(left.std()))
        # The mean is that of a bias, which the held-out rows show as well as its error.
        errors.append(float(math.hypot(left.mean(), left.std() / math.sqrt(held.sum()))))

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        given = encode(batch)
        with threadpool_limits(1, "openmp"):
            return np.stack([np.maximum(model.predict(given), 0) for model in models], axis=1)

    needed = tuple(name for name in columns if name != "truth")
    return LossModel("labels", len(apart), needed, predict, (spreads[0], spreads[1]), (errors[0], errors[1]))


def losses_of(curve: Calibration | None, reference: Reference) -> LossModel | None:
    """Return a model of the losses from an evaluation; None if it has no rmse and mae.

    Args:
        curve: Calibration curve of the evaluation: mean prediction and mean label by bins of predictions.
        reference: Metrics of the evaluation.
    """
    rmse, mae = reference.metrics.get("rmse"), reference.metrics.get("mae")
    if rmse is None or mae is None:
        return None
    if curve is None or not curve.rows:
        curve = Calibration((0.0,), (0.0,), (1,))
    predicted, observed, rows = (np.array(one, np.float64) for one in (curve.predicted, curve.observed, curve.rows))
    bias = (predicted - observed) ** 2
    square = max(0.0, rmse**2 - float(np.average(bias, weights=rows))) + bias
    size = mae * np.sqrt(square) / rmse if rmse else square
    edges = (predicted[1:] + predicted[:-1]) / 2

    def predict(batch: pa.RecordBatch) -> np.ndarray:
        place = np.searchsorted(edges, _numbers(batch, "score_0"))
        return np.stack([size[place], square[place]], axis=1)

    # The squared error of normal errors has sqrt(2) times its mean as standard deviation.
    spreads = (math.sqrt(max(0.0, rmse**2 - mae**2)), math.sqrt(2) * rmse**2)
    errors = (reference.errors.get("mae", 0.0), 2 * rmse * reference.errors.get("rmse", 0.0))
    return LossModel("evaluation", reference.rows, ("score_0",), predict, spreads, errors)


def estimate_losses(
    model: LossModel,
    path: Path,
    *,
    since: int | None = None,
    until: int | None = None,
    labelled: bool = False,
    fixed: bool = False,
) -> Estimate:
    """Return the expected metrics of a regression.

    Args:
        model: What the losses are expected to be.
        path: Joined answers, as `joining.join` writes them.
        since: Time of the first answer, in microseconds since 1970. Defaults to the first one.
        until: End of the time, not included. Defaults to the last one.
        labelled: Whether only answers with a label count, as to compare with these. Defaults to False.
        fixed: Whether the intervals are for the labels of these very rows. Defaults to False.
    """
    return add_losses(model, _batches(path, list(model.columns), since, until, labelled=labelled), fixed=fixed)


def add_losses(model: LossModel, batches: Iterable[pa.RecordBatch], *, fixed: bool = False) -> Estimate:
    """Return the expected metrics of a regression on batches of answers, which have the columns that the model needs.

    Args:
        model: What the losses are expected to be.
        batches: The answers.
        fixed: Whether the intervals are for the labels of these very rows. Defaults to False.
    """
    rows, sums, squares = 0, np.zeros(2), np.zeros(2)
    for batch in batches:
        found = model.predict(batch)
        rows += len(found)
        sums += found.sum(axis=0)
        squares += (found**2).sum(axis=0)
    names = ESTIMATED["regression"]
    if not rows:
        return Estimate(0, dict.fromkeys(names), {}, {}, model.source, fixed)
    mean = sums / rows
    spread = np.array(model.spreads) ** 2 + (0 if fixed else np.maximum(squares / rows - mean**2, 0))
    errors = np.sqrt(spread / rows + np.array(model.errors) ** 2)
    rmse = math.sqrt(mean[1])
    values = metrics.rounded({"rmse": rmse, "mae": float(mean[0])})
    deviations = {"rmse": float(errors[1] / (2 * rmse)) if rmse else 0.0, "mae": float(errors[0])}
    ends = {
        name: Interval(
            float(f"{max(0.0, value - 1.96 * deviations[name]):.8g}"), float(f"{value + 1.96 * deviations[name]:.8g}")
        )
        for name, value in values.items()
        if value is not None
    }
    return Estimate(rows, values, ends, deviations, model.source, fixed)


def _labelled(path: Path, columns: list[str], until: int | None) -> Iterator[pa.RecordBatch]:
    return _batches(path, columns, None, until, labelled=True)


def _batches(
    path: Path, columns: list[str], since: int | None, until: int | None, *, labelled: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the answers of a time, with a label or all."""
    read = list(dict.fromkeys([*columns, "time", *(["truth"] if labelled else [])]))
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=read):
            times = batch.column(batch.schema.get_field_index("time")).to_numpy()
            wanted = np.ones(len(times), bool)
            if since is not None:
                wanted &= times >= since
            if until is not None:
                wanted &= times < until
            if labelled:
                wanted &= np.asarray(pc.is_valid(batch.column(batch.schema.get_field_index("truth"))))
            if wanted.any():
                yield batch.filter(pa.array(wanted))


def _numbers(batch: pa.RecordBatch, name: str) -> np.ndarray:
    column = batch.column(batch.schema.get_field_index(name))
    found: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _frequent(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return the most frequent values of a text, ties by the text."""
    column = batch.column(batch.schema.get_field_index(INPUT + name))
    counts = [(one["counts"], one["values"]) for one in pc.value_counts(column.drop_null()).to_pylist()]
    kept = sorted(counts, key=lambda pair: (-pair[0], pair[1]))[:_CATEGORIES]
    return pa.array([text for _, text in kept], pa.string())


def _encoder(names: list[str], texts: list[pa.Array | None]) -> Callable[[pa.RecordBatch], np.ndarray]:
    """Return the function from a batch to features, `[rows, 1 + inputs]`: numbers, categories, and NaN for missing ones."""

    def encode(batch: pa.RecordBatch) -> np.ndarray:
        columns = [_numbers(batch, "score_0")]
        for name, known in zip(names, texts, strict=True):
            if known is None:
                columns.append(_numbers(batch, INPUT + name))
            else:
                column: Any = batch.column(batch.schema.get_field_index(INPUT + name))
                codes = pc.fill_null(pc.index_in(column, value_set=known), len(known)).to_numpy().astype(np.float64)
                columns.append(np.where(np.asarray(pc.is_null(column)), np.nan, codes))
        return np.stack(columns, axis=1)

    return encode
