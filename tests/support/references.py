"""Registered versions for the tests of monitoring: with everything that monitoring compares with."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from support.documents import make_evaluation, make_manifest, make_training
from support.registering import INPUTS, write_model
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Manifest, Source, Split
from tiffin.artifacts.measures import Distribution
from tiffin.artifacts.schema import digest_schema, write_schema
from tiffin.artifacts.statistics import write_statistics
from tiffin.artifacts.verdict import Evaluation, write_evaluation

# The files of a reference.
ALL = ["manifest.json", "schema.pbtxt", "statistics.binpb", "training.json", "verdict.json"]
# The address of a server that does not respond, with a password.
GONE = "http://ada:secret@127.0.0.1:9"
SCHEMA = schema_pb2.Schema(feature=[schema_pb2.Feature(name="kilometres_km", type=schema_pb2.FLOAT)])
STATISTICS = statistics_pb2.DatasetFeatureStatisticsList()
STATISTICS.datasets.add(name="train", num_examples=60)
EVALUATION: Evaluation = make_evaluation(
    predictions=(Distribution("probability", 90, (0.25, 0.5), (30, 30, 30), 0.4, 0.1, 0),)
)


@dataclass(frozen=True)
class Artifacts:
    """Folders of the artifacts of a training run."""

    model: Path
    evaluation: Path
    examples: Path
    statistics: Path
    schema: Path


def manifest(uri: str = "/data/d.csv") -> Manifest:
    columns = tuple(replace(column, logical=None) for column in INPUTS)
    found = make_manifest("d1", {"train": Split(60, ("data/train-00000.parquet",))}, columns)
    return replace(found, sources=(Source(uri, "sha", 9),), renamed={"Kilometres (km)": "kilometres_km"})


def write_artifacts(folder: Path) -> Artifacts:
    """Write the artifacts of a training run; the source of the examples has a password."""
    found = Artifacts(*(folder / name for name in ("model", "evaluation", "examples", "statistics", "schema")))
    write_statistics(found.statistics, STATISTICS)
    write_schema(found.schema, SCHEMA)
    write_evaluation(found.evaluation, EVALUATION)
    documents.write(found.examples / MANIFEST, manifest("https://ada:hunter2@host/d.csv"))
    row = {"kilometres_km": 1.5, "city": "Ulm", "ordered_at": "2024-01-02T03:04:05", "rush": 1}
    (found.examples / "sample_rows.jsonl").write_text(json.dumps(row) + "\n")
    write_model(found.model, make_training(schema_digest=digest_schema(found.schema)))
    return found
