"""The model artifact: the SavedModel and the record of its training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents

TRAINING = "training.json"

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        hidden_units: Sizes of the hidden layers; empty for a linear model.
        epochs: Passes over the data, at least 1.
        batch_size: Rows a step, at least 1.
        learning_rate: Of AdamW at the start, above 0; it falls to 0 along a cosine.
        dropout: Share of hidden values left out in each step, from 0 to below 1.
        weight_decay: Of AdamW, at least 0.
        seed: Of the initial weights, the shuffling and the dropout.
    """

    hidden_units: tuple[int, ...] = (64, 32)
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.003
    dropout: float = 0.2
    weight_decay: float = 0.01
    seed: int = 1


@dataclass(frozen=True)
class Training:
    """What a model was trained on and how.

    Attributes:
        label: Column that it predicts.
        task: Binary, multiclass or regression.
        classes: Values of the label in rising order, as text; empty for regression.
        columns: The columns that it takes.
        left_out: Column to why it is left out.
        rows: Number of rows trained on.
        rows_without_label: Number of rows left out because the label is missing.
        settings: How it was trained.
        losses: Mean training loss of each epoch.
        data_version: Of the examples.
        schema_digest: Of the schema.
        tiffin_version: Version that trained it.
        class_shares: Share of each class in training; None for regression.
        label_mean: Mean of the label in training; None for classes.
    """

    label: str
    task: Task
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    left_out: dict[str, str]
    rows: int
    rows_without_label: int
    settings: Settings
    losses: tuple[float, ...]
    data_version: str
    schema_digest: str
    tiffin_version: str
    class_shares: tuple[float, ...] | None = None
    label_mean: float | None = None


def write_training(artifact: str | Path, training: Training) -> None:
    """Write the record of a model artifact."""
    documents.write(Path(artifact) / TRAINING, training)


def read_training(artifact: str | Path) -> Training:
    """Read the record of a model artifact.

    Raises:
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / TRAINING, Training)


def saved_model(artifact: str | Path) -> Path:
    """Return the folder of the SavedModel of a model artifact."""
    return Path(artifact) / "saved_model"


def class_name(value: object) -> str:
    """Return a label's value as the text that a model artifact keeps its classes in: 1.0 and 1 are the same class."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
