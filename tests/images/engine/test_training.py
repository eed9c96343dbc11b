"""Run the training pipeline in containers; check its artifacts, registry and serving root.

The data is TAXI_CSV, a file with Chicago's taxi trips; generated deliveries if unset.
"""

import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tiffin.artifacts.deployment import read_deployment
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import read_training, saved_model
from tiffin.serving.root import STABLE, VERSIONS, ServedModel

TAXI = os.environ.get("TAXI_CSV")
# Minimum AUC of a trained model; random guesses have 0.5.
MIN_AUC = 0.93 if TAXI else 0.75


def artifact(folder: Path, step: str, name: str) -> Path:
    return next(folder.rglob(f"{step}/{name}"))


def test_run_succeeds_and_the_model_beats_the_baseline(training: tuple[Path, dict[str, Any]]) -> None:
    _, summary = training

    assert summary["state"] == "SUCCEEDED"
    assert summary["model"] == {"name": "model", "version": 1}
    assert summary["verdict"]["passed"] is True
    assert summary["metrics"]["auc"] > MIN_AUC
    assert summary["metrics"]["log_loss"] < summary["metrics"]["baseline_log_loss"]


def test_all_valid_rows_are_ingested(training: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = training
    manifest = read_manifest(artifact(folder, "ingest-examples", "examples"))

    assert manifest.version == summary["data_version"]
    assert set(manifest.splits) == {"train", "eval"}
    rows = sum(split.rows for split in manifest.splits.values())
    # 40 of the generated rows are invalid on purpose.
    expected, broken = (len(Path(TAXI).read_text().splitlines()) - 1, 0) if TAXI else (20_000, 40)
    assert (rows, manifest.set_aside.rows) == (expected - broken, broken)
    shards = list(artifact(folder, "ingest-examples", "examples").rglob("*.parquet"))
    assert shards
    assert all(shard.read_bytes()[:4] == b"PAR1" for shard in shards)


def test_model_has_its_files_and_training_record(training: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = training
    model = artifact(folder, "train-model", "model")
    record = read_training(model)

    assert (saved_model(model) / "saved_model.pb").stat().st_size > 10_000
    assert (saved_model(model) / "variables" / "variables.index").is_file()
    assert (record.label, record.data_version) == ("big_tipper" if TAXI else "late", summary["data_version"])
    assert record.losses[-1] < record.losses[0]


def test_version_is_registered_over_http(training: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = training
    with sqlite3.connect(folder / ".tiffin" / "mlflow.db") as registry:
        versions = registry.execute("SELECT name, version, source FROM model_versions").fetchall()
        tags = dict(registry.execute("SELECT key, value FROM model_version_tags").fetchall())
        auc = registry.execute("SELECT value FROM metrics WHERE key = 'auc'").fetchone()

    assert [(name, version) for name, version, _ in versions] == [("model", 1)]
    source = Path(versions[0][2].removeprefix("file://"))
    assert (saved_model(source) / "saved_model.pb").is_file()
    assert tags["tiffin.data_version"] == summary["data_version"]
    assert auc[0] == pytest.approx(summary["metrics"]["auc"])
    log = next(folder.glob(".tiffin/runs/*/logs/tracking.log")).read_text()
    assert "/api/2.0/mlflow/model-versions/create" in log
    assert len(list(folder.glob(".tiffin/mlflow/**/report/report.html"))) == 1


def test_version_is_deployed_and_predicts(training: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = training
    served = ServedModel(str(folder / ".tiffin" / "serving"), "model")
    deployment = read_deployment(artifact(folder, "deploy-model", "deployment"))

    assert Path(served.locate(VERSIONS, "1", "saved_model.pb")).is_file()
    assert Path(served.locate(STABLE)).read_bytes() == served.make_config(1)
    assert deployment.version == 1
    numbers = [value for value in _numbers(deployment.answer) if not isinstance(value, bool)]
    assert numbers
    assert all(math.isfinite(number) for number in numbers)


def test_files_of_steps_are_not_owned_by_root(training: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = training
    files = [path for path in folder.glob(".tiffin/runs/*/artifacts/**/*") if path.is_file()]

    assert files
    assert {path.stat().st_uid for path in files} == {os.getuid() or 10001}


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, list | dict):
        return [number for part in (value.values() if isinstance(value, dict) else value) for number in _numbers(part)]
    return [value] if isinstance(value, int | float) else []
