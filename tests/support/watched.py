"""A model in production for the tests of monitoring: its reference, and its prediction log under changes that a test asks for.

Deliveries are late more often if they go far, and in Bonn. `km` decides most of the prediction, `city` some, `stops` nothing.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from support.documents import make_evaluation, make_manifest, make_training
from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST
from tiffin.artifacts.measures import Attribution, Attributions
from tiffin.artifacts.model import write_training
from tiffin.artifacts.reference import FILES, Reference, write_reference
from tiffin.artifacts.schema import write_schema
from tiffin.artifacts.statistics import write_statistics
from tiffin.artifacts.verdict import write_evaluation
from tiffin.quality import calibration, intervals, metrics, slices
from tiffin.quality.outcomes import Outcomes
from tiffin.quality.slices import Rows
from tiffin.serving.prediction_log import COLUMNS, arrow_type, hour_folder
from tiffin.stages.evaluate.distributions import find_distributions
from tiffin.validation.schema import infer
from tiffin.validation.statistics import compute

MODEL, VERSION = "deliveries", 3
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CITIES = ["Bonn", "Oslo", "Rome"]
_KINDS: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (
    lambda rng, rows: rng.normal(size=rows),
    lambda rng, rows: rng.lognormal(0, 2, rows),
    lambda rng, rows: rng.poisson(5, rows).astype(np.float64),
    lambda rng, rows: (rng.zipf(1.5, rows) % 200).astype(str).astype(object),
)


def draw(
    rng: np.random.Generator,
    rows: int,
    *,
    km: float = 0.0,
    concept: float = 0.0,
    new_city: float = 0.0,
    more_columns: int = 0,
    concept_in_bonn: float = 0.0,
) -> dict[str, Any]:
    """Return inputs, the model's probability, and labels.

    Args:
        rng: Source of randomness.
        rows: Number of rows.
        km: What the distances are longer by, in their standard deviation of 2.
        concept: How much of the relation of inputs and labels is gone, from 0 to 1.
        new_city: Share of rows with a city that the training data does not have.
        more_columns: Number of further inputs, which decide nothing.
        concept_in_bonn: How much of the relation is gone in Bonn alone.
    """
    distance = rng.normal(8, 2, rows) + 2 * km
    city = rng.choice(CITIES, rows, p=[0.2, 0.5, 0.3]).astype(object)
    city[rng.random(rows) < new_city] = "Ulm"
    stops = rng.poisson(3, rows).astype(np.float64)
    odds = 0.9 * (distance - 8) + 1.2 * (city == "Bonn")
    probability = 1 / (1 + np.exp(-odds))
    kept = np.where(city == "Bonn", 1 - concept_in_bonn, 1) * (1 - concept)
    truth = 1 / (1 + np.exp(-odds * kept))
    late = (rng.random(rows) < truth).astype(np.int64)
    more = {f"more{number}": _KINDS[number % len(_KINDS)](rng, rows) for number in range(more_columns)}
    answers = {"probability": probability.astype(np.float32), "late": late}
    return {"km": distance, "city": city, "stops": stops, **more, **answers}


def write_watched_reference(
    folder: Path,
    rows: int = 6000,
    seed: int = 1,
    *,
    renamed: Mapping[str, str] = MappingProxyType({}),
    more_columns: int = 0,
    **changed: Any,
) -> Path:
    """Write the reference artifact of the model, from rows of training and of evaluation.

    Args:
        folder: Folder to write to.
        rows: Rows of each.
        seed: Seed of the rows.
        renamed: Name of a column in the data to its name in the model.
        more_columns: Number of further inputs.
        **changed: Fields of reference.json.
    """
    rng = np.random.default_rng(seed)
    train, held = (draw(rng, rows, more_columns=more_columns) for _ in range(2))
    more = tuple(name for name in train if name.startswith("more"))
    columns = {name: train[name].tolist() for name in ("km", "city", "late", *more)} | {
        "stops": train["stops"].astype(int).tolist()
    }
    examples = write_examples(folder / "examples", {"train": table(**columns), "eval": table(**columns)})
    statistics = compute(examples)
    outcomes = Outcomes("binary", 2, held["late"], held["probability"])
    values = metrics.measure(outcomes)
    names = ("km", "city", "stops", *more)
    training = make_training(columns=names, data_version="d1", schema_digest="s1")
    shown = next((old for old, new in renamed.items() if new == "city"), "city")
    by_city = [Rows(f"{shown} = {name}", np.flatnonzero(held["city"] == name)) for name in CITIES]
    evaluation = make_evaluation(
        metrics=values, rows=rows, intervals=intervals.find_intervals(outcomes, values, "seed", rounds=200),
        classes=("0", "1"), calibration=calibration.measure(outcomes),
        slices=tuple(slices.measure(outcomes, ("city",), by_city, "seed")),
        predictions=find_distributions(outcomes, ("0", "1"))[0],
        attributions=Attributions(rows, tuple(map(Attribution, names, (1.4, 0.5, 0.01, *[0.5] * more_columns)))),
    )  # fmt: skip
    output = folder / "reference"
    write_statistics(output, statistics)
    write_schema(output, infer(statistics, "late"))
    write_evaluation(output, evaluation)
    write_training(output, training)
    documents.write(output / MANIFEST, replace(make_manifest(), renamed=dict(renamed)))
    reference = Reference(MODEL, VERSION, "run", "http://mlflow", "d1", "s1", "late", "binary", ("0", "1"), {})
    present = {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in FILES if (output / name).exists()
    }
    write_reference(
        output, documents.convert({**documents.to_json(reference), "files": present, **changed}, Reference, "reference")
    )
    return output


def write_hour(
    root: Path, hour: datetime, rows: Mapping[str, Any], name: str = "a", *, version: int = VERSION, route: str = "stable",
    code: str = "OK", latency: float = 0.004, model: str = MODEL, key: Callable[[str], str | None] = str,
) -> Path:  # fmt: skip
    """Write a file of the prediction log: one request for each row, spread over an hour, with the keys `<name>-<number>`."""
    count = len(rows["km"])
    times = [hour + timedelta(microseconds=int(3.6e9 * number / count)) for number in range(count)]
    ids = [f"{hour:%d%H}-{name}-{number}" for number in range(count)]
    fixed: dict[str, Any] = {
        "request_id": ids, "row": [0] * count, "rows": [1] * count, "time": times, "model": [model] * count,
        "version": [version or None] * count, "route": [route] * count, "protocol": ["grpc"] * count,
        "method": ["Predict"] * count, "signature": ["serving_default"] * count, "code": [code] * count,
        "latency_seconds": [latency] * count, "key": [*map(key, ids)],
    }  # fmt: skip
    arrays = {column: pa.array(fixed[column], arrow_type(kind)) for column, kind in COLUMNS.items()}
    inputs = {"city": pa.string(), "km": pa.float32(), "stops": pa.float32()}
    arrays |= {
        f"input.{column}": pa.array(values, inputs.get(column))
        for column, values in sorted(rows.items())
        if column in inputs or column.startswith("more")
    }
    arrays["output.probability"] = pa.array(rows["probability"] if code == "OK" else [None] * count, pa.float32())
    folder = Path(hour_folder(str(root), model, hour))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table(arrays), path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)
    return path


def write_day(
    root: Path, seed: int = 5, rows: int = 2400, hours: int = 24, end: datetime = NOON, **changed: Any
) -> None:
    """Write a day of the log that ends at noon."""
    rng = np.random.default_rng(seed)
    for number in range(hours):
        write_hour(root, end - timedelta(hours=hours - number), draw(rng, rows // hours, **changed))
