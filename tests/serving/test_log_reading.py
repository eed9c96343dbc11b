"""Reading the prediction log: files with different columns, and files that are damaged or of others.

The environment `data` may have pyarrow 10.
"""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import gcs_emulator
from tiffin import storage
from tiffin.errors import InputError, StorageError
from tiffin.serving.log_reading import Log, open_log
from tiffin.serving.prediction_log import COLUMNS, arrow_type, hour_folder

RUNS_IN = ("gateway", "data")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["disk", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path)
    else:
        with gcs_emulator.serve() as bucket:
            yield f"gs://{bucket.name}/log"


def put(root: str, name: str, hours: int = 0, count: int = 1, **columns: Any) -> str:
    """Write a file, whose rows are a minute apart, with inputs as (kind, values)."""
    hour = NOON + timedelta(hours=hours)
    arrays = {column: pa.nulls(count, arrow_type(kind)) for column, kind in COLUMNS.items()}
    arrays["time"] = pa.array([hour + timedelta(minutes=row) for row in range(count)], arrow_type("timestamp"))
    arrays |= {f"input.{column}": pa.array(values, arrow_type(kind)) for column, (kind, values) in columns.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink)
    return write(root, name, sink.getvalue().to_pybytes(), hours)


def write(root: str, name: str, content: bytes, hours: int = 0) -> str:
    uri = f"{hour_folder(root, 'taxi', NOON + timedelta(hours=hours))}/{name}"
    storage.write_new(uri, content)
    return uri


def read(root: str, hours: int = 1) -> Log:
    return open_log(root, "taxi", NOON, NOON + timedelta(hours=hours))


def values(log: Log, column: str) -> list[Any]:
    return [value for batch in log.batches([column]) for value in batch.column(0).to_pylist()]


def test_a_model_without_a_log(root: str) -> None:
    log = read(root)

    assert (log.files, log.columns, log.rows, log.findings, list(log.batches())) == ((), COLUMNS, 0, [], [])


def test_the_columns_of_all_files(root: str) -> None:
    put(root, "a.parquet", a=("int64", [1]), b=("string", ["x"]))
    put(root, "b.parquet", 1, a=("float64", [1.5]), c=("bool", [True]))
    log = read(root, 2)

    assert {name: kind for name, kind in log.columns.items() if "." in name} == {
        "input.a": "float64",
        "input.b": "string",
        "input.c": "bool",
    }
    assert log.rows == 2
    assert [values(log, f"input.{name}") for name in "abc"] == [[1.0, 1.5], ["x", None], [None, True]]
    schemas = {str(batch.schema) for batch in log.batches()}
    assert len(schemas) == 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("int64", [1, None]), ("float32", [0.5, 2.0]), [1.0, None, 0.5, 2.0]),
        (("int64", [1, None]), ("string", ["a", "b"]), ["1", None, "a", "b"]),
        (("bool", [True, None]), ("int64", [1, 2]), ["true", None, "1", "2"]),
        (("float64", [1.5, None]), ("list<int64>", [[1, 2], None]), [[1.5], None, [1.0, 2.0], None]),
        (("list<int64>", [[1], []]), ("list<string>", [["a"], [None]]), [["1"], [], ["a"], [None]]),
    ],
)
def test_files_with_different_kinds(tmp_path: Path, one: Any, other: Any, expected: list[Any]) -> None:
    put(str(tmp_path), "a.parquet", count=2, x=one)
    put(str(tmp_path), "b.parquet", count=2, x=other)

    assert values(read(str(tmp_path)), "input.x") == expected


def test_only_rows_in_the_window(root: str) -> None:
    put(root, "a.parquet", count=60, x=("int64", list(range(60))))
    start = NOON + timedelta(minutes=10)
    log = open_log(root, "taxi", start, start + timedelta(minutes=5))

    assert (values(log, "input.x"), log.rows) == (list(range(10, 15)), 60)


def test_selected_columns_in_their_order(root: str) -> None:
    # pyarrow takes a point in a column's name for a nested column.
    put(root, "a.parquet", **{"x": ("int64", [1]), "x.y": ("list<int64>", [[2, 3]]), "z": ("int64", [4])})
    [batch] = read(root).batches(["input.x", "code"])

    assert batch.to_pylist() == [{"input.x": 1, "code": None}]
    assert values(read(root), "input.x.y") == [[2, 3]]


def test_a_column_that_does_not_exist(root: str) -> None:
    put(root, "a.parquet", fare=("int64", [1]))

    with pytest.raises(InputError, match=r"'input\.fares'.*'input\.fare'"):
        list(read(root).batches(["input.fares"]))


def test_files_that_are_damaged_or_of_others(root: str) -> None:
    good = Path(put(root, "good.parquet", count=3, x=("int64", [1, 2, 3])))
    with storage.local_copy(
        str(good) if "://" not in root else f"{hour_folder(root, 'taxi', NOON)}/good.parquet"
    ) as path:
        content = path.read_bytes()
    cut = write(root, "cut.parquet", content[:-20])
    empty = write(root, "empty.parquet", b"")
    notes = write(root, "notes.txt", b"remember")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"time": [1]}), sink)
    other = write(root, "other.parquet", sink.getvalue().to_pybytes())
    log = read(root)

    assert values(log, "input.x") == [1, 2, 3]
    assert {(finding.uri, finding.code) for finding in log.findings} == {
        (cut, "UNREADABLE"),
        (empty, "UNREADABLE"),
        (notes, "FOREIGN"),
        (other, "FOREIGN"),
    }
    assert all(finding.text for finding in log.findings)


def test_a_file_whose_rows_are_damaged(tmp_path: Path) -> None:
    uri = put(str(tmp_path), "a.parquet", count=60, x=("string", [f"value-{number}" for number in range(60)]))
    put(str(tmp_path), "b.parquet", x=("string", ["kept"]))
    content = bytearray(Path(uri).read_bytes())
    content[4:-2000] = bytes(len(content) - 2004)
    Path(uri).write_bytes(content)
    log = read(str(tmp_path))

    assert values(log, "input.x") == ["kept"]
    assert [(finding.code, finding.uri) for finding in log.findings] == [("UNREADABLE", uri)]


def test_a_file_that_is_removed_meanwhile(root: str) -> None:
    uri = put(root, "a.parquet")
    log = read(root)
    storage.delete(uri)

    assert list(log.batches()) == []
    assert [(finding.code, finding.uri) for finding in log.findings] == [("GONE", uri)]


def test_a_bucket_that_fails_is_no_finding() -> None:
    with gcs_emulator.serve() as bucket:
        put(f"gs://{bucket.name}", "a.parquet")
        log = read(f"gs://{bucket.name}")
        bucket.forbidden = True

        with pytest.raises(StorageError):
            list(log.batches())


def test_batches_are_small_and_memory_is_flat(tmp_path: Path) -> None:
    for number in range(20):
        put(str(tmp_path), f"{number:02}.parquet", count=50, x=("string", ["x" * 10_000] * 50))
    log = read(str(tmp_path))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    most = 0
    for batch in log.batches(["input.x"], batch_rows=20):
        assert batch.num_rows <= 20
        most = max(most, pa.total_allocated_bytes() - before)
    _, python = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # All rows are 10 MB, those of a file 0.5 MB.
    assert most < 3_000_000
    assert python < 3_000_000
