"""The shards of examples, in the artifact and in a data root."""

import contextlib
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import s3_server
from support.documents import make_manifest
from support.written import table, write_examples
from tiffin.artifacts import examples
from tiffin.artifacts.shards import open_shards, read_batches
from tiffin.errors import InputError, StorageError

RUNS_IN = ("data", "model")


def test_shards_are_opened_in_order(tmp_path):
    folder = write_examples(tmp_path, {"train": [table(x=[1, 2]), table(x=[3])], "eval": table(x=[4])})
    found = {uri: shard.read().to_pylist() for uri, shard in open_shards(folder, "train")}

    assert found == {
        f"{folder}/data/train-00000.parquet": [{"x": 1}, {"x": 2}],
        f"{folder}/data/train-00001.parquet": [{"x": 3}],
    }


def test_an_unknown_split(tmp_path):
    with pytest.raises(InputError, match=r"eval\b.*split='test'"):
        list(open_shards(write_examples(tmp_path, {"eval": table(x=[1])}), "test"))


def test_a_data_root_on_s3(tmp_path):
    split = examples.Split(3, (examples.shard_name("train"),))
    path = tmp_path / "shards" / examples.shard_name("train")
    path.parent.mkdir(parents=True)
    pq.write_table(table(x=[1, 2, 3]), path)
    with s3_server.serve() as store:
        root = f"s3://{store.name}/root"
        examples.write_examples(tmp_path, make_manifest(splits={"train": split}), [], (), tmp_path / "shards", root)
        [(uri, shard)] = [(uri, shard.read()) for uri, shard in open_shards(tmp_path, "train")]

    assert (uri, shard.num_rows) == (f"{root}/d1/data/train-00000.parquet", 3)


class Payload:
    """What a crafted file may hold: unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_a_crafted_shard_does_not_run(tmp_path):
    """CVE-2023-47248: pyarrow before 14.0.1 unpickles the metadata of this extension type."""
    trace = tmp_path / "trace"
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Payload(trace), protocol=0),
    }
    crafted = pa.table([pa.array([1])], schema=pa.schema([pa.field("x", pa.int64(), metadata=metadata)]))
    folder = write_examples(tmp_path, {"train": [table(x=[1])]})
    pq.write_table(crafted, folder / "data" / "train-00000.parquet")

    # pyarrow_hotfix refuses the file; a newer pyarrow reads the column without its extension type.
    with contextlib.suppress(RuntimeError):
        for _, shard in open_shards(folder, "train"):
            shard.read()
    assert not trace.exists()


class TestReadBatches:
    """Columns in batches, and shards that cannot be read."""

    def read(self, folder, columns=("x",), rows=2):
        return [(uri, batch.to_pylist()) for uri, batch in read_batches(folder, "train", columns, rows)]

    def test_no_rows(self, tmp_path):
        assert self.read(write_examples(tmp_path, {"train": table(x=[1]).slice(0, 0)})) == []

    def test_batches_are_in_order_and_have_the_columns_once(self, tmp_path):
        shards = [table(x=[1, 2, 3], y=[4, 5, 6]), table(x=[7], y=[8])]
        folder = write_examples(tmp_path, {"train": shards})
        one, two = (f"{folder}/data/train-0000{number}.parquet" for number in (0, 1))

        assert self.read(folder, ("x", "x")) == [(one, [{"x": 1}, {"x": 2}]), (one, [{"x": 3}]), (two, [{"x": 7}])]

    @pytest.mark.parametrize(
        ("rows", "sizes"),
        [(1, [1] * 9), (2, [2, 2, 1, 2, 2]), (3, [2, 3, 3, 1]), (4, [2, 3, 4]), (5, [5, 4]), (99, [9])],
    )
    def test_small_row_groups_are_joined(self, tmp_path, rows, sizes):
        folder = write_examples(tmp_path, {"train": [table(x=[0])]})
        shard = folder / "data" / "train-00000.parquet"
        whole = table(x=list(range(9)), y=["a", None, "c"] * 3)
        with pq.ParquetWriter(shard, whole.schema) as writer:
            for start, size in ((0, 2), (2, 3), (5, 3), (8, 1)):
                writer.write_table(whole.slice(start, size))
        batches = [batch for _, batch in read_batches(folder, "train", ("x", "y"), rows)]

        assert pa.Table.from_batches(batches).equals(whole)
        assert [len(batch) for batch in batches] == sizes

    def test_a_column_that_a_shard_lacks(self, tmp_path):
        folder = write_examples(tmp_path, {"train": [table(x=[1], y=[2]), table(y=[1])]})
        with pytest.raises(InputError, match=r": x\. .*train-00001.parquet' with y\."):
            self.read(folder)

    def test_a_column_of_another_type(self, tmp_path):
        folder = write_examples(tmp_path, {"train": [table(x=[1]), table(x=["a"])]})
        with pytest.raises(InputError, match=r"'x' .*string .*train-00001.parquet', int64 .*train-00000.parquet'"):
            self.read(folder)

    def test_a_missing_shard(self, tmp_path):
        folder = write_examples(tmp_path, {"train": [table(x=[1]), table(x=[2])]})
        (folder / "data" / "train-00001.parquet").unlink()
        with pytest.raises(StorageError, match=r"'.*train-00001.parquet'"):
            self.read(folder)

    @pytest.mark.parametrize("damage", ["empty", "text", "cut", "header", "footer", "folder"])
    def test_a_damaged_shard(self, tmp_path, damage):
        folder = write_examples(tmp_path, {"train": [table(x=[1]), table(x=list(range(1000)))]})
        shard = folder / "data" / "train-00001.parquet"
        whole = shard.read_bytes()
        if damage == "folder":
            shard.unlink()
            shard.mkdir()
        else:
            cuts = {"empty": b"", "text": b"x,y\n1,2\n" * 20, "cut": whole[:-20], "header": whole[len(whole) // 2 :]}
            footer = int.from_bytes(whole[-8:-4], "little")
            shard.write_bytes(cuts.get(damage, whole[: -footer - 8] + bytes(footer) + whole[-8:]))
        with pytest.raises(StorageError, match=r"'.*train-00001.parquet'"):
            self.read(folder)

    def test_a_page_that_is_damaged(self, tmp_path):
        """The error comes while rows are read, after the file was opened."""
        folder = write_examples(tmp_path, {"train": [table(x=[str(number) for number in range(50_000)])]})
        shard = folder / "data" / "train-00000.parquet"
        content = bytearray(shard.read_bytes())
        content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
        shard.write_bytes(content)
        with pytest.raises(StorageError, match=r"'.*train-00000.parquet'"):
            self.read(folder, rows=100)
