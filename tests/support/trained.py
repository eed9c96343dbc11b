"""Small trained models, one per task, shared by all tests of a session."""

import functools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from support.written import table, write_examples, write_schema, write_statistics
from tiffin.artifacts.model import Settings, Training, saved_model

SETTINGS = {"hidden_units": (8,), "epochs": 6, "batch_size": 16, "learning_rate": 0.02, "dropout": 0.1}


@dataclass(frozen=True)
class Trained:
    """The artifacts of a training and its inputs.

    Attributes:
        rows: Table of the train split.
        examples: Folder of the examples artifact, with the splits train and eval.
        statistics: Folder of the statistics artifact.
        schema: Folder of the schema artifact.
        model: Folder of the model artifact.
        record: Training record.
    """

    rows: pa.Table
    examples: Path
    statistics: Path
    schema: Path
    model: Path
    record: Training

    @property
    def saved_model(self) -> str:
        return str(saved_model(self.model))


def deliveries(rows: int = 240, seed: int = 3) -> pa.Table:
    """Return a table of deliveries with three labels derived from distance and kitchen."""
    chance = random.Random(seed)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("km", "items", "kitchen", "city", "order", "late", "speed", "minutes")
    }
    for number in range(rows):
        km, kitchen = chance.uniform(0, 10), chance.choice(["thai", "pizza", "soup"])
        minutes = 5 + 3 * km + {"thai": 10, "pizza": 0, "soup": 5}[kitchen]
        columns["km"].append(None if number % 11 == 0 else km)
        columns["items"].append(chance.randrange(1, 9))
        columns["kitchen"].append(None if number % 13 == 0 else kitchen)
        columns["city"].append("here")
        columns["order"].append(f"D{number:05d}")
        columns["late"].append(int(minutes > 25))
        columns["speed"].append("fast" if minutes < 17 else "slow" if minutes > 30 else "fair")
        columns["minutes"].append(minutes)
    return table(**columns)


class Models:
    """The trained models, each trained at its first use."""

    LABELS = ("late", "speed", "minutes")

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @functools.cached_property
    def binary(self) -> Trained:
        return self.train("late")

    @functools.cached_property
    def multiclass(self) -> Trained:
        return self.train("speed")

    @functools.cached_property
    def regression(self) -> Trained:
        return self.train("minutes")

    def train(self, label: str, name: str = "") -> Trained:
        from tiffin.stages.train.training import train

        folder = self._folder / (name or label)
        others = [other for other in self.LABELS if other != label]
        rows, held_back = (deliveries(count, seed).drop(others) for count, seed in ((240, 3), (90, 4)))
        examples = write_examples(folder / "examples", {"train": rows, "eval": held_back})
        statistics = write_statistics(folder / "statistics", rows)
        schema = write_schema(folder / "schema", rows)
        record = train(examples, statistics, schema, folder / "model", label, settings=Settings(**SETTINGS))
        return Trained(rows, examples, statistics, schema, folder / "model", record)
