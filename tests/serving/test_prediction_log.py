"""Where the files of the prediction log are, and the kinds of their columns; pyarrow is in the environment `gateway`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest

from support import gcs_emulator
from tiffin import storage
from tiffin.errors import InputError
from tiffin.serving import prediction_log
from tiffin.serving.prediction_log import COLUMNS, arrow_type, find_files, find_hours, hour_folder, kind_of, widen

RUNS_IN = ("gateway", "data")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = ("int64", "float32", "float64", "bool", "string")


@pytest.fixture(params=["disk", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path)
    else:
        with gcs_emulator.serve() as bucket:
            yield f"gs://{bucket.name}/log"


def put(root: str, hour: datetime, name: str = "a.parquet") -> str:
    uri = f"{hour_folder(root, 'taxi', hour)}/{name}"
    storage.write_new(uri, b"x")
    return uri


class TestFiles:
    def test_a_model_without_a_log(self, root: str) -> None:
        assert find_files(root, "taxi", NOON, NOON + timedelta(days=3)) == []
        assert find_hours(root, "taxi") == []

    def test_an_empty_window(self, root: str) -> None:
        put(root, NOON)

        assert find_files(root, "taxi", NOON, NOON) == find_files(root, "taxi", NOON, NOON - timedelta(1)) == []

    def test_hours_that_overlap_the_window(self, root: str) -> None:
        uris = [put(root, NOON + timedelta(hours=hours)) for hours in (-13, -1, 0, 1, 2, 13)]

        def found(start: datetime, end: datetime) -> list[str]:
            return [file.uri for file in find_files(root, "taxi", start, end)]

        half = timedelta(minutes=30)
        assert found(NOON + half, NOON + timedelta(hours=1)) == [uris[2]]
        assert found(NOON - half, NOON + timedelta(hours=1, seconds=1)) == uris[1:4]
        assert found(NOON - timedelta(days=1), NOON + timedelta(days=1)) == uris
        local = timezone(timedelta(hours=14))
        assert found(NOON.astimezone(local), (NOON + half).astimezone(local)) == [uris[2]]
        assert find_hours(root, "taxi") == [NOON + timedelta(hours=hours) for hours in (-13, -1, 0, 1, 2, 13)]

    def test_hidden_files_and_other_folders_are_left_out(self, root: str) -> None:
        uri = put(root, NOON)
        put(root, NOON, ".b.parquet.0123abcd")
        for path in ("date=2026-03-01/a.parquet", "date=2026-03-01/hour=99/a.parquet", "date=2026-03-01/hour=12/x/a"):
            storage.write_new(f"{root}/taxi/{path}", b"x")
        [file] = find_files(root, "taxi", NOON, NOON + timedelta(hours=1))

        assert (file.uri, file.size_bytes, file.hour) == (uri, 1, NOON)

    def test_times_without_a_time_zone(self, root: str) -> None:
        with pytest.raises(InputError, match="end"):
            find_files(root, "taxi", NOON, datetime(2026, 3, 2))

    @pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "*", "a b", "é", "a" * 129, "a\n"])
    def test_names_that_are_no_models(self, tmp_path: Path, name: str) -> None:
        assert not prediction_log.is_model_name(name)
        with pytest.raises(InputError):
            find_files(str(tmp_path), name, NOON, NOON + timedelta(1))

    def test_the_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        assert prediction_log.resolve_log_root("log") == str(tmp_path / "log")
        assert prediction_log.resolve_log_root("s3://bucket/log/") == "s3://bucket/log"
        with pytest.raises(InputError):
            prediction_log.resolve_log_root(" ")


class TestKinds:
    @pytest.mark.parametrize("kind", [*KINDS, *(f"list<{kind}>" for kind in KINDS), *COLUMNS.values()])
    def test_each_kind_has_a_type(self, kind: str) -> None:
        assert kind_of(arrow_type(kind)) == kind

    @pytest.mark.parametrize("arrow", [pa.int8(), pa.list_(pa.list_(pa.int64())), pa.timestamp("us"), pa.null()])
    def test_other_types_have_none(self, arrow: pa.DataType) -> None:
        assert kind_of(arrow) is None

    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            ("null", "int64", "int64"),
            ("int64", "float32", "float64"),
            ("float32", "float64", "float64"),
            ("bool", "int64", "string"),
            ("string", "float64", "string"),
            ("int64", "list<float64>", "list<float64>"),
            ("list<null>", "string", "list<string>"),
            ("null", "list<bool>", "list<bool>"),
            ("list<bool>", "list<int64>", "list<string>"),
        ],
    )
    def test_kinds_that_have_the_values_of_two(self, one: str, other: str, expected: str) -> None:
        assert widen(one, other) == widen(other, one) == expected

    def test_the_order_of_columns(self) -> None:
        assert prediction_log.order(["output.a", "input.b", "key", "input.a", "row"]) == [
            "row", "key", "input.a", "input.b", "output.a"
        ]  # fmt: skip
