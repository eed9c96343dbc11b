"""The examples artifact: contents, data version, location of the shards, and atomic writes."""

import contextlib
import errno
import os
import re
import subprocess
import sys

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from support import gcs_emulator, s3_server
from support.ingesting import Ingest
from support.small_disks import needs_small_disks, small_disk
from tiffin import storage
from tiffin.artifacts.documents import to_json
from tiffin.artifacts.examples import read_manifest, read_sample_rows, shard_name, shard_uris
from tiffin.errors import EXPLAINED, InputError
from tiffin.recipe.patterns import PROGRAM_WORDS
from tiffin.stages.ingest.examples import ingest
from tiffin.stages.ingest.reading import Reading

# The first two rows are swapped: a column that counts the rows is left out.
TRIPS = "id,miles,company\n" + "".join(f"{number},{number / 8},c{number % 3}\n" for number in (1, 0, *range(2, 60)))


# How plain values are written.
PLAIN = {"decimal": ".", "thousands": "", "formats": [], "missing": []}


def lines(content):
    header, *rows = content.splitlines()
    return header, rows


class TestManifest:
    def test_of_one_row(self, ingested):
        found = ingested("a,b\n1,x\n")

        assert found.manifest == read_manifest(ingested.output)
        assert to_json(found.manifest) == {
            "format": 2,
            "version": found.manifest.version,
            "sources": [
                {
                    "uri": str(ingested.source / "data.csv"),
                    "size_bytes": 8,
                    # sha256sum of the file
                    "digest": "eccc6303d8ede5e5ec22d288b8350193f9eb907c93f49c78d5b1ff0af7ecd450",
                }
            ],
            "columns": [{"name": "a", "type": "INT"}, {"name": "b", "type": "STRING"}],
            "renamed": {},
            "derive": {},
            "exclude": [],
            "key": "",
            "set_aside": {"rows": 0, "listed": None},
            "recipe": {
                "source": [
                    {"name": "a", "column": "a", "type": "BIGINT", **PLAIN},
                    {"name": "b", "column": "b", "type": "VARCHAR", **PLAIN, "missing": list(PROGRAM_WORDS)},
                ],
                "derive": [],
                "missing_values": [],
                "delimiter": "",
                "header": "auto",
                "column_names": [],
                "partitions": "auto",
            },
            "notes": [],
            "splits": {"train": {"rows": 1, "shards": [shard_name("train")]}},
            "rows": 1,
        }

    def test_the_order_of_derived_columns_does_not_count(self, ingested):
        """KFP passes objects without their order."""
        derive = {"double": "2 * a", "more": "a + 1"}
        one = ingested("a\n1\n2\n", derive=derive).manifest
        other = ingested("a\n1\n2\n", derive=dict(reversed(derive.items()))).manifest
        assert (one.version, one.columns) == (other.version, other.columns)

    def test_says_how_the_columns_are_read(self, ingested):
        rows = "Preis €;am;Land;ja\n" + "1.000,50;31.01.2024 10:00;NA;true\n2,5;01.02.2024;DE;false\n" * 20
        derive = {"double": '2 * "Preis €"', "both": "double || Land"}
        recipe = ingested(rows, derive=derive, reading=Reading(missing_values=("-999",))).manifest.recipe

        assert [(c.name, c.column, c.type, c.decimal, c.thousands, c.formats) for c in recipe.source] == [
            ("Preis €", "Preis__", "DOUBLE", ",", ".", ()),
            ("am", "am", "TIMESTAMP", ".", "", ("%d.%m.%Y",)),
            ("Land", "Land", "VARCHAR", ".", "", ()),
            ("ja", "ja", "BOOLEAN", ".", "", ()),
        ]
        assert [(c.name, c.expression, c.uses) for c in recipe.derive] == [
            ("double", '2 * "Preis__"', ("Preis__",)), ("both", "double || Land", ("Land", "double")),
        ]  # fmt: skip
        assert recipe.missing_values == ("-999",)

    def test_sample_rows_are_inputs_of_a_model(self, ingested):
        ingested("day,at\n2024-01-31,2024-01-31 10:00:01.5\n,\n")

        assert read_sample_rows(ingested.output) == [
            {"day": "2024-01-31", "at": "2024-01-31T10:00:01"}, {"day": None, "at": None},
        ]  # fmt: skip

    def test_no_other_files_are_left(self, ingested):
        ingested(TRIPS + "1\n", max_bad_share=0.1, splits={"train": 2, "eval": 1})

        # A folder with two shards, the manifest, sample rows and rejected rows.
        assert [name for name in ingested.left() if name.startswith(".")] == []
        assert len(ingested.left()) == 6

    def test_counts_the_rows_of_each_split(self, ingested):
        found = ingested(TRIPS, splits={"train": 2, "eval": 1})

        assert {name: split.rows for name, split in found.manifest.splits.items()} == {
            name: len(rows) for name, rows in found.splits.items()
        }
        assert sum(len(rows) for rows in found.splits.values()) == found.manifest.rows == 60

    def test_lists_a_split_without_rows(self, ingested):
        found = ingested("a\n1\n", splits={"train": 1e9, "eval": 1e-9})

        assert (found.manifest.splits["eval"].rows, found.splits["eval"]) == (0, [])

    def test_samples_twenty_rows_with_the_eval_split_first(self, ingested):
        found = ingested(TRIPS, splits={"train": 2, "eval": 1})
        sampled = read_sample_rows(ingested.output)

        assert len(sampled) == 20
        assert sampled[:19] == found.splits["eval"]

    @pytest.mark.parametrize("name", ["fair", "FARE"])
    def test_refuses_to_drop_an_unknown_column(self, ingested, name):
        with pytest.raises(InputError, match=rf"exclude.*'{name}'.*: fare, n\."):
            ingested("fare\n1\n", exclude=[name], derive={"n": "1"})

    @pytest.mark.parametrize("name", [1.0, None, ["fare"], {"fare": 1}])
    def test_refuses_to_drop_a_column_not_given_as_a_string(self, ingested, name):
        with pytest.raises(InputError, match=rf"exclude.*{re.escape(repr(name))}"):
            ingested("fare,n\n1,2\n", exclude=[name])

    def test_refuses_to_drop_every_column(self, ingested):
        with pytest.raises(InputError, match=r"exclude=\['a', 'b'\]"):
            ingested("a,b\n1,2\n", exclude=["a", "b"])


