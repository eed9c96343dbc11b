"""Encodings and line ends of CSV files."""

import gzip
import resource
import sys

import pytest

from tiffin.errors import DataError, InputError
from tiffin.stages.ingest import encodings
from tiffin.stages.ingest.encodings import readable_csv

PLAIN = "a,b\n" + "".join(f"{number * 7 % 101},strasse {number % 3}\n" for number in range(60_000))
ACCENTS = PLAIN.replace("strasse", "Straße à")


def notes(found):
    return [(note.code, note.count, note.example) for note in found.manifest.notes]


class TestUnicode:
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
    def test_with_a_byte_order_mark(self, ingested, encoding):
        found = ingested(ACCENTS.encode(encoding))

        assert found.manifest.version == ingested(ACCENTS).manifest.version
        assert notes(found) == ([] if encoding == "utf-8-sig" else [("ENCODING", None, encoding.upper())])

    def test_big_endian_and_compressed(self, ingested):
        found = ingested(gzip.compress(b"\xfe\xff" + "a,b\n1,é日\n".encode("utf-16-be")), "data.csv.gz")

        assert found.rows == [{"a": 1, "b": "é日"}]

    def test_that_is_cut_off(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv'.*UTF-16"):
            ingested(ACCENTS.encode("utf-16")[:-1])

    @pytest.mark.parametrize("name", ["UTF-16LE", "UTF-16BE"])
    def test_without_a_byte_order_mark(self, ingested, name):
        with pytest.raises(InputError, match=rf"data\.csv'.*{name}.*iconv -f {name} -t UTF-8 data\.csv"):
            ingested(PLAIN.encode(name))

    def test_characters_at_the_end_of_a_block(self, ingested, monkeypatch):
        monkeypatch.setattr(encodings, "_BLOCK", 7)

        assert ingested("a,b\n1,日本日本日本\r\n2,é\n").rows == [{"a": 1, "b": "日本日本日本"}, {"a": 2, "b": "é"}]


class TestWestern:
    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
    def test_is_read_and_told(self, ingested, encoding):
        found = ingested(ACCENTS.encode(encoding))

        assert found.manifest.version == ingested(ACCENTS).manifest.version
        assert notes(found) == [("ENCODING", 120_000, "line 2: Straße")]

    def test_of_one_letter_late_in_the_file(self, ingested):
        found = ingested(PLAIN.encode() + b"5,caf\xe9\n")

        assert found.rows[-1] == {"a": 5, "b": "café"}
        assert notes(found) == [("ENCODING", 1, "line 60002: café")]

    @pytest.mark.parametrize(
        "text",
        [
            "größe,é\n1,2\n",
            "a,b\n1,€5 \u2013 “x”\n2,it\u2019s\n",
            "a,b\n1,5°C\n2,¿qué?\n",
            "a,b\n1,L·L\n2,ÉÈ\n3,naïve\n",
        ],
    )
    def test_of_words_and_signs(self, ingested, text):
        assert ingested(text.encode("cp1252")).manifest.version == ingested(text).manifest.version

    def test_in_a_row_among_utf8_skips_the_row(self, ingested):
        found = ingested(("a,b\n" + "1,é\n" * 300).encode() + b"7,stra\xdfe\n")

        assert [(row.line, row.column, row.reason) for row in found.rejected] == [(302, "b", "not UTF-8")]

    def test_a_character_cut_off_at_the_end_skips_the_row(self, ingested):
        found = ingested(("a,b\n" + "1,e\n" * 300 + "2,é").encode()[:-1])

        assert [row.line for row in found.rejected] == [302]


class TestOthers:
    @pytest.mark.parametrize(
        ("encoding", "name", "words"),
        [
            ("cp1251", "WINDOWS-1251", "Москва,Санкт-Петербург,Нижний Новгород"),
            ("koi8-r", "KOI8-R", "Москва,Санкт-Петербург,Нижний Новгород"),
            ("iso8859-7", "ISO-8859-7", "Αθήνα,Θεσσαλονίκη,Πάτρα"),
            ("iso8859-2", "ISO-8859-2", "łódź żółw,książka gęś,świnia"),
            ("cp1250", "WINDOWS-1250", "łódź żółw,książka gęś,świnia"),
            ("shift_jis", "SHIFT_JIS", "東京,おおさか,横浜"),
            ("gbk", "GB18030", "北京市,上海,广州"),
            ("euc-kr", "EUC-KR", "서울,부산,인천"),
        ],
    )
    def test_are_refused_with_the_name_and_the_command(self, ingested, encoding, name, words):
        content = "a\n" + "".join(f"{word}\n" for word in words.split(","))
        with pytest.raises(InputError, match=rf"data\.csv'.* 2, .*{name}\. .*iconv -f {name} -t UTF-8 data\.csv"):
            ingested(content.encode(encoding))

    def test_bytes_that_are_no_text(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv'.*UTF-8.* 1.*iconv"):
            ingested(bytes(range(128, 256)) * 9)

    def test_a_nul_byte(self, ingested):
        with pytest.raises(InputError, match=r"data\.csv'.*NUL.* 3\..*tr "):
            ingested("a,b\n1,2\n3,\0\n")


class TestLineEnds:
    @pytest.mark.parametrize(
        ("content", "counts"),
        [
            ("a,b\n1,x\n2,y\r\n3,z\n", "3 LF, 1 CRLF"),
            ("a,b\r\n1,x\r\n2,y\n3,z\n", "2 LF, 2 CRLF"),
            ("a,b\n1,x\r2,y\n3,z\n", "3 LF, 1 CR"),
            ("a,b\r\r\n1,x\r\r\n2,y\r\r\n3,z", "3 CRLF, 3 CR"),
            ("a,b\r1,x\r\n2,y\n3,z", "1 LF, 1 CRLF, 1 CR"),
        ],
    )
    def test_of_several_kinds_are_read_and_told(self, ingested, content, counts):
        found = ingested(content)

        assert found.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]
        assert [(code, example) for code, _, example in notes(found)] == [("LINE_ENDS", counts)]

    @pytest.mark.parametrize("block", [1, 2, 3, 1 << 20])
    def test_inside_quotes_are_kept(self, ingested, monkeypatch, block):
        monkeypatch.setattr(encodings, "_BLOCK", block)
        found = ingested('a,b\n1,"x\r\ny"\r\n2,"p ""q""\rr"\n3,"\n"\r\n')

        assert [row["b"] for row in found.rows] == ["x\r\ny", 'p "q"\rr', "\n"]

    @pytest.mark.parametrize("content", ['a,b\r\n1,"x\ny"\r\n2,z\r\n', 'a,b\n1,"x\r\ny"\n2,z\n', "a,b\r1,x\r2,z\r"])
    def test_of_one_kind_are_not_told(self, ingested, content):
        found = ingested(content)

        assert (found.manifest.rows, notes(found)) == (2, [])

    def test_of_carriage_returns_only_count_lines(self, ingested):
        found = ingested("a,b\r" + "1,x\r" * 300 + "2\r")

        assert [row.line for row in found.rejected] == [302]


class TestRows:
    """Errors of rows that DuckDB cannot read, without its words."""

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("1", "few"),
            ("1,2,3", "many"),
            ('1,"x"y', "quote"),
            (f'1,"{"x" * 2_100_000}"', "2 MB"),
        ],
    )
    def test_are_in_own_words(self, ingested, row, reason):
        with pytest.raises(DataError, match=rf"data\.csv:302: .*{reason}") as raised:
            ingested("a,b\n" + "1,w\n" * 300 + row + "\n3,w\n", max_bad_share=0)

        for word in ("DuckDB", "Error", "BIGINT", "Expected Number", "null_padding", "strict_mode", "buffer"):
            assert word not in str(raised.value)


@pytest.mark.skipif(sys.platform != "linux", reason="Memory is measured in kB on Linux.")
def test_memory_does_not_grow_with_the_file(tmp_path):
    path, scratch = tmp_path / "data.csv", tmp_path / "scratch"
    scratch.mkdir()
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b'5,caf\xe9 "x"\r\n6,y\n' * 60_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, told = readable_csv(path, "data.csv", scratch)

    assert read.stat().st_size > path.stat().st_size * 0.9 > 30e6
    assert [note.code for note in told] == ["ENCODING", "LINE_ENDS"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
