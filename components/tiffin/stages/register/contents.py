"""What an MLflow run holds of a pipeline run: parameters, metrics, tags and data sets."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric
from mlflow.types import ColSpec, DataType, Schema

from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.model import Training
from tiffin.artifacts.verdict import Evaluation
from tiffin.masking import masked

# MLflow's limits, in characters.
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
_LONGEST_SOURCE = 65_535
_LONGEST_SCHEMA = 1_048_575
_LONGEST_NAME = 500

_TYPES = {"INT": DataType.long, "FLOAT": DataType.double, "STRING": DataType.string}
_LOGICAL = {"boolean": DataType.boolean, "date": DataType.datetime, "timestamp": DataType.datetime}


@dataclass(frozen=True)
class Content:
    """What an MLflow run holds.

    Attributes:
        name: Name of the registered model.
        run: Pipeline run ID; empty outside a pipeline.
        run_name: Name of the pipeline run; empty for a name that MLflow makes up.
        passed: Whether the gates passed.
        reason: Verdict of the gate.
        manifest: Manifest of the examples; None if unknown.
        record: Record of the training; None if nothing was trained.
        evaluation: Evaluation of the model; None if it was not evaluated.
        folders: Name of a folder in the run's artifacts to a local folder.
        stopped_by: Gate that stopped the run; empty if none did.
    """

    name: str
    run: str
    run_name: str
    passed: bool
    reason: str
    manifest: Manifest | None = None
    record: Training | None = None
    evaluation: Evaluation | None = None
    folders: dict[str, Path] = field(default_factory=dict)
    stopped_by: str = ""

    @property
    def lineage(self) -> dict[str, str]:
        """Tags of the run and of the model."""
        data = (self.record and self.record.data_version) or (self.manifest and self.manifest.version)
        found = {
            "tiffin.data_version": data,
            "tiffin.schema_digest": self.record and self.record.schema_digest,
            "tiffin.spec_version": self.record and self.record.tiffin_version,
            "tiffin.gate_digest": self.evaluation and self.evaluation.gate_digest,
            "tiffin.verdict_digest": self.evaluation and self.evaluation.verdict_digest,
            "tiffin.run": self.run,
        }
        return {name: value for name, value in found.items() if value}

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of the run, whole."""
        return parameters(self.manifest, self.record, self.evaluation)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the run."""
        outcome = {
            "tiffin.run_name": self.run_name,
            "tiffin.passed": str(self.passed).lower(),
            "tiffin.verdict": self.reason,
            "tiffin.stopped_by": self.stopped_by,
        }
        tags, _ = shortened(outcome, LONGEST_TAG)
        return self.lineage | {name: value for name, value in tags.items() if value}


def parameters(manifest: Manifest | None, record: Training | None, evaluation: Evaluation | None) -> dict[str, str]:
    """Return the parameters of a run, whole, by name: numbers and texts as they are, lists and objects as JSON.

    Args:
        manifest: Manifest of the examples; None if unknown.
        record: Record of the training; None if nothing was trained.
        evaluation: Evaluation of the model; None without one.
    """
    found: dict[str, Any] = {}
    if manifest:
        found |= {
            "data": [masked(source.uri) for source in manifest.sources],
            "derive": manifest.derive,
            "exclude": manifest.exclude,
            "key": manifest.key,
            "splits": {name: split.rows for name, split in manifest.splits.items()},
        }
    if record:
        found |= {**documents.to_json(record.settings), "label": record.label, "task": record.task, "rows": record.rows}
        found |= {"columns": record.columns, "classes": record.classes}
    if evaluation:
        # The bounds of other checks are values to compare with, not parameters.
        bounds = [check for check in evaluation.checks if check.code == "BOUND" and not check.slice]
        found["thresholds"] = {check.metric: check.bound for check in bounds}
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(documents.to_json(value), ensure_ascii=False)


def shortened(values: Mapping[str, str], longest: int) -> tuple[dict[str, str], list[str]]:
    """Return values of at most `longest` characters, and the names of those that were cut."""
    long = [name for name, value in values.items() if len(value) > longest]
    return {name: value[: longest - 1] + "…" if name in long else value for name, value in values.items()}, long


def metrics(evaluation: Evaluation | None, record: Training | None, moment: int, **about: str) -> list[Metric]:
    """Return the metrics of an evaluation, the training loss of each epoch, and the curve of the search.

    Args:
        evaluation: Evaluation of the model; None without one.
        record: Record of the training; None if nothing was trained.
        moment: Timestamp of all metrics, in milliseconds.
        about: model_id, dataset_name and dataset_digest that the metrics of the evaluation are about.
    """
    values = evaluation.metrics.items() if evaluation else ()
    found = [Metric(name, value, moment, 0, **about) for name, value in values if value is not None]
    if record:
        found += [Metric("training_loss", loss, moment, epoch) for epoch, loss in enumerate(record.losses, 1)]
        curve = [(at.epoch, (("search_loss", at.loss), ("held_out_loss", at.held_out))) for at in record.search]
        found += [Metric(key, loss, moment, epoch) for epoch, pairs in curve for key, loss in pairs if loss is not None]
    return found


def datasets(manifest: Manifest) -> list[DatasetInput]:
    """Return the splits of the examples as data sets of MLflow: with digest, sources, schema and number of rows."""
    source_type, source = _source(manifest)
    # MLflow has no schema without columns.
    columns = _schema(manifest.columns).to_dict() if manifest.columns else None
    schema = json.dumps({"mlflow_colspec": columns}) if columns else None
    return [
        DatasetInput(
            Dataset(
                dataset_name(manifest, split),
                manifest.version,
                source_type,
                source,
                schema if schema and len(schema) <= _LONGEST_SCHEMA else None,
                json.dumps({"num_rows": rows.rows, "num_elements": rows.rows * len(manifest.columns)}),
            ),
            [InputTag("mlflow.data.context", "training" if split == "train" else split)],
        )
        for split, rows in manifest.splits.items()
    ]


def dataset_name(manifest: Manifest, split: str) -> str:
    """Return the name of a split as a data set: the name of the first source, and the split."""
    first = manifest.sources[0].uri if manifest.sources else "examples"
    return f"{PurePosixPath(masked(first)).name[: _LONGEST_NAME - 100] or 'examples'}/{split}"


def _source(manifest: Manifest) -> tuple[str, str]:
    """Return MLflow's type of the sources, and their locations with the digests of the files, as JSON."""
    files = [
        {"uri": masked(s.uri), "sha256": s.digest} | ({"generation": s.generation} if s.generation else {})
        for s in manifest.sources
    ]
    uri = files[0]["uri"] if files else ""
    scheme = uri.partition("://")[0] if "://" in uri else "local"
    text = json.dumps({"uri": uri, "files": files}, ensure_ascii=False)
    if len(text) > _LONGEST_SOURCE:
        text = json.dumps({"uri": uri, "number_of_files": len(files)}, ensure_ascii=False)
    return {"file": "local"}.get(scheme, scheme), text


def _schema(columns: Iterable[Column]) -> Schema:
    return Schema([ColSpec(_LOGICAL.get(c.logical or "", _TYPES[c.type]), c.name) for c in columns])
