import datetime
import decimal
import io
import re
import subprocess
import sys

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.serving.rows import open_rows, select_inputs
from tiffin.serving.signatures import TensorSpec


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_rows(str(path)) as source:
        return list(source.rows)


class TestJsonLines:
    def test_empty(self, tmp_path):
        assert read(tmp_path, "a.jsonl", "") == []

    def test_blank_lines_are_not_rows(self, tmp_path):
        rows = read(tmp_path, "a.jsonl", '{"a": 1}\n\n {"a": null}')

        assert [(row.number, row.line, row.values) for row in rows] == [(1, 1, {"a": 1}), (2, 3, {"a": None})]

    @pytest.mark.parametrize(
        ("line", "names"),
        [
            (b"{", ["JSON", "'{'"]),
            (b"[1]", ["JSON object", "'[1]'"]),
            (b"\xff", ["JSON", "'utf-8'"]),
            (b"[" * 100_000, ["JSON", "'[[["]),
            (b"3" * 5000, ["JSON", "'333"]),
        ],
    )
    def test_a_bad_line_is_skipped(self, tmp_path, line, names):
        bad, good = read(tmp_path, "a.jsonl", line + b'\n{"a": 1}\n')

        assert bad.values is None
        assert [name for name in names if name not in bad.error] == []
        assert len(bad.error) < 300
        assert good.values == {"a": 1}

    def test_standard_input(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n')))
        with open_rows("-") as source:
            assert [row.values for row in source.rows] == [{"a": 1}]
            assert source.total is None

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes(self, tmp_path, content):
        rows = read(tmp_path, "a.jsonl", content)

        assert [row.number for row in rows] == list(range(1, len(rows) + 1))
        assert all((row.values is None) == bool(row.error) for row in rows)


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
            "import sys; from tiffin.serving.rows import open_rows\n"
            "with open_rows(sys.argv[1]) as source: print(sum(1 for _ in source.rows))\n"
            "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
        )
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        rows, kib = int(done.stdout.split()[0]), int(done.stdout.split()[2])

        assert rows == 600_000
        assert kib < 200 * 1024


class TestOpening:
    def test_a_missing_file(self, tmp_path):
        (tmp_path / "rows.csv").write_text("a\n")
        with pytest.raises(InputError, match=r"/row\.csv'.*'rows\.csv'\?"), open_rows(str(tmp_path / "row.csv")):
            pass

    @pytest.mark.parametrize("name", ["a.xlsx", "a", "a.csv.gz"])
    def test_other_formats(self, tmp_path, name):
        with pytest.raises(InputError, match=rf" \.jsonl, .* \.parquet, .*/{name}'"):
            read(tmp_path, name, "a\n")

    def test_a_folder(self, tmp_path):
        (tmp_path / "a.csv").mkdir()
        (tmp_path / "a.csv" / "b.csv").write_text("a\n1\n")
        with pytest.raises(InputError, match=rf"'{tmp_path}/a\.csv'.* 1 "), open_rows(str(tmp_path / "a.csv")):
            pass


INPUTS = {
    "miles": TensorSpec("float32", (None, 1)),
    "riders": TensorSpec("int64", (None, 1)),
    "company": TensorSpec("string", (None, 1)),
    "card": TensorSpec("bool", (None, 1)),
}


class TestSelectInputs:
    def test_other_columns_are_ignored_and_absent_ones_missing(self):
        assert select_inputs({"miles": 1, "label": 0}, INPUTS, False) == {
            "miles": 1,
            "riders": None,
            "company": None,
            "card": None,
        }

    def test_text_is_parsed(self):
        row = {"miles": " 1.5", "riders": "2", "company": "3", "card": "TRUE"}

        assert select_inputs(row, INPUTS, True) == {"miles": 1.5, "riders": 2, "company": "3", "card": True}

    def test_empty_text_is_missing(self):
        assert set(select_inputs(dict.fromkeys(INPUTS, ""), INPUTS, True).values()) == {None}

    @pytest.mark.parametrize(("text", "number"), [("3.0", 3), ("-4", -4), ("1e3", 1000), ("nan", None)])
    def test_integers(self, text, number):
        assert select_inputs({"riders": text}, INPUTS, True)["riders"] == number

    @pytest.mark.parametrize(
        ("name", "text"),
        [("miles", "far"), ("riders", "1.5"), ("riders", "inf"), ("riders", "²"), ("card", "maybe")],
    )
    def test_text_of_another_type(self, name, text):
        with pytest.raises(InputError, match=f"'{name}'.* {INPUTS[name].dtype}.*Received: '{text}'"):
            select_inputs({name: text}, INPUTS, True)

    def test_none_of_the_inputs(self):
        with pytest.raises(InputError, match=r"Received: mile, label.*'miles'\?"):
            select_inputs({"mile": 1, "label": 2}, INPUTS, False)

    def test_values_other_than_text_are_unchanged(self):
        today = datetime.date(2020, 1, 1)

        assert select_inputs({"company": today}, INPUTS, False)["company"] == today
