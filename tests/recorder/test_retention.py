"""Removal of old hours, and of files that a killed recorder left."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support import gcs_emulator
from tiffin import storage
from tiffin.errors import StorageError
from tiffin.recorder.metrics import Metrics
from tiffin.recorder.retention import clean, find_models, remove_old, remove_temporary
from tiffin.serving.prediction_log import find_hours, hour_folder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["disk", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path / "log")
    else:
        with gcs_emulator.serve() as bucket:
            yield f"gs://{bucket.name}/log"


def put(root: str, model: str, *hours: datetime) -> None:
    for hour in hours:
        storage.write_new(f"{hour_folder(root, model, hour)}/a.parquet", b"x")


def test_a_log_that_does_not_exist(root: str) -> None:
    assert remove_old(root, "taxi", 1, NOW) == 0
    assert remove_temporary(root, "host") == 0


def test_hours_that_ended_before_are_removed(root: str) -> None:
    old = [NOW - timedelta(days=1, hours=hours) for hours in (1, 2, 30)]
    put(root, "taxi", *old, NOW - timedelta(days=1), NOW)
    put(root, "bus", old[0])

    assert remove_old(root, "taxi", 1, NOW) == 3
    assert find_hours(root, "taxi") == [NOW - timedelta(days=1), NOW]
    assert find_hours(root, "bus") == [old[0]]


def test_0_days_keep_all(root: str) -> None:
    put(root, "taxi", NOW - timedelta(days=9999))

    assert remove_old(root, "taxi", 0, NOW) == 0


def test_a_day_without_hours_is_removed(tmp_path: Path) -> None:
    put(str(tmp_path), "taxi", NOW - timedelta(days=9))
    remove_old(str(tmp_path), "taxi", 1, NOW)

    assert list((tmp_path / "taxi").iterdir()) == []


def test_a_link_to_another_place_is_left(tmp_path: Path) -> None:
    put(str(tmp_path / "other"), "taxi", NOW - timedelta(days=9))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "taxi").symlink_to(tmp_path / "other" / "taxi")

    assert remove_old(str(tmp_path / "log"), "taxi", 1, NOW) == 0
    assert len(find_hours(str(tmp_path / "other"), "taxi")) == 1


def test_models_of_the_log_and_those_that_are_known(tmp_path: Path) -> None:
    for name in ("taxi", ".hidden", "with space"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")

    assert find_models(str(tmp_path), ["bus", "..", "a/b"]) == ["bus", "taxi"]
    assert find_models("gs://bucket/log", ["bus"]) == ["bus"]


def test_old_temporary_files_of_this_host_are_removed(tmp_path: Path) -> None:
    folder = Path(hour_folder(str(tmp_path), "taxi", NOW))
    folder.mkdir(parents=True)
    names = (
        ".host-1-2-3.parquet.0123abcd",
        ".other-1-2-3.parquet.0123abcd",
        ".host-1-2-3.parquet",
        "host-1-2-3.parquet",
    )
    for name in names:
        (folder / name).write_text("")
        os.utime(folder / name, (time.time() - 3600,) * 2)
    (folder / ".host-1-2-4.parquet.0123abcd").write_text("")

    assert remove_temporary(str(tmp_path), "host") == 1
    assert {path.name for path in folder.iterdir()} == {*names[1:], ".host-1-2-4.parquet.0123abcd"}


def test_what_cannot_be_removed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(str(tmp_path), "taxi", NOW - timedelta(days=9999))
    reported = []

    def fail(_: str) -> None:
        raise StorageError("no")

    monkeypatch.setattr(storage, "delete", fail)
    metrics = Metrics()
    monkeypatch.setattr(metrics, "report", lambda reason, text: reported.append(reason))
    clean(str(tmp_path), "host", [], lambda _: 1, metrics)

    assert reported == ["retention"]
