"""The model artifact: the SavedModel and the record of its training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

TRAINING = "training.json"
# A copy of the file that the parameter model_code names.
MODEL_CODE = "model_code.py"
ANSWERS = "answers.json"

Task = Literal["binary", "multiclass", "regression"]
# The output of the signature serving_default with the predictions.
OUTPUTS: dict[Task, str] = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}


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
class OwnCode:
    """The code that built a model of one's own; the artifact has a copy of the file, `model_code.py`.

    Attributes:
        location: Path or URI of the file, as it was passed.
        digest: SHA-256 of the file, in hexadecimal digits.
        function: Function that was called: build_model or train.
        inputs: What the model takes: the encoded vector, or raw columns.
        hyperparameters: Hyperparameters that the function received.
    """

    location: str
    digest: str
    function: Literal["build_model", "train"]
    inputs: Literal["encoded", "raw"]
    hyperparameters: dict[str, object]


@dataclass(frozen=True)
class EpochLoss:
    """The losses of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        loss: Mean training loss.
        held_out: Mean loss of the rows held out; None without one.
    """

    epoch: int
    loss: float
    held_out: float | None


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
        own: Code that built the model; None for the default network.
        search: Curve of the training that chose the number of epochs, also after the best one; of own code that trains
            itself, what it reported, or else the history of Keras. Empty without one. A curve of more than 500 points is
            thinned to at most 500, among them the first, the best and the last.
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
    own: OwnCode | None = None
    search: tuple[EpochLoss, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Predictions of the trained network for a few rows, made before its export.

    Attributes:
        rows: Each input column with its value of every row; None is missing.
        answers: Prediction of each row: one number, or a probability of each class.
    """

    rows: dict[str, tuple[object, ...]]
    answers: tuple[tuple[float, ...], ...]


def write_training(artifact: str | Path, training: Training) -> None:
    """Write the record of a model artifact."""
    documents.write(Path(artifact) / TRAINING, training)


def read_training(artifact: str | Path) -> Training:
    """Read the record of a model artifact.

    Raises:
        InputError: The file is missing or is not a training record.
    """
    return documents.read(Path(artifact) / TRAINING, Training)


def write_answers(artifact: str | Path, answers: Answers | None) -> None:
    """Write the predictions of the trained network; None removes those of an earlier attempt."""
    path = Path(artifact) / ANSWERS
    path.unlink(missing_ok=True)
    if answers is not None:
        documents.write(path, answers)


def read_answers(artifact: str | Path) -> Answers | None:
    """Read the predictions of the trained network; None if the artifact has none, as of other tools.

    Raises:
        InputError: The file is not a document of such predictions.
    """
    path = Path(artifact) / ANSWERS
    return documents.read(path, Answers) if path.is_file() else None


def saved_model(artifact: str | Path) -> Path:
    """Return the folder of the SavedModel of a model artifact."""
    return Path(artifact) / "saved_model"


def model_code(artifact: str | Path) -> Path:
    """Return the path of the copy of the file that built a model of one's own."""
    return Path(artifact) / MODEL_CODE


def class_name(value: object) -> str:
    """Return a label's value as the text of its class: 1.0 and 1 are the same class, `1`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
