"""Files of the prediction log, written with pyarrow or, where there is none, with DuckDB."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tiffin.recipe.sql import quoted_name
from tiffin.serving.prediction_log import COLUMNS, INPUT, OUTPUT, hour_folder, item_of, list_of, start_of_hour

_SQL = {
    "int64": "BIGINT", "int32": "INTEGER", "float32": "FLOAT", "float64": "DOUBLE", "bool": "BOOLEAN", "string": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
}  # fmt: skip


def row(route: str, version: int, request: str, time: datetime, **values: Any) -> dict[str, Any]:
    """Return a row; values are columns, with `input_` and `output_` for `input.` and `output.`."""
    given = {name.replace("input_", INPUT, 1).replace("output_", OUTPUT, 1): value for name, value in values.items()}
    fixed = {
        "request_id": request,
        "row": 0,
        "rows": 1,
        "time": time,
        "model": "taxi",
        "version": version,
        "route": route,
    }
    return {**fixed, "signature": "serving_default", "code": "OK", **given}


def write(root: str | Path, rows: Sequence[Mapping[str, Any]], name: str = "a") -> Path:
    """Write a file of the model `taxi` and return its path."""
    folder = Path(hour_folder(str(root), "taxi", start_of_hour(rows[0]["time"])))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    names = [*COLUMNS, *sorted({name for one in rows for name in one} - COLUMNS.keys())]
    kinds = {
        name: COLUMNS.get(name) or _kind(next(one[name] for one in rows if one.get(name) is not None)) for name in names
    }
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from tiffin.serving.prediction_log import arrow_type
    except ModuleNotFoundError:
        _write_with_duckdb(path, rows, kinds)
    else:
        arrays = {name: pa.array([one.get(name) for one in rows], arrow_type(kind)) for name, kind in kinds.items()}
        pq.write_table(pa.table(arrays), path)
    return path


def close_files(gateway: int | None) -> None:
    """Let the recorder of a running gateway close its files, which it does after a minute otherwise.

    Args:
        gateway: Process ID of the gateway, which starts the recorder again.
    """
    for pid in Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split():
        if "tiffin.recorder" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(int(pid), signal.SIGTERM)


def _write_with_duckdb(path: Path, rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> None:
    import duckdb

    lines = [{name: one.get(name) for name in kinds} for one in rows]
    types = ", ".join(f"{quoted_name(name)}: '{_type(kind)}'" for name, kind in kinds.items())
    # The path may have characters that are special to DuckDB.
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        source, made = Path(folder, "a.json"), Path(folder, "a.parquet")
        source.write_text("\n".join(json.dumps(line, default=lambda time: time.isoformat()) for line in lines))
        connection.execute(f"COPY (FROM read_json('{source}', columns={{{types}}})) TO '{made}' (FORMAT parquet)")
        shutil.move(made, path)


def _type(kind: str) -> str:
    return _SQL[item_of(kind)] + "[]" * (item_of(kind) != kind)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return list_of(_kind(value[0]))
    return {bool: "bool", int: "int64", float: "float64", str: "string"}[type(value)]
