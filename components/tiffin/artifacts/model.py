"""The model artifact: the SavedModel and the record of its training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

TRAINING = "training.json"

Task = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Settings:
    """Training settings.

    Attributes:
        hidden_units: Sizes of the hidden layers; empty for a linear model.
        epochs: Passes over the training data; 0 to choose the number from the data.
        batch_size: Rows per training step; 0 to choose it from the number of rows.
        learning_rate: Learning rate of AdamW, above 0; with a given number of epochs, it decays to 0 on a cosine schedule.
        dropout: Dropout rate of the hidden layers, from 0 to below 1.
        weight_decay: AdamW weight decay, at least 0.
        seed: Random seed of the initial weights, the shuffling and the dropout.
    """

    hidden_units: tuple[int, ...] = (64, 32)
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.003
    dropout: float = 0.1
    weight_decay: float = 0.01
    seed: int = 1


@dataclass(frozen=True)
class Training:
    """The record of a training: data, settings and losses.

    Attributes:
        label: Label column.
        task: Binary, multiclass or regression.
        classes: Values of the label in ascending order, as text; empty for regression.
        columns: Input columns.
        left_out: Name of an unused column to the reason.
        rows: Number of training rows.
        rows_without_label: Number of rows skipped because the label is missing.
        settings: Training settings, with the number of epochs and the batch size that were used.
        losses: Mean training loss of each epoch.
        data_version: Version of the examples.
        schema_digest: Digest of the schema.
        tiffin_version: Version of Tiffin that trained the model.
        notes: What was left out or decided, such as the task.
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
    notes: tuple[Note, ...] = ()


def write_training(artifact: str | Path, training: Training) -> None:
    """Write the record of a model artifact."""
    documents.write(Path(artifact) / TRAINING, training)


def read_training(artifact: str | Path) -> Training:
    """Read the record of a model artifact.

    Raises:
        InputError: The file is missing or is not a training record.
    """
    return documents.read(Path(artifact) / TRAINING, Training)


def saved_model(artifact: str | Path) -> Path:
    """Return the folder of the SavedModel of a model artifact."""
    return Path(artifact) / "saved_model"


def class_name(value: object) -> str:
    """Return a label's value as the text of its class: 1.0 and 1 are the same class, `1`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
