"""Folders named key=value: which become columns, and which do not."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import gcs_emulator, s3_server
from tiffin.errors import InputError
from tiffin.stages.ingest.partitions import partition_values
from tiffin.stages.ingest.reading import Reading

MONTHS = ("01", "09", "10", "11")


def partitions(found):
    return [(note.column, note.count) for note in found.manifest.notes if note.code == "PARTITIONS"]


class TestColumns:
    def test_of_parquet_are_text(self, ingested):
        found = ingested({f"sales/month={month}/p.parquet": pa.table({"x": [int(month)]}) for month in MONTHS})

        assert found.rows == [{"x": int(month), "month": month} for month in MONTHS]
        assert partitions(found) == [("", 1)]

    def test_of_csv_and_parquet(self, ingested):
        found = ingested({"m=1/a.csv": "x\n5\n", "m=2/b.parquet": pa.table({"x": [6]})})

        assert found.rows == [{"x": 5, "m": "1"}, {"x": 6, "m": "2"}]

    def test_are_decoded_and_may_be_missing(self, ingested):
        found = ingested(
            {
                "day=2025-01-06%2000%3A00/where=it's/a.csv": "x\n1\n",
                "where=a%2Fb/day=__HIVE_DEFAULT_PARTITION__/a.csv": "x\n2\n",
                "day=/where=a=b/a.csv": "x\n3\n",
            }
        )

        assert sorted(found.rows, key=lambda row: row["x"]) == [
            {"x": 1, "day": "2025-01-06 00:00", "where": "it's"},
            {"x": 2, "day": None, "where": "a/b"},
            {"x": 3, "day": "", "where": "a=b"},
        ]

    def test_get_names_that_tensorflow_accepts(self, ingested):
        found = ingested({"rate %=1/a.csv": "rate $\n5\n"}, label="rate %")

        assert found.rows == [{"rate__": 5, "rate___2": "1"}]
        assert found.manifest.renamed == {"rate $": "rate__", "rate %": "rate___2"}

    @pytest.mark.parametrize("column", ["a", "A"])
    @pytest.mark.parametrize("table", [False, True])
    def test_do_not_replace_a_column_of_the_files(self, ingested, column, table):
        content = pa.table({column: [1], "b": [2]}) if table else f"{column},b\n1,2\n"
        found = ingested({"a=9/x.parquet" if table else "a=9/x.csv": content})

        assert found.rows == [{column: 1, "b": 2}]
        assert partitions(found) == [("a", None)]

    @pytest.mark.parametrize(
        "options", [{"key": "m"}, {"label": "m"}, {"exclude": ["m"]}, {"derive": {"n": "m || '!'"}}]
    )
    def test_may_be_named_in_parameters(self, ingested, options):
        found = ingested({"m=1/a.csv": "x\n5\n"}, **options)

        assert ("m" in found.types) is ("exclude" not in options)


class TestNoColumns:
    def test_if_not_asked_for(self, ingested):
        found = ingested({"m=1/a.csv": "x\n5\n", "m=2/a.csv": "x\n6\n"}, reading=Reading(partitions="none"))

        assert found.rows == [{"x": 5}, {"x": 6}]

    @pytest.mark.parametrize(
        "paths",
        [("m=1/a.csv", "a.csv"), ("m=1/a.csv", "n=1/a.csv"), ("m=1/a.csv", "m=1/n=2/a.csv"), ("m=1/m=2/a.csv",)],
    )
    def test_unless_every_file_has_the_same_keys(self, ingested, paths):
        found = ingested(dict.fromkeys(paths, "x\n5\n"))

        assert found.types == {"x": "INT"}
        assert partitions(found) == [("", 0)]

    def test_of_folders_above_what_the_user_gave(self, ingested):
        path = ingested.write("x\n1\n", "lr=0.1/k=2/data.csv")

        assert ingested(data=str(path)).types == {"x": "INT"}
        assert ingested(data=str(path.parent)).types == {"x": "INT"}
        assert ingested(data=str(path.parent.parent)).types == {"x": "INT", "k": "STRING"}

    def test_of_folders_without_a_key(self, ingested):
        assert ingested({"=1/a.csv": "x\n1\n"}).types == {"x": "INT"}

    def test_of_an_unknown_setting(self, ingested):
        with pytest.raises(InputError, match=r"auto.*none.*partitions='hive'"):
            ingested("x\n1\n", reading=Reading(partitions="hive"))


class TestGlobs:
    FILE = "/data/lr=0.1/k=2/x.csv"

    @pytest.mark.parametrize(
        ("data", "keys"),
        [
            ("/data", ["lr", "k"]),
            ("/data/", ["lr", "k"]),
            ("/data/*/*/x.csv", ["lr", "k"]),
            ("/data/lr=*/k=2/*.csv", ["lr", "k"]),
            ("/data/**", ["lr", "k"]),
            ("/data/lr=0.1/*/x.csv", ["k"]),
            ("/data/lr=0.1/k=2/*.csv", []),
            ("/data/lr=0.1/k=2/x.csv", []),
            ("file:///data", ["lr", "k"]),
        ],
    )
    def test_folders_that_a_wildcard_matches_count(self, data, keys):
        values, _ = partition_values(data, [self.FILE], [])

        assert list(values[self.FILE]) == keys

    def test_relative(self, ingested, monkeypatch):
        ingested.write("x\n1\n", "m=1/a.csv")
        monkeypatch.chdir(ingested.source.parent)

        assert ingested(data="in").rows == ingested(data="./in/*/*").rows == [{"x": 1, "m": "1"}]


class TestBuckets:
    def test_on_cloud_storage(self, ingested):
        with gcs_emulator.serve() as bucket:
            bucket.put("sales/month=01/a.csv", b"x\n1\n")
            bucket.put("sales/month=02/a.csv", b"x\n2\n")
            found = ingested(data=f"gs://{bucket.name}/sales")
            one = ingested(data=f"gs://{bucket.name}/sales/month=01/a.csv")

        assert found.rows == [{"x": 1, "month": "01"}, {"x": 2, "month": "02"}]
        assert one.rows == [{"x": 1}]

    def test_on_s3(self, ingested, tmp_path):
        pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
        with s3_server.serve() as store:
            for month in MONTHS:
                store.put(f"sales/month={month}/a.parquet", (tmp_path / "a.parquet").read_bytes())
            found = ingested(data=f"s3://{store.name}/sales/month=*/a.parquet")

        assert [row["month"] for row in found.rows] == list(MONTHS)


class TestSeveralLocations:
    def test_folders_below_each_location_count(self):
        data = "/a/trips\n/a/trips/old/*/t.csv"
        found, notes = partition_values(data, ["/a/trips/day=1/t.csv", "/a/trips/old/day=2/t.csv"], [])
        assert found == {"/a/trips/day=1/t.csv": {"day": "1"}, "/a/trips/old/day=2/t.csv": {"day": "2"}}
        assert [note.code for note in notes] == ["PARTITIONS"]

    def test_a_folder_in_a_location_is_none_of_its_columns(self):
        found, notes = partition_values("/a/day=1/t.csv\n/a/day=2/t.csv", ["/a/day=1/t.csv", "/a/day=2/t.csv"], [])
        assert (set(map(tuple, found.values())), notes) == ({()}, [])
