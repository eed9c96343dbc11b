"""Processes that are killed while they predict leave nothing that a later one counts twice."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from support.fares import rows
from support.written import write_examples
from tiffin.artifacts.predictions import COMPLETE
from tiffin.stages.predict.prediction import predict

KILLS = Path(__file__).parents[2] / "support" / "batch_kills.py"


def content(folder):
    return {
        path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "_started.json"
    }


def shown(table):
    # NaN differs from itself.
    return repr(table.drop(["time"]).to_pylist())


def test_a_batch_that_is_killed_at_every_write_is_that_of_one_attempt(model, tmp_path):
    examples = write_examples(tmp_path / "examples", {"all": [rows(8), rows(3, 8)]})
    whole = predict(
        examples, tmp_path / "one", model=model, name="taxi", key="trip", location=str(tmp_path / "whole"), log=True,
        log_root=str(tmp_path / "log"),
    )  # fmt: skip
    before = {file.name: pq.read_table(file) for file in (tmp_path / "log").rglob("*.parquet")}
    for file in (tmp_path / "log").rglob("*.parquet"):
        file.unlink()
    command = [sys.executable, str(KILLS), str(model), str(examples), str(tmp_path / "killed"), str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    [home] = (tmp_path / "killed").iterdir()
    assert (home / COMPLETE).exists()
    assert home.name == Path(whole.location).name
    # The documents name the folder.
    files = {name: value for name, value in content(home).items() if name.endswith(".parquet")}
    assert files == {name: value for name, value in content(Path(whole.location)).items() if name.endswith(".parquet")}
    assert not list(home.glob(".writing-*"))
    logged = {file.name: pq.read_table(file) for file in (tmp_path / "log").rglob("*") if file.is_file()}
    assert {name: shown(table) for name, table in logged.items()} == {
        name: shown(table) for name, table in before.items()
    }
    keys = pa.concat_tables(logged[name] for name in sorted(logged))["key"].to_pylist()
    assert keys == [f"t{number}" for number in range(11)]
