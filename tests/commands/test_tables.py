"""Files of rows for a model with a recipe, opened as ingest opens its sources."""

import gzip

import duckdb
import pytest

from tiffin.artifacts.recipe import Recipe
from tiffin.commands.tables import open_table
from tiffin.errors import InputError


def read(location, **recipe):
    with open_table(str(location), Recipe((), **recipe)) as opened:
        return opened.names, list(opened.source.rows), [note.code for note in opened.notes]


def values(location, **recipe):
    return [row.values for row in read(location, **recipe)[1]]


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_no_rows(write):
    assert read(write("a,b\n")) == (["a", "b"], [], [])


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_whatever_the_name(write, name, delimiter):
    assert values(write(f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n", name)) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_names_and_quotes(write):
    content = 'Preis €; Ort ;"x ""y"""\r\n"1;5";"a\nb";""\r\n'
    assert values(write(content)) == [{"Preis €": "1;5", "Ort": "a\nb", 'x "y"': ""}]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_encodings(write, encoding):
    names, rows, notes = read(write("größe;b\nä;1\nö;2\n".encode(encoding)))
    assert (names, [row.values["größe"] for row in rows]) == (["größe", "b"], ["ä", "ö"])
    assert notes == ([] if encoding == "utf-8-sig" else ["ENCODING"])


def test_the_settings_of_the_user(write):
    content = "1:2\n3:4\n"
    settings = {"delimiter": ":", "header": "no", "column_names": ("x", "y")}
    assert values(write(content), **settings) == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


def test_compressed(write):
    assert values(write(gzip.compress(b"a\n1\n"), "a.csv.gz")) == [{"a": "1"}]


def test_rows_that_cannot_be_read_keep_their_numbers(write):
    rows = read(write('a,b\n1,2\n1\n\n3,4,5\n"x"y,1\n5,6\n'))[1]
    assert [(row.number, row.line, row.values is None) for row in rows] == [
        (1, 2, False), (2, 3, True), (3, 5, True), (4, 6, True), (5, 7, False),
    ]  # fmt: skip


def test_several_files_and_the_columns_of_their_folders(write, tmp_path):
    write("a\n1\n", "day=1/a.csv")
    write("a\n2\n3\n", "day=2/a.csv")
    names, rows, notes = read(tmp_path)
    assert names == ["a", "day"]
    assert [(row.number, row.values) for row in rows] == [
        (1, {"day": "1", "a": "1"}), (2, {"day": "2", "a": "2"}), (3, {"day": "2", "a": "3"}),
    ]  # fmt: skip
    assert notes == ["PARTITIONS"]
    # Of a single file too, as the model was trained with them.
    assert values(tmp_path / "day=2" / "a.csv")[0] == {"day": "2", "a": "2"}
    assert values(tmp_path / "day=2" / "a.csv", partitions="none")[0] == {"a": "2"}


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    duckdb.execute(
        "COPY (SELECT 1::TINYINT AS n, 2.50::DECIMAL(5,2) AS d, true AS b, 'x' AS \"Ort €\", "
        "TIMESTAMP '2024-01-02 03:04:05' AS t, TIMESTAMPTZ '2024-01-02 03:04:05+02' AS z, "
        "DATE '2024-01-02' AS day, TIME '03:04:05' AS clock, NULL AS nothing) "
        f"TO '{path}' (FORMAT parquet)"
    )
    [row] = values(path)
    assert {**row, "d": float(row["d"])} == {
        "n": 1, "d": 2.5, "b": True, "Ort €": "x", "t": "2024-01-02 03:04:05", "z": "2024-01-02 01:04:05", "day": "2024-01-02",
        "clock": "03:04:05", "nothing": None,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"PAR1 damaged", b"\x89PNG\r\n\x1a\n"])
def test_other_files(write, content):
    with pytest.raises(InputError, match=r"a\.(parquet|csv)"):
        values(write(content, "a.parquet" if b"PAR1" in content else "a.csv"))