class TestDataVersion:
    def test_is_independent_of_row_order_and_file_format(self, ingested):
        header, rows = lines(TRIPS)
        version = ingested(TRIPS).manifest.version

        assert ingested("\n".join([header, *reversed(rows)])).manifest.version == version
        assert ingested(TRIPS.replace(",", ";")).manifest.version == version
        assert ingested(TRIPS.replace("\n", "\r\n")).manifest.version == version
        ingested.write(TRIPS)
        table = pyarrow.csv.read_csv(ingested.source / "data.csv")
        assert ingested(table, "data.parquet").manifest.version == version

    def test_is_independent_of_the_number_of_files(self, ingested):
        header, rows = lines(TRIPS)
        version = ingested(TRIPS).manifest.version
        (ingested.source / "data.csv").unlink()

        parts = {f"{part}.csv": "\n".join([header, *rows[part::3]]) for part in range(3)}
        assert ingested(parts).manifest.version == version

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("59,7.375,c2", "59,7.376,c2"),
            ("59,7.375,c2", "58,7.375,c2"),
            ("59,7.375,c2", "59,,c2"),
            ("59,7.375,c2", "59,7.375,"),
            ("59,7.375,c2\n", ""),
            ("59,7.375,c2\n", "59,7.375,c2\n" * 2),
            ("miles", "kilometres"),
            ("id,miles", "miles,id"),
            ("\n0,0.0,", "\n0,0.5,"),
        ],
    )
    def test_changes_with_the_data(self, ingested, old, new):
        before = ingested(TRIPS).manifest.version

        assert ingested(TRIPS.replace(old, new)).manifest.version != before

    def test_changes_with_the_options(self, ingested):
        versions = [
            ingested(TRIPS, **options).manifest.version
            for options in (
                {}, {"derive": {"n": "1"}}, {"derive": {"n": "2"}}, {"exclude": ["id"]}, {"splits": {"train": 1, "eval": 1}},
                {"splits": {"train": 1, "eval": 1}, "key": "company"},
            )
        ]  # fmt: skip

        assert len(set(versions)) == len(versions)

    def test_two_runs_write_the_same_bytes(self, tmp_path):
        written = []
        for folder in ("one", "two"):
            run = Ingest(tmp_path / folder)
            # The manifest holds the URI of the source, so both runs read the same one.
            run(data="sample:deliveries?rows=600", splits={"train": 2, "eval": 1})
            written.append(
                {name: (run.output / name).read_bytes() for name in run.left() if (run.output / name).is_file()}
            )

        assert written[0] == written[1]


