"""Labels of files: columns, values, times, and files that cannot be read."""

import gzip
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiffin.errors import InputError
from tiffin.performance.label_sources import read_labels
from tiffin.performance.workspace import open_workspace


def read(location, columns=None, **options):
    """Return the table and its rows: name, row, time and label."""
    with open_workspace() as workspace:
        table = read_labels(workspace, str(location), columns, **options)
        return table, workspace.fetch("SELECT name, row, time, label FROM labels ORDER BY place")


def codes(table):
    return [(one.code, os.path.basename(one.origin)) for one in table.findings]


class TestFiles:
    def test_header_only(self, tmp_path):
        (tmp_path / "a.csv").write_text("key,label\n")

        table, rows = read(tmp_path)

        assert (table.rows, table.files, rows, codes(table)) == (0, 1, [], [("EMPTY_FILE", "a.csv")])

    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.csv"):
            read(tmp_path / "none.csv")

    def test_csv(self, tmp_path):
        (tmp_path / "a.csv").write_text("request_id,row,label,comment\nr1,0,1,x\nr1,1,0,y\n")

        table, rows = read(tmp_path / "a.csv")

        assert (table.by, table.has_row, table.has_time, table.files) == ("request_id", True, False, 1)
        assert rows == [("r1", 0, None, "1"), ("r1", 1, None, "0")]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.tsv", b"key\tlabel\nx\t1\n"),
            ("a.csv", b"key;label\r\nx;1\r\n"),
            ("a.csv", b'\xef\xbb\xbf"key","label"\n"x","1"'),
            ("a.csv.gz", gzip.compress(b"key,label\nx,1\n", mtime=0)),
            ("[a]*.csv", b"key,label\nx,1\n"),
        ],
    )
    def test_forms_of_csv(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)

        assert read(tmp_path)[1] == [("x", 0, None, "1")]

    def test_parquet(self, tmp_path):
        times = pa.array([1_000_000_000, None], pa.timestamp("ns", tz="Europe/Berlin"))
        pq.write_table(pa.table({"key": [7.0, 2.5], "label": [True, False], "time": times}), tmp_path / "a.parquet")

        table, rows = read(tmp_path)

        assert rows == [("7", 0, 1_000_000, "true"), ("2.5", 0, None, "false")]
        assert (table.without_zone, table.invalid_times) == (0, 0)

    def test_files_in_their_order(self, tmp_path):
        (tmp_path / "b.csv").write_text("key,label\nx,2\ny,3\n")
        (tmp_path / "a.csv").write_text("key,label\nx,1\n")

        assert [row[3] for row in read(tmp_path)[1]] == ["1", "2", "3"]

    def test_order_of_many_rows(self, tmp_path):
        (tmp_path / "a.csv").write_text("key,label\n" + "".join(f"k,{number}\n" for number in range(300_000)))
        with open_workspace() as workspace:
            read_labels(workspace, str(tmp_path))

            wrong = workspace.fetch("SELECT count(*) FROM labels WHERE place <> CAST(label AS BIGINT) + 1")

        assert wrong == [(0,)]


