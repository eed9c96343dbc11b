"""Labelled answers of the prediction log, as rows that ingest reads beside the data of the training."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.watched import NOON, draw, write_hour, write_watched_reference
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.labelled import read_labelled
from tiffin.artifacts.recipe import DerivedColumn, Recipe, SourceColumn
from tiffin.serving.recording import hash_text
from tiffin.stages.ingest.examples import ingest
from tiffin.stages.monitor.labelled import collect
from tiffin.stages.monitor.performance import make_labels

SOURCE = (
    SourceColumn("order", "order", "VARCHAR"),
    SourceColumn("Distance (km)", "km", "DOUBLE"),
    SourceColumn("city", "city", "VARCHAR"),
    SourceColumn("stops", "stops", "BIGINT"),
    SourceColumn("late", "late", "BIGINT"),
)
COLUMNS = (
    Column("order", "STRING"), Column("km", "FLOAT"), Column("city", "STRING"), Column("stops", "INT"), Column("late", "INT"),
)  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_watched_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture
def with_source(reference):
    """Return a function that changes the source of the reference."""

    def change(source=SOURCE, derive=()):
        found = replace(read_manifest(reference), columns=COLUMNS, recipe=Recipe(tuple(source), tuple(derive)))
        documents.write(reference / MANIFEST, found)
        return reference

    return change


@pytest.fixture
def rows():
    return draw(np.random.default_rng(3), 40)


@pytest.fixture
def gather(tmp_path, with_source, rows):
    """Return a function that collects the answers of an hour, of which three of four have a label."""

    def run(labels=None, window="24h", **source):
        write_hour(tmp_path / "log", NOON - timedelta(hours=2), rows)
        path = tmp_path / "labels.csv"
        lines = [f"{NOON - timedelta(hours=2):%d%H}-a-{n},{rows['late'][n]}" for n in range(40) if n % 4]
        path.write_text("\n".join(["request_id,label", *lines]) + "\n")
        joined = make_labels(str(path) if labels is None else labels, {}, "last", 720.0, 300.0, [])
        return collect(
            with_source(**source), tmp_path / "out", joined, window=window, log_root=str(tmp_path / "log"),
            now=NOON - timedelta(minutes=1),
        )  # fmt: skip

    return run


def test_no_labels_and_no_window(gather, tmp_path):
    assert [note.code for note in gather(labels="").notes] == ["NO_LABELLED"]
    assert [note.code for note in gather(window="").notes] == ["NO_LABELLED"]
    assert not (tmp_path / "out" / "labelled.parquet").exists()


def test_no_answers(gather, with_source, tmp_path):
    gather()
    labels = make_labels(str(tmp_path / "labels.csv"), {}, "last", 720.0, 300.0, [])
    found = collect(
        with_source(), tmp_path / "empty", labels, window="24h", log_root=str(tmp_path / "nothing"), now=NOON
    )
    assert (found.rows, found.answers) == (0, 0)


def test_rows_of_the_source(gather, rows, tmp_path):
    found = gather()
    assert (found.answers, found.labelled, found.rows) == (40, 30, 30)
    assert [(note.code, note.count) for note in found.notes] == [("COLUMNS_MISSING", 1), ("WITHOUT_LABEL", 10)]
    assert read_labelled(tmp_path / "out") == found
    table = pq.read_table(tmp_path / "out" / "labelled.parquet")
    assert {field.name: field.type for field in table.schema} == {
        "order": pa.string(), "Distance (km)": pa.float64(), "city": pa.string(), "stops": pa.int64(), "late": pa.int64(),
    }  # fmt: skip
    wanted = [number for number in range(40) if number % 4]
    assert table["late"].to_pylist() == rows["late"][wanted].tolist()
    assert table["city"].to_pylist() == rows["city"][wanted].tolist()
    assert table["stops"].to_pylist() == rows["stops"][wanted].astype(int).tolist()
    np.testing.assert_allclose(table["Distance (km)"].to_numpy(), rows["km"][wanted], rtol=1e-6)
    assert table["order"].null_count == 30


def test_missing_values_are_missing(gather, rows, tmp_path):
    rows["km"][1], rows["city"][2] = np.nan, ""
    gather()
    table = pq.read_table(tmp_path / "out" / "labelled.parquet")
    assert table["Distance (km)"].to_pylist()[0] is None
    assert table["city"].to_pylist()[1] is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ingest_reads_them_beside_the_data(gather, tmp_path, kind):
    gather()
    old = pa.table(
        {"order": ["a", "b"], "Distance (km)": [1.5, 2.5], "city": ["Ulm", None], "stops": [1, 2], "late": [0, 1]}
    )
    if kind == "csv":
        path = tmp_path / "old.csv"
        path.write_text("order,Distance (km),city,stops,late\na,1.5,Ulm,1,0\nb,2.5,,2,1\n")
    else:
        path = tmp_path / "old.parquet"
        pq.write_table(old, path)
    manifest = ingest(f"{path}\n{tmp_path}/out/labelled.parquet", tmp_path / "examples", label="late")
    assert manifest.rows == 32
    assert [(column.name, column.type) for column in manifest.columns if column.name != "order"] == [
        ("Distance__km_", "FLOAT"), ("city", "STRING"), ("stops", "INT"), ("late", "INT"),
    ]  # fmt: skip
    assert [source.uri for source in manifest.sources] == [str(path), f"{tmp_path}/out/labelled.parquet"]


def test_a_decimal_comma(gather, rows, tmp_path):
    source = [replace(one, decimal=",") if one.column == "km" else one for one in SOURCE]
    gather(source=source)
    first = pq.read_table(tmp_path / "out" / "labelled.parquet")["Distance (km)"].to_pylist()[0]
    assert float(first.replace(",", ".")) == pytest.approx(rows["km"][1], rel=1e-6)
    assert "," in first


def test_derived_inputs_have_nothing_to_be_derived_from(gather, tmp_path):
    found = gather(derive=[DerivedColumn("stops", "n + 1", ("n",))])
    assert [note.code for note in found.notes] == ["NOT_USABLE"]
    assert found.rows == 0
    assert not (tmp_path / "out" / "labelled.parquet").exists()


def codes(found):
    return {note.code: note.count for note in found.notes}


def test_hashed_inputs_are_missing_and_told(gather, rows, tmp_path):
    rows["city"][:] = [hash_text(name, b"secret") for name in rows["city"]]
    assert codes(gather())["HASHED"] == 1
    assert pq.read_table(tmp_path / "out" / "labelled.parquet")["city"].null_count == 30


def test_values_of_another_type_are_counted(gather, rows, tmp_path):
    source = [replace(one, type="BIGINT") if one.column == "city" else one for one in SOURCE]
    found = codes(gather(source=source))
    assert found["VALUES_MISSING"] == 30
    assert pq.read_table(tmp_path / "out" / "labelled.parquet")["city"].null_count == 30


def test_answers_and_labels_that_are_in_no_row_are_counted(gather, rows, tmp_path, reference):
    write_hour(tmp_path / "log", NOON - timedelta(hours=3), rows, "old", version=2)
    write_hour(tmp_path / "log", NOON - timedelta(hours=3), rows, "copy", route="mirror")
    gather()
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("nobody,1\n")
    labels = make_labels(str(tmp_path / "labels.csv"), {}, "last", 720.0, 300.0, [])
    found = collect(reference, tmp_path / "out", labels, window="24h", log_root=str(tmp_path / "log"), now=NOON)
    assert {name: count for name, count in codes(found).items() if name.startswith(("LEFT_OUT", "LABELS"))} == {
        "LEFT_OUT_VERSIONS": 40, "LEFT_OUT_MIRROR": 40, "LABELS_UNKNOWN": 1,
    }  # fmt: skip
