"""Files of other formats, and compressed ones."""

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pytest

from tiffin.errors import DataError, InputError

CSV = b"a,b\n" + b"".join(b"%d,x\n" % (number * 7 % 31) for number in range(300))


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def written(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def tarred(buffer):
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))


def database(folder):
    with contextlib.closing(sqlite3.connect(folder / "x.db")) as connection:
        connection.execute("CREATE TABLE t (a)")
    return (folder / "x.db").read_bytes()


TABLE = pa.table({"a": [1, 2]})
LINES = b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'


class TestOtherFormats:
    @pytest.mark.parametrize(
        ("name", "content", "format_"),
        [
            ("d.jsonl", LINES, "JSON lines"),
            ("d.csv", LINES, "JSON lines"),
            ("d.ndjson", b'{"a": 1}', "JSON lines"),
            ("d.json", b'[{"a": 1}, {"a": 2}]', "JSON"),
            ("d.json", b'\xef\xbb\xbf {\n "a": [1, 2]\n}', "JSON"),
            ("d.json.gz", gzip.compress(b'[\n{"a": 1}]'), "JSON"),
            ("d.zip", zipped("a.csv"), "ZIP"),
            ("d.xlsx", zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel"),
            ("d.csv", zipped("[Content_Types].xml", "xl/workbook.xml"), "Excel"),
            ("d.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "Excel"),
            ("d.npz", written(lambda file: np.savez(file, x=[1])), "NumPy"),
            ("d.npy", written(lambda file: np.save(file, [1])), "NumPy"),
            ("d.feather", written(lambda file: pyarrow.feather.write_feather(TABLE, file)), "Arrow"),
            ("d.orc", written(lambda file: pyarrow.orc.write_table(TABLE, file)), "ORC"),
            ("d.avro", b"Obj\x01\x04\x14avro.codec", "Avro"),
            ("d.pkl", pickle.dumps([1, 2]), "pickle"),
            ("d.tar", written(tarred), "tar"),
            ("d.tar.gz", gzip.compress(written(tarred)), "tar"),
            ("d.csv.zst", b"\x28\xb5\x2f\xfd\x04\x00", "Zstandard.*zstd -d d.csv.zst"),
            ("d.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
            ("d.pdf", b"%PDF-1.4\n", "PDF"),
            ("d.csv", b"<!DOCTYPE html>\n<html><body>Sign in", "HTML"),
            ("d.csv", b"\n<html lang='en'>", "HTML"),
            ("d.xml", b"<?xml version='1.0'?>\n<rows/>", "XML"),
            ("d.arff", b"% about\n@RELATION iris\n@DATA\n1\n", "ARFF.*header=no"),
        ],
        # Compressed bytes hold the time.
        ids=lambda value: value if isinstance(value, str) else "content",
    )
    def test_are_named_with_what_to_do(self, ingested, name, content, format_):
        with pytest.raises(InputError, match=rf"{name}'.*CSV.*Parquet.*: .*{format_}.*\.$"):
            ingested(content, name)

        assert ingested.left() == []

    def test_sqlite(self, ingested, tmp_path):
        with pytest.raises(InputError, match=r"d\.db'.*SQLite"):
            ingested(database(tmp_path), "d.db")

    @pytest.mark.parametrize(
        "header",
        ["{a},b", "[x],b", "<5,b", "PK,b", "% a,b", "BZh9,b", "ORCID,b", "RDX,b", "%PDF,b", "FEA1,b", '"{""a"": 1}",b'],
    )
    def test_csv_that_resembles_them_is_read(self, ingested, header):
        assert ingested(f"{header}\n1,2\n").manifest.rows == 1


class TestCompression:
    @pytest.mark.parametrize(
        ("name", "compress"),
        [
            ("d.csv.gz", gzip.compress), ("D.CSV.GZ", gzip.compress), ("d.csv", gzip.compress), ("d.GZ", gzip.compress),
            ("d.csv.bz2", bz2.compress), ("d.csv", bz2.compress), ("d.csv.xz", lzma.compress), ("d.xz.gz", lzma.compress),
        ],
    )  # fmt: skip
    def test_is_recognised_by_the_content(self, ingested, name, compress):
        found = ingested(compress(CSV + b"1\n"), name)

        assert found.manifest.rows == 300
        assert [(row.line, row.source.rsplit("/", 1)[-1]) for row in found.rejected] == [(302, name)]

    @pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
    @pytest.mark.parametrize("share", [0.5, 0.99])
    def test_that_is_cut_off(self, ingested, compress, share):
        rows = b"".join(b"%d,%d\n" % (number * 7919 % 1_000_003, number) for number in range(5, 100_000))
        content = compress(b"a,b\n" + rows)
        with pytest.raises(InputError, match=r"d\.csv'.*gzip, bzip2"):
            ingested(content[: int(len(content) * share)], "d.csv")

        assert ingested.left() == []

    @pytest.mark.parametrize("content", [CSV, b"\x1f\x8bjunk", gzip.compress(CSV)[:60]], ids=["none", "all", "end"])
    def test_that_is_damaged(self, ingested, content):
        with pytest.raises(InputError, match=r"data\.csv\.gz'.*gzip"):
            ingested(content, "data.csv.gz")

    def test_of_nothing(self, ingested):
        with pytest.raises(InputError, match=r"d\.csv\.xz'.* file\."):
            ingested(lzma.compress(b""), "d.csv.xz")

    def test_of_a_header(self, ingested):
        with pytest.raises(DataError, match=r"d\.csv'"):
            ingested(gzip.compress(b"a,b\n"), "d.csv")