class TestRetry:
    def test_in_the_same_folder_replaces_the_artifact(self, ingested):
        ingested(TRIPS + "1\n", max_bad_share=0.1, splits={"train": 2, "eval": 1})
        found = ingested("id,miles,company\n1,2.5,x\n")

        assert found.rows == [{"id": 1, "miles": 2.5, "company": "x"}]
        assert [name for name in ingested.left() if "shard" in name or "eval" in name] == []


class TestDataRoot:
    def test_stores_the_shards_once_per_version(self, ingested, tmp_path):
        root = tmp_path / "root"
        found = ingested(TRIPS, data_root=str(root))
        shard = root / found.manifest.version / shard_name("train")
        written = shard.stat().st_mtime_ns
        header, rows = lines(TRIPS)
        again = ingested("\n".join([header, *reversed(rows)]), data_root=str(root))

        assert found.manifest.splits["train"].shards == (str(shard),) == again.manifest.splits["train"].shards
        assert shard.stat().st_mtime_ns == written
        assert len(again.rows) == 60
        assert sorted(name for name in ingested.left() if "parquet" in name) == []

    def test_stores_versions_separately(self, ingested, tmp_path):
        for content in (TRIPS, TRIPS + "60,1,c\n"):
            ingested(content, data_root=str(tmp_path / "root"))

        assert len(list((tmp_path / "root").glob("d*"))) == 2

    def test_may_be_relative(self, ingested, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        found = ingested(TRIPS, data_root="root")
        monkeypatch.chdir("/")

        assert shard_uris(ingested.output, "train") == [
            str(tmp_path / "root" / found.manifest.version / shard_name("train"))
        ]

    def test_in_a_bucket(self, ingested, tmp_path):
        ingested.write(TRIPS)
        with gcs_emulator.serve() as bucket:
            manifest = ingest(
                str(ingested.source), ingested.output, splits={"train": 1}, data_root=f"gs://{bucket.name}/root"
            )
            name = f"root/{manifest.version}/{shard_name('train')}"
            (tmp_path / "copy.parquet").write_bytes(bucket.objects[name].content)

        assert shard_uris(ingested.output, "train") == [f"gs://bucket/{name}"]
        assert pq.read_table(tmp_path / "copy.parquet").num_rows == 60
        assert [name for name in ingested.left() if "parquet" in name] == []

    def test_in_a_bucket_on_s3(self, ingested):
        ingested.write(TRIPS)
        with s3_server.serve() as store:
            for _ in range(2):  # The second time, the shards exist.
                ingest(str(ingested.source), ingested.output, splits={"train": 1}, data_root=f"s3://{store.name}/root")
            [uri] = shard_uris(ingested.output, "train")
            with storage.local_copy(uri) as path:
                assert pq.read_table(path).num_rows == 60


STEP = """
import resource, sys
from tiffin.errors import reported
with reported():
    from tiffin.stages.ingest.examples import ingest
    limit = int(sys.argv[3])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ingest(sys.argv[1], sys.argv[2])
"""
ROWS = 60_000


def run_step(data, output, limit=0):
    """Ingest in a separate process, with a file size limit of `limit` bytes; 0 for none."""
    arguments = [sys.executable, "-c", STEP, str(data), str(output), str(limit)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


# The copy of the source takes 2 MB, the shards 1 MB.
LIMITS = [f"files of {size} kB" for size in (4, 64, 256, 512)]
DISKS = [f"disk of {size} kB" for size in (16, 300, 700, 1400, 2200)]


class TestFullDisk:
    @pytest.fixture
    def data(self, ingested):
        rows = "".join(f"{n + 5},{n * 7919 % 1_000_003},text {n * 104_729 % 999_983}\n" for n in range(ROWS))
        return ingested.write(f"a,b,c\n{rows}")

    @pytest.mark.parametrize("room", [*LIMITS, *(pytest.param(disk, marks=needs_small_disks) for disk in DISKS)])
    def test_is_a_one_line_error_and_leaves_no_files(self, data, tmp_path, room):
        output, size = tmp_path / "out", int(room.split()[2])
        with contextlib.ExitStack() as stack:
            if room in DISKS:
                stack.enter_context(small_disk(output, size))
            ended = run_step(data, output, 0 if room in DISKS else size * 1024)
            left = list(output.rglob("*"))

        assert (ended.returncode, len(ended.stderr.splitlines()), left) == (EXPLAINED, 1, []), ended.stderr
        assert f"'{output}" in ended.stderr
        assert os.strerror(errno.ENOSPC if room in DISKS else errno.EFBIG) in ended.stderr

    def test_does_not_occur_with_enough_space(self, data, tmp_path):
        ended = run_step(data, tmp_path / "out", 1 << 30)

        assert (ended.returncode, ended.stderr) == (0, "")
        assert read_manifest(tmp_path / "out").rows == ROWS


# Prints the peak of the memory, in kB.
PEAK = """
import sys
from tiffin.stages.ingest import examples
examples.ingest(sys.argv[1], sys.argv[2])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Memory is measured in kB on Linux.")
def test_memory_does_not_grow_with_rows(tmp_path):
    peaks = []
    for rows in (800_000, 2_400_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("a,b,c\n")
            for start in range(0, rows, 1000):
                file.writelines(
                    f"{n * 7919 % 1_000_003},{n % 97 / 8},word{n % 31}\n" for n in range(start, start + 1000)
                )
        peaks.append(peak_of_ingest(path, tmp_path / f"out{rows}", TIFFIN_INGEST_MEMORY="100MB"))

    assert peaks[1] - peaks[0] < 50_000


@pytest.mark.skipif(sys.platform != "linux", reason="Memory is measured in kB on Linux.")
def test_memory_does_not_grow_with_columns_of_the_same_cells(tmp_path):
    peaks = []
    for columns, rows in ((100, 600), (600, 100)):
        path = tmp_path / f"{columns}.csv"
        lines = [",".join(f"word{row * 7919 % 89}" for _ in range(columns)) for row in range(rows)]
        path.write_text("\n".join([",".join(f"c{column}" for column in range(columns)), *lines]))
        peaks.append(peak_of_ingest(path, tmp_path / f"out{columns}"))

    assert peaks[1] - peaks[0] < 250_000


def peak_of_ingest(data, output, **environment):
    command = [sys.executable, "-c", PEAK, data, output]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment)
    return int(done.stdout)


class TestSeveralLocations:
    def test_an_empty_line_is_none(self, tmp_path):
        with pytest.raises(InputError, match="data"):
            ingest("\n", tmp_path / "out")

    def test_files_of_each_line_are_read_once(self, tmp_path):
        for name, rows in (("a", "1,x"), ("b", "2,y\n3,z")):
            (tmp_path / f"{name}.csv").write_text(f"km,city\n{rows}\n")
        data = f"{tmp_path}/a.csv\n\n{tmp_path}/b.csv\n{tmp_path}/*.csv"
        manifest = ingest(data, tmp_path / "out")
        assert manifest.rows == 3
        assert [source.uri for source in manifest.sources] == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]

    def test_generated_data_beside_a_file(self, tmp_path):
        first = ingest("sample:deliveries?rows=50&seed=1", tmp_path / "one")
        both = ingest("sample:deliveries?rows=50&seed=1\nsample:deliveries?rows=50&seed=2", tmp_path / "two")
        assert both.rows > first.rows
        assert [source.uri for source in both.sources] == [
            "sample:deliveries?rows=50&seed=1", "sample:deliveries?rows=50&seed=2",
        ]  # fmt: skip
