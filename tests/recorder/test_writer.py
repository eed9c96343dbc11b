"""The writer in this process, where its limits can be small."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.access_log import predict
from tiffin.recorder import delivery, files, writer
from tiffin.recorder.delivery import Delivery
from tiffin.recorder.inbox import Inbox
from tiffin.recorder.metrics import Metrics
from tiffin.recorder.settings import Settings
from tiffin.recorder.writer import Limits, Writer

Write = Callable[[list[Any]], Metrics]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes entries into a log, and returns the metrics."""

    def run(entries: list[Any]) -> Metrics:
        metrics = Metrics()
        inbox, deliveries = Inbox(10_000, 1 << 30), Delivery(metrics)
        settings = Settings("", b"", metrics)
        running = Writer(str(tmp_path), "here-1-2", Limits(1 << 20, 60), inbox, deliveries, settings, metrics)
        inbox.put(entries, 1)
        deliveries.hurry(time.monotonic() + 20)
        running.close(20)
        deliveries.close()
        return metrics

    return run


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"tiffin_recorder_{name}", labels) or 0.0


def one(model: str = "taxi", x: Any = 1.0) -> Any:
    return predict({"x": [x]}, {}, model=model)


def test_no_entries_are_no_files(write: Write, tmp_path: Path) -> None:
    write([])

    assert list(tmp_path.iterdir()) == []


def test_more_models_than_are_recorded(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_MODELS", 3)
    metrics = write([one(f"m{number}") for number in (0, 1, 2, 3, 4, 0)])

    assert value(metrics, "dropped_requests_total", reason="models") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m0", "m1", "m2"]
    assert value(metrics, "rows_total", model="m0") == 2


def test_files_that_use_too_much_memory_are_closed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_MEMORY_BYTES", 0)
    metrics = write([one(), one("bus")])

    assert value(metrics, "files_total", model="taxi") == value(metrics, "files_total", model="bus") == 1


def test_full_row_groups_with_other_columns_are_other_files(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "GROUP_BYTES", 1)
    metrics = write([one(x=1.0), one(x=2.0), one(x="a"), one(x="b")])

    assert value(metrics, "files_total", model="taxi") == 2
    assert value(metrics, "rows_total", model="taxi") == 4


def test_a_bug_loses_one_request(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    read = writer.read_call

    def fail(call: Any, *others: Any) -> Any:
        if call.request_id == "bad":
            raise KeyError("a bug")
        return read(call, *others)

    monkeypatch.setattr(writer, "read_call", fail)
    metrics = write([one(), predict({}, {}, request_id="bad"), one()])

    assert value(metrics, "dropped_requests_total", reason="failure") == 1
    assert value(metrics, "rows_total", model="taxi") == 2


def test_a_file_that_cannot_be_compressed_is_lost(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(files.OpenFile, "_table", fail)
    metrics = write([one(), one()])

    assert value(metrics, "dropped_rows_total") == 2
    assert value(metrics, "files_total", model="taxi") == 0


def test_a_file_that_cannot_be_stored_is_dropped_after_a_time(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_GIVE_UP_SECONDS", 0.0)
    (tmp_path / "taxi").write_text("in the way")
    metrics = Metrics()
    deliveries = Delivery(metrics)
    deliveries.put(delivery.Finished("taxi", f"{tmp_path}/taxi/a.parquet", b"x", 7, time.monotonic()))
    deliveries.put(delivery.Finished("bus", f"{tmp_path}/bus/a.parquet", b"x", 5, time.monotonic()))
    deliveries.hurry(time.monotonic())
    deliveries.close()

    assert value(metrics, "dropped_rows_total") == 7
    assert value(metrics, "rows_total", model="bus") == 5
