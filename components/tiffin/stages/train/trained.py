"""A trained model with what its export needs."""

from dataclasses import dataclass

import keras
import numpy as np

from tiffin.artifacts.model import OwnCode
from tiffin.artifacts.notes import Note
from tiffin.stages.train import fitting
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.features import Features
from tiffin.stages.train.leakage import Leak
from tiffin.stages.train.preprocessing import Transform


@dataclass(frozen=True)
class Trained:
    """A trained model, ready to be exported.

    Attributes:
        features: Input columns of the model.
        transform: Maps raw columns to the input of `fitted.model`.
        layers: Lookup tables used by `transform`.
        owners: Column of each position of that input.
        fitted: The model and its training.
        scale: Scale of a regression label.
        mean_row: Mean encoded vector; None if the model cannot be explained.
        rows: Number of training rows.
        leaks: Columns that give the label away.
        own: The record of own code; None for Tiffin's network.
        notes: What own code does not use or have.
    """

    features: Features
    transform: Transform
    layers: list[keras.layers.Layer]
    owners: list[str]
    fitted: fitting.Fitted
    scale: Scale
    mean_row: np.ndarray | None
    rows: int
    leaks: tuple[Leak, ...] = ()
    own: OwnCode | None = None
    notes: tuple[Note, ...] = ()
