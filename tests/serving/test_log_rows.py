"""Reading one file of the prediction log: with DuckDB in the SDK, with pyarrow in the images."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support import logged
from tiffin.errors import InputError
from tiffin.serving.log_rows import open_file

RUNS_IN = ("dev", "gateway")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.parquet"), open_file(str(tmp_path / "gone.parquet")):
        pass


@pytest.mark.parametrize("content", [b"", b"PAR1 is not enough", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)

    with pytest.raises(InputError, match=r"a\.parquet"), open_file(str(path)) as opened:
        list(opened.read(["row"]))


def test_a_file_of_others(tmp_path: Path) -> None:
    path = logged.write(tmp_path, [logged.row("stable", 1, "a", NOON)])
    content = path.read_bytes().replace(b"latency_seconds", b"latency_minutes")
    path.write_bytes(content)

    with pytest.raises(InputError, match="latency_seconds"), open_file(str(path)):
        pass


@pytest.mark.parametrize(("seconds", "rows"), [(-60, 2), (1, 2), (2, 0)])
def test_parts_that_end_before_a_time_are_not_read(tmp_path: Path, seconds: int, rows: int) -> None:
    later = NOON + timedelta(seconds=1)
    path = logged.write(tmp_path, [logged.row("stable", 1, "b", later), logged.row("stable", 1, "c", later)])
    since = int(NOON.timestamp() + seconds) * 1_000_000

    with open_file(str(path), since) as opened:
        assert sum(len(batch["row"]) for batch in opened.read(["row"])) == rows


def test_the_rows_of_a_file(tmp_path: Path) -> None:
    rows = [
        logged.row("stable", 1, "a", NOON, output_y=1.5, output_p=[0.25, 0.75], output_text=["x"], input_n=3),
        logged.row("mirror", 2, "a", NOON, output_y=2.5, output_p=[0.5, 0.5]),
    ]
    # Characters that are special in a glob.
    path = logged.write(tmp_path / "a[0]*'", rows)
    names = ["request_id", "time", "version", "key", "output.y", "output.p", "output.text", "input.n"]

    with open_file(str(path)) as opened:
        assert {*names} < {*opened.columns}
        assert list(opened.read(names)) == [
            {
                "request_id": ["a", "a"],
                "time": [int(NOON.timestamp()) * 1_000_000] * 2,
                "version": [1, 2],
                "key": [None, None],
                "output.y": [1.5, 2.5],
                "output.p": [[0.25, 0.75], [0.5, 0.5]],
                "output.text": [["x"], None],
                "input.n": [3, None],
            }
        ]


def test_a_large_file_in_batches(tmp_path: Path) -> None:
    path = logged.write(tmp_path, [logged.row("stable", 1, str(number), NOON) for number in range(10_000)])

    with open_file(str(path)) as opened:
        batches = [batch["request_id"] for batch in opened.read(["request_id"])]

    assert len(batches) > 1
    assert [key for batch in batches for key in batch] == [str(number) for number in range(10_000)]
