"""Complete artifact records; tests change the fields under test."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest, SetAside, Split
from tiffin.artifacts.model import Settings, Training
from tiffin.artifacts.predictions import PredictionColumn, PredictionFile, Predictions
from tiffin.artifacts.recipe import Recipe, SourceColumn
from tiffin.artifacts.summary import Summary
from tiffin.artifacts.verdict import Check, Evaluation


def make_manifest(
    version: str = "d1",
    splits: Mapping[str, Split] = MappingProxyType({}),
    columns: tuple[Column, ...] = (),
) -> Manifest:
    rows = sum(split.rows for split in splits.values())
    nothing = SetAside(0, None)
    types = {"INT": "BIGINT", "FLOAT": "DOUBLE", "STRING": "VARCHAR"}
    recipe = Recipe(tuple(SourceColumn(c.name, c.name, "TIMESTAMP" if c.logical else types[c.type]) for c in columns))
    return Manifest(version, rows, columns, dict(splits), (), {}, {}, (), "", nothing, recipe)


def make_training(**changed: Any) -> Training:
    record = Training(
        label="late", task="binary", classes=("0", "1"), columns=("km",), left_out={}, rows=240, rows_without_label=0,
        settings=Settings(), losses=(0.6, 0.4), data_version="d1", schema_digest="s1", tiffin_version="0.1.0",
    )  # fmt: skip
    return replace(record, **changed)


def make_evaluation(passed: bool = True, reason: str = "auc 0.9 is at least 0.8.", **changed: Any) -> Evaluation:
    check = Check("auc", 0.9, 0.8, passed, reason[:-1])
    evaluation = Evaluation(passed, reason, (check,), {"auc": 0.9, "brier": None}, "binary", "eval", 90, "d1", "0.1.0")
    return replace(evaluation, **changed)


def make_summary(**changed: Any) -> Summary:
    summary = Summary("toy", "SUCCEEDED", "", None, None, {}, None, None, None, {})
    return replace(summary, **changed)


def make_predictions(**changed: Any) -> Predictions:
    columns = (
        PredictionColumn("row", "int64", "row"), PredictionColumn("trip", "string", "example", "trip"),
        PredictionColumn("probability", "float", "output", "probability"), PredictionColumn("model", "string", "model"),
    )  # fmt: skip
    files = (PredictionFile("all-00000-00000.parquet", "all", 5, "d" * 64, {"3": 5}),)
    predictions = Predictions("taxi", 3, "d1", "serving_default", "", "/out", "r1", 5, columns, files)
    return replace(predictions, **changed)
