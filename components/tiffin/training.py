"""What the code of a model of one's own receives: the features, and for `train` the context of the training.

A file that `model_code` names may import these classes for type hints and for tests of its own:

    from tiffin.training import Features

    def build_model(features: Features, hyperparameters: dict) -> keras.Model: ...

The module imports nothing heavy.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tiffin.artifacts.model import Settings, Task

Rows = Literal["train", "held_out", "all"]


@dataclass(frozen=True)
class Column:
    """An input column of the model.

    Attributes:
        name: Name in the examples.
        kind: `number` or `category`.
        whole: Whether a number is always whole.
        edges: Quantiles of a number in ascending order, with minimum and maximum: at least two. Empty for a category.
        vocabulary: Frequent values of a category, most frequent first. Empty for a number.
        positions: Positions of the column in the encoded vector.
    """

    name: str
    kind: Literal["number", "category"]
    whole: bool = False
    edges: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def indices(self) -> int:
        """Number of indices of a category, the `input_dim` of an embedding: missing, unknown, and one per value."""
        return len(self.vocabulary) + 2 if self.kind == "category" else 0


@dataclass(frozen=True)
class Features:
    """The inputs of a model and its label.

    Attributes:
        columns: Input columns: numbers, then categories.
        width: Width of the encoded vector.
        label: Name of the label.
        task: binary, multiclass or regression.
        classes: Classes as text, in the order of the logits; of two, the logit is that of the second. Empty for regression.
        counts: Training rows of each class. Empty for regression.
        mean: Mean of the label for regression; otherwise 0. The model predicts (label - mean) / deviation.
        deviation: Standard deviation of the label for regression; otherwise 1.
    """

    columns: tuple[Column, ...]
    width: int
    label: str
    task: Task
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def outputs(self) -> int:
        """Width of the model's output: 1 for binary and regression, the number of classes for multiclass."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def prior(self) -> tuple[float, ...]:
        """Logits of the class shares, one per output; 0 for regression. The prediction of a model that learned nothing."""
        if not self.counts:
            return (0.0,) * self.outputs
        total = sum(self.counts) + 0.5 * len(self.counts)
        logs = [math.log((count + 0.5) / total) for count in self.counts]
        return (logs[1] - logs[0],) if self.task == "binary" else tuple(logs)

    @property
    def class_weights(self) -> dict[int, float]:
        """Weight of each class for Keras' `class_weight`, so that all classes weigh the same. Empty for regression."""
        rows, seen = sum(self.counts), sum(count > 0 for count in self.counts)
        return {index: rows / (seen * count) if count else 0.0 for index, count in enumerate(self.counts)}

    def column(self, name: str) -> Column:
        """Return the column of a name.

        Raises:
            KeyError: No input column has this name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"'{name}'; the columns are: {', '.join(column.name for column in self.columns)}")


@dataclass(frozen=True)
class Context:
    """What `train(context)` receives.

    Attributes:
        features: Inputs and label.
        hyperparameters: The parameter `hyperparameters`.
        settings: Training settings of the component. `epochs` is 0 if none is given; `batch_size` is set.
        rows: Number of training rows. A fifth of them is held out for early stopping; of more than 50,000, 10,000.
    """

    features: Features
    hyperparameters: Mapping[str, Any]
    settings: Settings
    rows: int
    _batches: Callable[[Any, Rows, int, bool], Any] = field(repr=False)
    _report: Callable[[float, float | None], None] = field(repr=False)

    def batches(self, model: Any, rows: Rows = "train", *, batch_size: int = 0, shuffle: bool = True) -> Any:
        """Return rows in the form of a model's inputs, as a `tf.data.Dataset` of pairs: inputs and target.

        The target is float32, `[batch, 1]`: the index of the class, or (label - mean) / deviation for regression.
        Each pass over the dataset has another order.

        Args:
            model: Keras model; its inputs and its output are checked first.
            rows: `train` for all but the rows held out, `held_out` for these, `all` for both. Defaults to `train`.
            batch_size: Rows per batch. Defaults to that of the settings.
            shuffle: Whether the order is random. Defaults to True.

        Raises:
            InputError: The model has other inputs, or another output.
        """
        return self._batches(model, rows, batch_size, shuffle)

    def report(self, loss: float, held_out_loss: float | None = None) -> None:
        """Log the losses of an epoch, and keep them in the training record.

        Args:
            loss: Mean training loss.
            held_out_loss: Mean loss of the rows held out. Defaults to None, for an epoch without one.

        Raises:
            InputError: A loss is not finite.
        """
        self._report(loss, held_out_loss)