class TestColumns:
    def test_mapping(self, tmp_path):
        (tmp_path / "a.csv").write_text("order,late,key\n1,1.0,x\n")

        table, rows = read(tmp_path, {"key": "order", "label": "late"})

        assert (table.by, rows) == ("key", [("1", 0, None, "1")])

    def test_by_is_chosen(self, tmp_path):
        (tmp_path / "a.csv").write_text("request_id,key,label\nr,k,1\n")

        assert read(tmp_path)[1][0][0] == "r"
        assert read(tmp_path, by="key")[1][0][0] == "k"

    def test_unknown_name_in_mapping(self, tmp_path):
        with pytest.raises(InputError, match=r"'labels'.*'label'\?"):
            read(tmp_path, {"labels": "late"})

    def test_missing_everywhere(self, tmp_path):
        (tmp_path / "a.csv").write_text("key,lable\nx,1\n")

        with pytest.raises(InputError, match="key, lable"):
            read(tmp_path)

    def test_missing_in_one_file(self, tmp_path):
        (tmp_path / "a.csv").write_text("key,label\nx,1\n")
        (tmp_path / "b.csv").write_text("request_id,label\nr,1\n")

        table, rows = read(tmp_path)

        assert (codes(table), table.files, len(rows)) == ([("COLUMNS", "b.csv")], 1, 1)

    @pytest.mark.parametrize(
        ("content", "skipped", "finding"),
        [
            ("key,label\nx,\ny,\n", {"no_label": 2}, [("EMPTY_COLUMN", "a.csv")]),
            ("key,label\n,1\n", {"no_key": 1}, [("EMPTY_COLUMN", "a.csv")]),
            ("key,row,label\nx,one,1\nx,-1,1\nx,1.5,1\nx,1.0,1\n", {"row": 3}, []),
        ],
    )
    def test_rows_that_lack_something_are_counted(self, tmp_path, content, skipped, finding):
        (tmp_path / "a.csv").write_text(content)

        table, _ = read(tmp_path)

        assert (table.skipped, codes(table)) == (skipped, finding)

    def test_missing_numbers_of_parquet(self, tmp_path):
        pq.write_table(pa.table({"key": ["x", "y"], "label": [float("nan"), 1.0]}), tmp_path / "a.parquet")

        table, rows = read(tmp_path)

        assert (table.skipped, rows) == ({"no_label": 1}, [("y", 0, None, "1")])


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "seconds", "without_zone", "invalid"),
        [
            ("1970-01-01T00:00:10Z", 10, 0, 0),
            ("1970-01-01 02:00:10+02:00", 10, 0, 0),
            ("1970-01-01T00:00:10", 10, 1, 0),
            ("1970-01-02", 86400, 1, 0),
            ("yesterday", None, 0, 1),
            ("1970-13-01", None, 0, 1),
            ("infinity", None, 0, 1),
            ("", None, 0, 0),
        ],
    )
    def test_texts(self, tmp_path, text, seconds, without_zone, invalid):
        (tmp_path / "a.csv").write_text(f"key,time,label\nx,{text},1\ny,1970-01-01T00:00:00Z,1\n")

        table, rows = read(tmp_path)

        assert rows[0][2] == (None if seconds is None else seconds * 1_000_000)
        assert (table.without_zone, table.invalid_times) == (without_zone, invalid)

    def test_empty_column(self, tmp_path):
        (tmp_path / "a.csv").write_text("key,time,label\nx,,1\n")

        assert codes(read(tmp_path)[0]) == [("EMPTY_COLUMN", "a.csv")]


class TestDamage:
    def damaged(self, folder, name, content):
        (folder / name).write_bytes(content)
        (folder / "z.csv").write_text("key,label\nz,1\n")
        table, rows = read(folder)
        assert rows[-1] == ("z", 0, None, "1")
        return codes(table), rows[:-1], table.skipped

    def test_line_cut_short(self, tmp_path):
        found = self.damaged(tmp_path, "a.csv", b"key,label\nx,1\ny")

        assert found == ([("CUT_SHORT", "a.csv")], [("x", 0, None, "1")], {"csv": 1})

    def test_quote_cut_short(self, tmp_path):
        found = self.damaged(tmp_path, "a.csv", b'key,label\nx,1\ny,"0')

        assert found == ([("CUT_SHORT", "a.csv")], [("x", 0, None, "1")], {"csv": 1})

    def test_invalid_bytes(self, tmp_path):
        found = self.damaged(tmp_path, "a.csv", b"key,label\n\xff,1\nx,1\n")

        assert found == ([("CUT_SHORT", "a.csv")], [("x", 0, None, "1")], {"csv": 1})

    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("a.csv", b"", "EMPTY_FILE"),
            ("a.csv", "key,label\nx,1\n".encode("utf-16"), "UNREADABLE"),
            ("a.csv", b"key,,label\nx,1,2\n", "UNREADABLE"),
            ("a.csv", b"label,label,key\n1,2,x\n", "UNREADABLE"),
            ("a.csv", bytes(range(256)) * 10, "UNREADABLE"),
            (
                "a.csv.gz",
                gzip.compress(b"key,label\n" + random.Random(1).randbytes(9000), mtime=0)[:2000],
                "UNREADABLE",
            ),
            ("a.csv.gz", b"\x1f\x8bnot a gzip file", "UNREADABLE"),
            ("a.parquet", b"PAR1 and nothing more", "UNREADABLE"),
            ("a.parquet", b"no", "UNREADABLE"),
        ],
    )
    def test_files(self, tmp_path, name, content, code):
        found, rows, _ = self.damaged(tmp_path, name, content)

        assert (found, rows) == ([(code, name)], [])

    def test_parquet_cut_short(self, tmp_path):
        pq.write_table(pa.table({"key": ["x"] * 1000, "label": [1] * 1000}), tmp_path / "whole.parquet")
        content = (tmp_path / "whole.parquet").read_bytes()
        os.remove(tmp_path / "whole.parquet")

        found, rows, _ = self.damaged(tmp_path, "a.parquet", content[:-20])

        assert (found, rows) == ([("UNREADABLE", "a.parquet")], [])

    def test_no_file_can_be_read(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"PAR1")

        with pytest.raises(InputError, match=r"a\.parquet"):
            read(tmp_path)
