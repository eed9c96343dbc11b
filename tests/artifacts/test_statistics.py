"""The statistics artifact."""

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.statistics import find_split, read_statistics, write_statistics
from tiffin.errors import InputError

RUNS_IN = ("data", "model")

STATISTICS = statistics_pb2.DatasetFeatureStatisticsList()
for number, name in enumerate(("eval", "train")):
    STATISTICS.datasets.add(name=name, num_examples=number)


def test_written_statistics_are_read(tmp_path):
    write_statistics(tmp_path, STATISTICS)

    assert [path.name for path in tmp_path.iterdir()] == ["statistics.binpb"]
    assert read_statistics(tmp_path) == STATISTICS


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=rf"'statistics\.binpb'.*'{tmp_path}'"):
        read_statistics(tmp_path)


def test_a_file_that_is_not_statistics(tmp_path):
    (tmp_path / "statistics.binpb").write_bytes(b"feature { \xff\xff")
    with pytest.raises(InputError, match=r"binpb'.* tensorflow\.metadata\.v0\.DatasetFeatureStatisticsList"):
        read_statistics(tmp_path)


def test_a_split():
    assert find_split(STATISTICS, "train").num_examples == 1
    with pytest.raises(InputError, match=r"eval, train\b.*split='trian'.*'train'\?"):
        find_split(STATISTICS, "trian")
