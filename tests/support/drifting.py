"""A binary and a regression model in a world whose inputs and whose labels can drift."""

import numpy as np

from tiffin.quality.outcomes import Outcomes


def sigmoid(odds):
    """Return the probability of log odds."""
    return 1 / (1 + np.exp(-odds))


def binary(rng, rows, *, shift=0.0, spread=1.0, concept=1.0, confidence=1.0):
    """Return labels and predictions.

    Args:
        rng: Generator.
        rows: Number of rows.
        shift: What the input is larger by than at training.
        spread: Standard deviation of the input: the smaller, the more rows are near the decision.
        concept: What the input's effect on the label is multiplied with.
        confidence: What the model's log odds are multiplied with: above 1, it is overconfident.
    """
    x = rng.normal(shift, spread, rows)
    odds = 1.8 * x - 0.5
    truth = (rng.random(rows) < sigmoid(concept * odds)).astype(np.int8)
    return Outcomes("binary", 2, truth, sigmoid(confidence * odds).astype(np.float32))


def multiclass(rng, rows, *, shift=0.0, concept=1.0):
    """Return labels and predictions of four classes; a shift makes the first one more frequent."""
    odds = rng.normal(0, 2, (rows, 4)) + np.array([shift, 0, 0, 0])
    answer = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    true = np.exp(concept * odds) / np.exp(concept * odds).sum(axis=1, keepdims=True)
    truth = (true.cumsum(axis=1) > rng.random((rows, 1))).argmax(axis=1).astype(np.int8)
    return Outcomes("multiclass", 4, truth, answer.astype(np.float32))
