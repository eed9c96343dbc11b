"""The curve of a training: the losses of its epochs, with those of the rows held out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tiffin.artifacts.model import EpochLoss

_POINTS = 500


def thin(curve: Sequence[EpochLoss]) -> tuple[EpochLoss, ...]:
    """Return at most 500 points of a curve, evenly spaced, among them the first, the best and the last.

    The best has the lowest held-out loss, or the lowest training loss in a curve without any.
    """
    if len(curve) <= _POINTS:
        return tuple(curve)
    kept = set(np.linspace(0, len(curve) - 1, _POINTS - 1).round().astype(int).tolist())
    held = [number for number, point in enumerate(curve) if point.held_out is not None]
    kept.add(min(held or range(len(curve)), key=lambda number: _value(curve[number])))
    return tuple(curve[number] for number in sorted(kept))


def from_history(model: keras.Model) -> tuple[EpochLoss, ...]:
    """Return the curve of a model's last `fit`; empty if it has none, or if its losses are not numbers."""
    history = getattr(model, "history", None)
    if not isinstance(history, keras.callbacks.History):
        return ()
    found: Mapping[str, Sequence[Any]] = history.history
    losses, held_out = found.get("loss", ()), found.get("val_loss", ())
    # With validation_freq, some epochs have no held-out loss, and the history does not have their numbers.
    held = held_out if len(held_out) == len(losses) else [None] * len(losses)
    if not all(_is_number(value) for value in losses) or not all(v is None or _is_number(v) for v in held):
        return ()
    points = zip(losses, held, strict=True)
    return tuple(EpochLoss(n, float(loss), None if h is None else float(h)) for n, (loss, h) in enumerate(points, 1))


def _value(point: EpochLoss) -> float:
    return point.loss if point.held_out is None else point.held_out


def _is_number(value: Any) -> bool:
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf" and bool(np.isfinite(value))
