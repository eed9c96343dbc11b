"""The statistics artifact."""

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.statistics import find_split, read_statistics, write_statistics
from tiffin.errors import InputError

RUNS_IN = ("data", "model")

STATISTICS = statistics_pb2.DatasetFeatureStatisticsList()
for number, name in enumerate(("eval", "train")):
    STATISTICS.datasets.add(name=name, num_examples=number)


def test_what_was_written(tmp_path):
    write_statistics(tmp_path, STATISTICS)

    assert [path.name for path in tmp_path.iterdir()] == ["statistics.binpb"]
    assert read_statistics(tmp_path) == STATISTICS


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"An artifact should hold 'statistics\.binpb'\. Received: '.*' without it"):
        read_statistics(tmp_path)


def test_what_is_no_statistics(tmp_path):
    (tmp_path / "statistics.binpb").write_bytes(b"feature { \xff\xff")
    with pytest.raises(InputError, match=r"binpb' should be a tensorflow\.metadata\.v0\.DatasetFeatureStatisticsList"):
        read_statistics(tmp_path)


def test_a_split():
    assert find_split(STATISTICS, "train").num_examples == 1
    with pytest.raises(InputError, match=r"one of eval, train\. Received: split='trian'\. Did you mean 'train'\?"):
        find_split(STATISTICS, "trian")
