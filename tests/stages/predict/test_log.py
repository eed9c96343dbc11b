"""Rows of a batch in the prediction log."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.fares import save
from tiffin.rollout.answers import Versions
from tiffin.serving.log_reading import open_log
from tiffin.serving.prediction_log import COLUMNS, resolve_log_root
from tiffin.serving.recording import KEY_VARIABLE, change_recording
from tiffin.serving.root import STABLE, VERSIONS, ServedModel
from tiffin.stages.predict.prediction import predict


@pytest.fixture
def taxi(tmp_path):
    """Return the model taxi of a serving root with version 2 in production."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    save(tmp_path / "root" / "taxi" / VERSIONS / "2")
    (tmp_path / "root" / "taxi" / STABLE).write_bytes(served.make_config(2))
    return served


@pytest.fixture
def log(examples, taxi, tmp_path):
    """Return a function that predicts rows and returns the predictions and the rows of the log."""

    def write(count, **options):
        given = {"name": "taxi", "serving_root": taxi.root, "key": "trip", "location": str(tmp_path / "out")} | options
        found = predict(examples(all=count), tmp_path / "artifact", log=True, log_root=str(tmp_path / "log"), **given)
        files = sorted((tmp_path / "log").rglob("*.parquet"))
        return found, pa.concat_tables([pq.read_table(file) for file in files]) if files else None

    return write


def test_no_rows_write_no_file(log):
    found, logged = log(0)

    assert logged is None
    assert found.files[0].logged == 0


def test_have_the_columns_of_the_log(log, tmp_path):
    found, logged = log(3)
    rows = logged.to_pylist()

    assert logged.column_names[: len(COLUMNS)] == list(COLUMNS)
    assert [row["request_id"] for row in rows] == [f"d1-2-all-0-{number}" for number in range(3)]
    assert [(row["row"], row["rows"], row["key"], row["input.city"]) for row in rows] == [
        (0, 1, "t0", ""), (0, 1, "t1", "Bergen"), (0, 1, "t2", ""),
    ]  # fmt: skip
    assert {(row["route"], row["protocol"], row["version"], row["code"], row["model"]) for row in rows} == {
        ("batch", "batch", 2, "OK", "taxi")
    }
    assert rows[1]["input.fare"] == 1.0
    assert rows[1]["output.letters"] == [6, 6]
    assert found.files[0].logged == 3
    assert found.log == str(tmp_path / "log")


def test_are_read_as_others(log, tmp_path):
    log(3)
    now = datetime.now(UTC)
    found = open_log(
        resolve_log_root(str(tmp_path / "log")), "taxi", now - timedelta(hours=2), now + timedelta(hours=1)
    )
    batches = list(found.batches(["request_id", "output.probability"]))

    assert sum(len(batch) for batch in batches) == 3
    assert not found.findings


def test_are_not_counted_by_a_rollout(log):
    _, logged = log(3)
    micros = int(logged["time"][0].as_py().timestamp() * 1e6)
    batch = logged.set_column(logged.column_names.index("time"), "time", [[micros] * 3]).to_pydict()

    assert list(Versions(2, 3, 0, micros + 1).find_rows(batch)) == []


def test_are_logged_once_by_several_attempts(log, tmp_path):
    found, first = log(3)
    (tmp_path / "out" / found.location.rsplit("/", 1)[-1] / "_units" / "all-00000-00000.parquet.json").unlink()
    again, second = log(3)

    assert again.reused == 0
    assert second["request_id"].equals(first["request_id"])
    assert second["time"].equals(first["time"])


def test_are_those_that_the_log_keeps_of_the_model(log, taxi, monkeypatch):
    change_recording(taxi, omit=("input.fare",), hash=("key", "input.city"))
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    _, logged = log(3)

    def hashed(text):
        return hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()

    assert "input.fare" not in logged.column_names
    assert logged["key"].to_pylist() == [hashed("t0"), hashed("t1"), hashed("t2")]
    assert logged["input.city"].to_pylist() == [hashed(""), hashed("Bergen"), hashed("")]


def test_have_no_hashed_columns_without_a_secret(log, taxi, monkeypatch):
    change_recording(taxi, hash=("key", "input.city"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    found, logged = log(3)

    assert "input.city" not in logged.column_names
    assert logged["key"].to_pylist() == [None] * 3
    assert [(note.code, note.count) for note in found.notes] == [("LOG_COLUMNS", 2)]


def test_are_the_share_that_the_log_keeps(log, taxi):
    change_recording(taxi, share=0.25)
    found, logged = log(4000)

    assert 900 < len(logged) < 1100
    assert [(note.code, note.count) for note in found.notes] == [("LOG_SHARE", len(logged))]
