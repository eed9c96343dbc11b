"""The statistics artifact: TFDV statistics of every split."""

import hashlib
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.run_files import find_files
from tiffin.errors import InputError, did_you_mean
from tiffin.storage.files import write_bytes

STATISTICS = "statistics.binpb"
# Name of our own statistic of a column, beside TFDV's.
LOGICAL = "logical"


def write_statistics(artifact: str | Path, statistics: statistics_pb2.DatasetFeatureStatisticsList) -> None:
    """Write a statistics artifact; equal statistics give equal bytes."""
    write_bytes(Path(artifact) / STATISTICS, statistics.SerializeToString(deterministic=True))


def digest_statistics(artifact: str | Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the file's content."""
    return hashlib.sha256(documents.read_bytes(Path(artifact) / STATISTICS)).hexdigest()[:16]


def read_statistics(artifact: str | Path) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Read a statistics artifact.

    Raises:
        InputError: The file is missing or contains no statistics.
    """
    path = Path(artifact) / STATISTICS
    return _parse(documents.read_bytes(path), path)


def _parse(content: bytes, origin: str | Path) -> statistics_pb2.DatasetFeatureStatisticsList:
    try:
        return statistics_pb2.DatasetFeatureStatisticsList.FromString(content)
    except DecodeError as error:
        raise InputError(
            f"'{origin}' is not a tensorflow.metadata.v0.DatasetFeatureStatisticsList: {error}. "
            "Run the step that writes it again."
        ) from None


def find_statistics(run_uri: str) -> dict[str, statistics_pb2.DatasetFeatureStatisticsList]:
    """Return the statistics in the artifact store of a run: name of the step that computed them to the statistics.

    Raises:
        InputError: A file contains no statistics.
        StorageError: The location cannot be listed or read.
    """
    found = {}
    for uri in find_files(run_uri, {STATISTICS}):
        step = uri[len(run_uri) :].strip("/").split("/")[0]
        content, _ = storage.read(uri) or (b"", "")
        found[step] = _parse(content, uri)
    return found


def find_split(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, split: str
) -> statistics_pb2.DatasetFeatureStatistics:
    """Return the statistics of one split.

    Raises:
        InputError: The split does not exist.
    """
    names = [dataset.name for dataset in statistics.datasets]
    if split not in names:
        raise InputError(
            f"split should be one of {', '.join(names)}. Received: split='{split}'.{did_you_mean(split, names)}"
        )
    return statistics.datasets[names.index(split)]


def read_common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    """Return the statistics that columns of all types have."""
    found: statistics_pb2.CommonStatistics = getattr(feature, feature.WhichOneof("stats")).common_stats
    return found


def read_logical(feature: statistics_pb2.FeatureNameStatistics) -> str:
    """Return what the column's integers stand for: boolean, date or timestamp; empty for plain values."""
    return next((trait.str for trait in feature.custom_stats if trait.name == LOGICAL), "")
