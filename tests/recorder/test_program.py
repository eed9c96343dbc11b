"""The recorder as a process: a gRPC client streams entries to it as Envoy does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support import access_log, gcs_emulator, s3_server, small_disks
from support.access_log import NOON, Recorder, predict, rest
from support.niceness import session_niceness
from tiffin.errors import StorageError
from tiffin.recorder import program
from tiffin.recorder.writer import Limits
from tiffin.serving.log_reading import Log, open_log
from tiffin.serving.recording import change_recording
from tiffin.serving.root import ServedModel

HOUR = datetime.fromtimestamp(NOON, UTC)


def read(root: Path | str, model: str = "taxi", hour: datetime = HOUR) -> Log:
    return open_log(str(root), model, hour, hour + timedelta(hours=1))


def rows_of(log: Log, *columns: str) -> list[dict[str, Any]]:
    found = [row for batch in log.batches(columns or None) for row in batch.to_pylist()]
    assert log.findings == []
    return found


def one(x: Any, **options: Any) -> Any:
    return predict({"x": [x]}, {"y": [2.0]}, **options)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Recorder]:
    with access_log.recorder(tmp_path / "log", errors=tmp_path / "errors") as found:
        yield found


def test_a_recorder_without_requests_writes_nothing(place: Recorder) -> None:
    assert place.stop() == 0
    assert list(Path(place.root).iterdir()) == []
    assert place.errors.read_text() == ""


def test_every_request_is_in_the_log_after_sigterm(place: Recorder) -> None:
    entries = [one(float(number), request_id=f"r{number}", route="candidate") for number in range(5000)]
    place.send([*entries, rest({"instances": [{"x": 1}]}, {"predictions": [{"y": 1}]}, request_id="rest")])
    assert place.stop() == 0
    rows = rows_of(read(place.root), "request_id", "route", "input.x")

    assert [row["request_id"] for row in rows] == [*(f"r{number}" for number in range(5000)), "rest"]
    assert [row["input.x"] for row in rows[:5000]] == [float(number) for number in range(5000)]
    assert {row["route"] for row in rows[:5000]} == {"candidate"}


def test_the_metrics_count_requests_and_problems(place: Recorder) -> None:
    failed = predict({"x": ["a"]}, model="bus", route="mirror")
    ignored = access_log.entry(path="/healthz")
    names = [one(1.0, model=name) for name in ("..", "a/b", ".hidden", "é", "x" * 200)]
    place.send([one(1.0), one(2.0), failed, ignored, one(1.0, response=bytes(2 << 20)), *names])
    assert place.wait_for("dropped_requests_total", 5, reason="model_name")

    assert place.metric("requests_total", model="taxi", route="stable") == 3
    assert place.metric("requests_total", model="bus", route="mirror") == 1
    assert place.metric("ignored_requests_total") == 1
    assert place.metric("problems_total", reason="too_large") == 1
    assert place.metric("queue_entries") == 0
    place.stop()
    assert sorted(path.name for path in Path(place.root).iterdir()) == ["bus", "taxi"]
    assert sorted(path.name for path in Path(place.root).parent.iterdir()) == ["errors", "log"]


def test_a_file_is_closed_by_age(tmp_path: Path) -> None:
    options = ("--max-file-age", "0.1s", "--metrics-host", "0.0.0.0")
    with access_log.recorder(tmp_path / "log", *options, errors=tmp_path / "errors") as place:
        place.send([one(1.0)])
        assert place.metrics_address.startswith("0.0.0.0:")
        assert place.wait_for("files_total", 1, model="taxi")

        assert place.metric("rows_total") == 1
        assert place.metric("bytes_total") == sum(file.size_bytes for file in read(place.root).files)
        assert len(rows_of(read(place.root))) == 1


def test_a_file_is_closed_by_size(tmp_path: Path) -> None:
    with access_log.recorder(tmp_path / "log", "--max-file-bytes", "1", errors=tmp_path / "errors") as place:
        # A row group of 16 MiB has 36,000 requests with two values.
        texts = [predict({"x": ["a" * 100_000]}, {}) for _ in range(10)]
        for _ in range(30):
            place.send(texts)
        assert place.wait_for("files_total", 1)
        place.stop()

        assert len(rows_of(read(place.root), "row")) == 300


def test_hours_have_files_of_their_own(place: Recorder) -> None:
    place.send([one(1.0, time=NOON + 3599.9), one(2.0, time=NOON + 3600), one(3.0, time=NOON)])
    place.stop()

    assert [row["input.x"] for row in rows_of(read(place.root))] == [1.0, 3.0]
    assert [row["input.x"] for row in rows_of(read(place.root, hour=HOUR + timedelta(hours=1)))] == [2.0]


def test_after_a_kill_only_the_open_file_is_lost(tmp_path: Path) -> None:
    with access_log.recorder(tmp_path / "log", "--max-file-age", "1s", errors=tmp_path / "errors") as place:
        place.send([one(1.0)])
        assert place.wait_for("files_total", 1)
        place.send([one(2.0)])
        assert place.wait_for("requests_total", 2)
        place.stop(signal.SIGKILL)
    with access_log.recorder(tmp_path / "log", errors=tmp_path / "errors") as place:
        place.send([one(3.0)])
        place.stop()

    assert [row["input.x"] for row in rows_of(read(tmp_path / "log"))] == [1.0, 3.0]
    assert len({file.uri for file in read(tmp_path / "log").files}) == 2


def test_entries_that_the_queue_cannot_take_are_dropped_and_counted(tmp_path: Path) -> None:
    with access_log.recorder(tmp_path / "log", "--queue", "10", errors=tmp_path / "errors") as place:
        place.send([one(float(number)) for number in range(60)])  # one message
        assert place.metric("dropped_requests_total", reason="queue") == 50
        place.stop()

        assert len(rows_of(read(place.root))) == 10


@small_disks.needs_small_disks
def test_a_full_disk_delays_the_file(tmp_path: Path) -> None:
    with small_disks.small_disk(tmp_path / "log", 64) as disk:
        (disk / "ballast").write_bytes(bytes(64 << 10))
        with access_log.recorder(disk, "--max-file-age", "0.1s", errors=tmp_path / "errors") as place:
            place.send([one(1.0)])
            assert place.wait_for("waiting_files", 1)
            place.send([one(2.0)])
            assert place.wait_for("waiting_files", 2)
            (disk / "ballast").unlink()
            assert place.wait_for("files_total", 2)
            place.stop()

            assert [row["input.x"] for row in rows_of(read(disk))] == [1.0, 2.0]


@small_disks.needs_small_disks
def test_what_a_full_disk_cannot_take_at_the_end_is_counted(tmp_path: Path) -> None:
    with small_disks.small_disk(tmp_path / "log", 64) as disk:
        with access_log.recorder(disk, "--max-file-age", "0.1s", errors=tmp_path / "errors") as place:
            (disk / "ballast").write_bytes(bytes(64 << 10))
            for number in range(8):
                place.send([one(float(number))])
                place.wait_for("waiting_files", min(number + 1, 4))
            # The writer waits for room; what comes now waits in the queue.
            assert place.metric("waiting_files") == 4
            (disk / "ballast").unlink()
            assert place.stop() == 0

        assert len(rows_of(read(disk))) == 8


@pytest.mark.parametrize("kind", ["gs", "s3"])
def test_a_log_in_a_bucket(tmp_path: Path, kind: str) -> None:
    with (gcs_emulator if kind == "gs" else s3_server).serve() as bucket:
        root = f"{kind}://{bucket.name}/predictions"
        with access_log.recorder(root, errors=tmp_path / "errors") as place:
            place.send([one(1.0), one(2.0)])
            place.stop()

            assert [row["input.x"] for row in rows_of(read(root))] == [1.0, 2.0]
            assert read(root).files[0].uri.startswith(f"{root}/taxi/date={HOUR:%Y-%m-%d}/hour=12/")


def test_a_bucket_that_fails_for_a_while(tmp_path: Path) -> None:
    with gcs_emulator.serve() as bucket:
        with access_log.recorder("gs://bucket/log", "--max-file-age", "0.1s", errors=tmp_path / "errors") as place:
            bucket.forbidden = True
            place.send([one(1.0)])
            assert place.wait_for("waiting_files", 1)
            bucket.forbidden = False
            assert place.wait_for("files_total", 1)

        assert len(rows_of(read("gs://bucket/log"))) == 1


def test_settings_of_the_serving_root(tmp_path: Path) -> None:
    change_recording(ServedModel(str(tmp_path / "serving"), "taxi"), omit=("output.y",), hash=("input.x", "key"))
    (tmp_path / "serving" / "bus").mkdir()
    (tmp_path / "serving" / "bus" / "recording.json").write_text('{"share": 2}')
    arguments = (tmp_path / "log", "--serving-root", str(tmp_path / "serving"))
    with access_log.recorder(*arguments, errors=tmp_path / "errors", TIFFIN_LOG_KEY="secret") as place:
        place.send([one(1.0, key="ada"), one(1.0, model="bus"), one(1.0, model="other")])
        place.stop()
    [taxi], [bus], [other] = (rows_of(read(place.root, model)) for model in ("taxi", "bus", "other"))

    assert [name for name in taxi if "." in name] == ["input.x"]
    assert (len(taxi["input.x"]), len(taxi["key"])) == (64, 64)
    # Nobody knows what the owner of this model wanted to be left out.
    assert (access_log.values(bus), bus["code"]) == ({}, "OK")
    assert access_log.values(other) == {"input.x": 1.0, "output.y": 2.0}


def test_old_hours_and_temporary_files_are_removed_at_the_start(tmp_path: Path) -> None:
    old, kept = (tmp_path / "log" / "taxi" / f"date={date:%Y-%m-%d}" / "hour=00" for date in _dates(31, 29))
    for folder in (old, kept):
        folder.mkdir(parents=True)
        (folder / "a.parquet").write_bytes(b"")
    with access_log.recorder(tmp_path / "log", errors=tmp_path / "errors"):
        deadline = time.monotonic() + 30
        while old.parent.exists() and time.monotonic() < deadline:
            time.sleep(0.02)

        assert (old.parent.exists(), kept.exists()) == (False, True)


def _dates(*days: int) -> list[datetime]:
    return [datetime.now(UTC) - timedelta(days=number) for number in days]


def test_the_priority_is_lowered(place: Recorder, tmp_path: Path) -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    with access_log.recorder(tmp_path / "other", "--keep-priority", errors=tmp_path / "errors") as other:
        assert os.getpriority(os.PRIO_PROCESS, other.process.pid) == mine
        usual = session_niceness(other.process.pid)
    assert os.getpriority(os.PRIO_PROCESS, place.process.pid) == min(mine + 10, 19)
    # None without autogroups.
    assert (usual, session_niceness(place.process.pid)) in ((0, 10), (None, None))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-file-age", "0s"),
        ("--max-file-age", "1h"),
        ("--max-file-bytes", "1MB"),
        ("--queue", "0"),
        ("--port", "70000"),
        ("--unknown",),
    ],
)
def test_options_that_are_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["--log-root", str(tmp_path), *arguments])

    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_log_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    options = program.Options(str(tmp_path / "file"), "", "127.0.0.1", 0, "127.0.0.1", 0, Limits(1, 1), 1, None)

    with pytest.raises(StorageError, match=f"'{tmp_path / 'file'}'"):
        program.start(options)


def test_a_throttle_that_cannot_be_written(tmp_path: Path) -> None:
    options = program.Options(str(tmp_path), "", "127.0.0.1", 0, "127.0.0.1", 0, Limits(1, 1), 1, tmp_path)

    with pytest.raises(StorageError, match=f"'{tmp_path}'"):
        program.start(options)


def test_the_throttle(tmp_path: Path) -> None:
    options = "--throttle", str(tmp_path / "throttle")
    with access_log.recorder(tmp_path / "log", *options, errors=tmp_path / "errors") as place:
        assert (tmp_path / "throttle").read_text() == "1.0000\n"
        assert place.metric("sent_share") == 1
        place.send([one(1.0), access_log.entry(path="/healthz", throttled=30), one(1.0, throttled=4)])
        assert place.wait_for("dropped_requests_total", 34, reason="throttled")
        assert place.metric("requests_total", model="taxi", route="stable") == 2


@pytest.mark.parametrize("option", ["--port", "--metrics-port"])
def test_a_port_that_is_taken(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "tiffin.recorder", "--log-root", str(tmp_path), option, str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (65, "")
    assert f"127.0.0.1:{port}" in ended.stderr


def test_the_line_that_a_supervisor_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tiffin.recorder", "--log-root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        word, _, addresses = process.stdout.readline().partition(" ")
        process.terminate()

    assert (word, sorted(json.loads(addresses))) == ("READY", ["address", "metrics"])
    assert process.returncode == 0
