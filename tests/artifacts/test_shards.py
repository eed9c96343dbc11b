"""The shards of examples, inside the artifact and outside it."""

import pytest

from support.written import table, write_examples
from tiffin.artifacts.shards import open_shards
from tiffin.errors import InputError


def test_in_their_order(tmp_path):
    examples = write_examples(tmp_path, {"train": [table(x=[1, 2]), table(x=[3])], "eval": table(x=[4])})
    found = {uri: shard.read().to_pylist() for uri, shard in open_shards(examples, "train")}

    assert found == {
        f"{examples}/data/train-00000.parquet": [{"x": 1}, {"x": 2}],
        f"{examples}/data/train-00001.parquet": [{"x": 3}],
    }


def test_of_a_split_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"should be one of eval\. Received: split='test'"):
        list(open_shards(write_examples(tmp_path, {"eval": table(x=[1])}), "test"))
