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


def read_kept(location: str) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    """Read statistics from a path or a URI of a `statistics.binpb`, or of the folder that has it; None if there is no file.

    Raises:
        InputError: The file contains no statistics.
        StorageError: The location cannot be read.
    """
    uri = file_of(location)
    found = storage.read(uri)
    return _parse(found[0], uri) if found else None


def file_of(location: str) -> str:
    """Return the location of the file of statistics: `location` itself if it ends in `.binpb`, else the file in that folder."""
    return location if location.endswith(".binpb") else storage.join(location, STATISTICS)


def keep_statistics(location: str, statistics: statistics_pb2.DatasetFeatureStatisticsList) -> None:
    """Replace the statistics at a path or a URI.

    Raises:
        Conflict: Another process has written them meanwhile.
        StorageError: The location cannot be written.
    """
    uri = file_of(location)
    before = storage.read(uri)
    storage.compare_and_swap(uri, statistics.SerializeToString(deterministic=True), before[1] if before else None)


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
    statistics: statistics_pb2.DatasetFeatureStatisticsList, split: str, name: str = "split"
) -> statistics_pb2.DatasetFeatureStatistics:
    """Return the statistics of one split.

    Args:
        statistics: The statistics.
        split: Name of the split.
        name: Name of the parameter in the error. Defaults to `split`.

    Raises:
        InputError: The split does not exist.
    """
    names = [dataset.name for dataset in statistics.datasets]
    if split not in names:
        raise InputError(
            f"{name} should be one of {', '.join(names)}. Received: {name}='{split}'.{did_you_mean(split, names)}"
        )
    return statistics.datasets[names.index(split)]


def read_common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    """Return the statistics that columns of all types have."""
    found: statistics_pb2.CommonStatistics = getattr(feature, feature.WhichOneof("stats")).common_stats
    return found


def read_logical(feature: statistics_pb2.FeatureNameStatistics) -> str:
    """Return what the column's integers stand for: boolean, date or timestamp; empty for plain values."""
    return next((trait.str for trait in feature.custom_stats if trait.name == LOGICAL), "")
