"""Files of rows by their suffix, and rows from CSV and Parquet."""

import decimal
import gzip
import re
import subprocess
import sys

import duckdb
import pytest

from tiffin.errors import InputError
from tiffin.serving.row_files import open_rows


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_rows(str(path)) as source:
        return list(source.rows)


class TestCsv:
    def test_values_are_text(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('\ufeffa,b\n1,"x, y"\n,"two\nlines"\n')
        with open_rows(str(path)) as source:
            rows = list(source.rows)
            assert source.is_text
            assert source.position() == source.total

        assert [(row.number, row.line, row.values) for row in rows] == [
            (1, 2, {"a": "1", "b": "x, y"}),
            (2, 4, {"a": "", "b": "two\nlines"}),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_delimiters(self, tmp_path, delimiter):
        assert read(tmp_path, "a.csv", f"a{delimiter}b\n1{delimiter}2\n")[0].values == {"a": "1", "b": "2"}

    def test_bad_rows_are_skipped(self, tmp_path):
        huge = b'"' + b"x" * 200_000 + b'"'
        rows = read(tmp_path, "a.csv", b"a,b\n1\n1,2,3\n\n\xff,1\n" + huge + b",1\n1,2\n")

        patterns = [r" 2 fields.*Received: 1\.", r" 2 fields.*Received: 3\.", "UTF-8", r"CSV\. .*131072", "^$"]
        assert [
            row.error for row, pattern in zip(rows, patterns, strict=True) if not re.search(pattern, row.error)
        ] == []
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]

    @pytest.mark.parametrize("content", ["", "\n", "a,a\n", "a,,b\n"])
    def test_an_invalid_header(self, tmp_path, content):
        with pytest.raises(InputError, match=f"header.*'a.csv'.*'{content.strip()}'"):
            read(tmp_path, "a.csv", content)


class TestParquet:
    def test_rows(self, tmp_path):
        path = tmp_path / "a.parquet"
        duckdb.execute(
            f"COPY (SELECT * FROM (VALUES (1, 1.5::DECIMAL(4, 2), 'x'), (NULL, NULL, NULL)) t(a, b, c)) TO '{path}'"
        )
        with open_rows(str(path)) as source:
            assert source.total == 2
            rows = list(source.rows)
            assert source.position() == 2

        assert [row.values for row in rows] == [{"a": 1, "b": 1.5, "c": "x"}, {"a": None, "b": None, "c": None}]
        assert not isinstance(rows[0].values["b"], decimal.Decimal)

    def test_a_name_with_wildcards(self, tmp_path):
        for value, name in enumerate(["day[1].parquet", "day1.parquet"]):
            duckdb.execute(f"COPY (SELECT {value} a) TO '{tmp_path / name}'")
        with open_rows(str(tmp_path / "day[1].parquet")) as source:
            assert source.total == 1
            assert [row.values for row in source.rows] == [{"a": 0}]

    def test_below_a_folder_named_key_value(self, tmp_path):
        path = tmp_path / "lr=0.1" / "a.parquet"
        path.parent.mkdir()
        duckdb.execute(f"COPY (SELECT 1 a) TO '{path}'")
        with open_rows(str(path)) as source:
            assert [row.values for row in source.rows] == [{"a": 1}]

    @pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1"])
    def test_a_corrupt_file(self, tmp_path, content):
        with pytest.raises(InputError, match=r"'a\.parquet'.* Parquet") as raised:
            read(tmp_path, "a.parquet", content)

        assert "Error" not in str(raised.value)

    def test_a_file_with_corrupt_data(self, tmp_path):
        path = tmp_path / "a.parquet"
        duckdb.execute(f"COPY (SELECT hash(i)::VARCHAR AS a FROM range(200000) t(i)) TO '{path}'")
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 4000] = b"\xff" * 4000
        with pytest.raises(InputError, match=r"'a\.parquet'.* Parquet"):
            read(tmp_path, "a.parquet", bytes(content))

    def test_memory_is_constant(self, tmp_path):
        """The file has some hundred megabytes of values."""
        path = tmp_path / "a.parquet"
        duckdb.execute(f"COPY (SELECT i AS a, repeat('x', 400) AS b FROM range(600000) t(i)) TO '{path}'")
        script = (
            "import sys; from tiffin.serving.row_files import open_rows\n"
            "with open_rows(sys.argv[1]) as source: print(sum(1 for _ in source.rows))\n"
            "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        rows, kib = int(done.stdout.split()[0]), int(done.stdout.split()[2])

        assert rows == 600_000
        assert kib < 200 * 1024


class TestGzip:
    @pytest.mark.parametrize(
        ("name", "content", "values"),
        [
            ("a.csv.gz", "a\n1\n2\n", [{"a": "1"}, {"a": "2"}]),
            ("a.tsv.gz", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
            ("a.jsonl.gz", '{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
            ("a.ndjson.gz", "", []),
            ("a.json.gz", '[{"a": 1}]', [{"a": 1}]),
            ("day.1.CSV.GZ", "a\n1\n", [{"a": "1"}]),
        ],
    )
    def test_rows(self, tmp_path, name, content, values):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content.encode()))
        with open_rows(str(path)) as source:
            assert [row.values for row in source.rows] == values
            assert source.position() == source.total == path.stat().st_size

    @pytest.mark.parametrize("cut", [slice(0), slice(5), slice(30, None), slice(400), slice(-4)])
    @pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.json.gz"])
    def test_an_incomplete_file(self, tmp_path, name, cut):
        rows = [f'{{"a": "{hash((1, number))}"}}' for number in range(100)]
        whole = {"a.csv.gz": "a\n" + "\n".join(rows), "a.jsonl.gz": "\n".join(rows)}.get(name, f"[{','.join(rows)}]")
        with pytest.raises(InputError, match=rf"'{name}'.* gzip"):
            read(tmp_path, name, gzip.compress(whole.encode())[cut])


class TestOpening:
    def test_a_missing_file(self, tmp_path):
        (tmp_path / "rows.csv").write_text("a\n")
        with pytest.raises(InputError, match=r"/row\.csv'.*'rows\.csv'\?"), open_rows(str(tmp_path / "row.csv")):
            pass

    @pytest.mark.parametrize("name", ["a.xlsx", "a", "a.gz", "a.csv.xz", "a.parquet.gz"])
    def test_other_formats(self, tmp_path, name):
        with pytest.raises(InputError, match=rf" \.jsonl, .* \.parquet, .*/{name}'"):
            read(tmp_path, name, "a\n")

    def test_a_folder(self, tmp_path):
        (tmp_path / "a.csv").mkdir()
        (tmp_path / "a.csv" / "b.csv").write_text("a\n1\n")
        with pytest.raises(InputError, match=rf"'{tmp_path}/a\.csv'.* 1 "), open_rows(str(tmp_path / "a.csv")):
            pass
