"""The distributions of a model's predictions, which monitoring compares those in production with."""

import math
from collections.abc import Sequence

import numpy as np

from tiffin.artifacts.measures import Distribution
from tiffin.artifacts.model import OUTPUTS
from tiffin.artifacts.notes import Note
from tiffin.quality.moments import Moments
from tiffin.quality.outcomes import CHUNK_ROWS, Outcomes

# Classes, those predicted most often, whose probabilities have a distribution.
MOST_CLASSES = 50
MOST_EDGES = 32
# Predictions, evenly spread over the split, that the edges are quantiles of. The bins count all predictions.
_SAMPLED_ROWS = 1 << 18


def find_distributions(outcomes: Outcomes, classes: Sequence[str]) -> tuple[tuple[Distribution, ...], tuple[Note, ...]]:
    """Return the distribution of each prediction, and a note on classes that were left out.

    Args:
        outcomes: Labels and predictions.
        classes: Names of the classes; empty for regression.
    """
    output = OUTPUTS[outcomes.task]
    if outcomes.task != "multiclass":
        return (measure(output, outcomes.answer),), ()
    chosen = list(range(len(classes)))
    notes: tuple[Note, ...] = ()
    if len(classes) > MOST_CLASSES:
        often = np.argsort(-np.bincount(outcomes.predicted(), minlength=len(classes)), kind="stable")
        chosen = sorted(often[:MOST_CLASSES].tolist())
        text = f"classes whose probabilities have no distribution: only those of the {MOST_CLASSES} predicted most often do"
        notes = (Note("PREDICTIONS_NOT_LISTED", text, count=len(classes) - MOST_CLASSES),)
    return tuple(measure(f"{output}[{classes[number]}]", outcomes.answer[:, number]) for number in chosen), notes


def measure(name: str, predictions: np.ndarray) -> Distribution:
    """Return the distribution of predictions, `[rows]`.

    Args:
        name: Name of the output.
        predictions: Numbers, of which some may not be finite.
    """
    edges = _edges(predictions)
    counts, moments = np.zeros(len(edges) + 1, np.int64), Moments()
    for start in range(0, len(predictions), CHUNK_ROWS):
        finite = _finite(predictions[start : start + CHUNK_ROWS])
        counts += np.bincount(np.searchsorted(edges, finite), minlength=len(counts))
        moments.add(finite.astype(np.float64))
    return Distribution(
        name,
        len(predictions),
        tuple(edges.tolist()),
        tuple(counts.tolist()),
        _number(moments.mean) if moments.count else None,
        _number(moments.deviation()) if moments.count else None,
        len(predictions) - moments.count,
    )


def _edges(predictions: np.ndarray) -> np.ndarray:
    """Return the distinct quantiles of the finite predictions: values of the predictions, so that equal ones share a bin."""
    finite = _finite(_thinned(predictions))
    if not len(finite):
        finite = _thinned(_finite(predictions))
    if not len(finite):
        return finite
    shares = np.arange(1, MOST_EDGES + 1) / (MOST_EDGES + 1)
    # NumPy's quantiles of numbers near the limits of float64 are NaN.
    return np.unique(np.sort(finite)[np.ceil(shares * len(finite)).astype(np.int64) - 1])


def _thinned(predictions: np.ndarray) -> np.ndarray:
    return predictions[:: max(1, -(-len(predictions) // _SAMPLED_ROWS))]


def _finite(predictions: np.ndarray) -> np.ndarray:
    finite: np.ndarray = predictions[np.isfinite(predictions)]
    return finite


def _number(value: float) -> float | None:
    return float(f"{value:.8g}") if math.isfinite(value) else None
