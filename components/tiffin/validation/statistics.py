"""Compute TFDV statistics of the examples in one pass over record batches, in constant memory.

TFDV's in-memory accumulators are updated batch by batch and merged, which TFDV's own functions do only through Beam. Each core
has its own columns: TFDV, pyarrow and NumPy release Python's lock in the functions that take the time.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.shards import read_batches
from tiffin.artifacts.statistics import LOGICAL
from tiffin.validation.tfdv import KmvSketch, stats_impl, tfdv

_BATCH_ROWS = 65_536
# Memory grows with the cells of a batch; fewer rows than this cost more time than they save.
_BATCH_CELLS = 1 << 23
_LEAST_ROWS = 1024
_MAX_CORES = 8
# In a batch of fewer rows, the functions that hold Python's lock take the time.
_THREAD_ROWS = 16_384
_EXACT_GROUPS = 1 << 14
# Names of our own statistics of a column, beside TFDV's.
_GROUPS = "groups"
# Preprocessing uses these quantiles as bucket boundaries and the most frequent values as vocabularies.
_QUANTILES = 32
VOCABULARY = 1000


def compute(examples: str | Path, splits: Sequence[str] = ()) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Return the statistics of an examples artifact, one dataset per split, with the split's name.

    Args:
        examples: Folder of the examples artifact.
        splits: Names of the splits, in order; empty for all, sorted by name.

    Raises:
        InputError: A split does not exist, or a shard does not match the manifest.
    """
    manifest = read_manifest(examples)
    result = statistics_pb2.DatasetFeatureStatisticsList()
    for split in splits or sorted(manifest.splits):
        names = [column.name for column in manifest.columns]
        dataset = _merged(_record_batches(examples, split, names), names)
        dataset.name = split
        _sort_features(dataset, names)
        _add_traits(dataset, manifest, examples)
        result.datasets.append(dataset)
    return result


def read_groups(feature: statistics_pb2.FeatureNameStatistics) -> int | None:
    """Return the number of distinct values of the key that decides the split; None for other columns."""
    return next((int(trait.num) for trait in feature.custom_stats if trait.name == _GROUPS), None)


class _Columns:
    """Some columns of a split, and what TFDV has accumulated of them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._options = tfdv.StatsOptions(
            num_quantiles_histogram_buckets=_QUANTILES,
            num_rank_histogram_buckets=VOCABULARY,
            # No sampling, so that the same rows give the same statistics.
            sample_rate=None,
        )
        self._generators = stats_impl.get_generators(self._options, in_memory=True)
        self._totals = [generator.create_accumulator() for generator in self._generators]

    def add(self, batch: pa.RecordBatch) -> None:
        lists = [_as_lists(batch.column(batch.schema.get_field_index(name))) for name in self.names]
        rows = pa.RecordBatch.from_arrays(lists, list(self.names)) if lists else batch
        partials = stats_impl.generate_partial_statistics_in_memory(rows, self._options, self._generators)
        self._totals = [
            generator.merge_accumulators([total, partial])
            for generator, total, partial in zip(self._generators, self._totals, partials, strict=True)
        ]

    def result(self) -> statistics_pb2.DatasetFeatureStatistics:
        return stats_impl.extract_statistics_output(self._totals, self._generators).datasets[0]


def _merged(batches: Iterator[pa.RecordBatch], names: Sequence[str]) -> statistics_pb2.DatasetFeatureStatistics:
    """Return the statistics of batches, each core with its own columns; the next batch is read meanwhile."""
    first = next(batches, None)
    few = first is None or len(first) < _THREAD_ROWS
    cores = 1 if few else max(1, min(_cores(), _MAX_CORES, len(names)))
    groups = [_Columns(names[start::cores]) for start in range(cores)]
    with ThreadPoolExecutor(cores) as threads:
        adding: list[Future[None]] = []
        for batch in chain(() if first is None else (first,), batches):
            for one in adding:
                one.result()
            adding = [threads.submit(group.add, batch) for group in groups]
        for one in adding:
            one.result()
        merged, *others = threads.map(_Columns.result, groups)
    for other in others:
        merged.features.extend(other.features)
    return merged


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _record_batches(examples: str | Path, split: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    rows = max(_LEAST_ROWS, min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(columns))))
    for _, batch in read_batches(examples, split, columns, rows):
        yield batch


def _as_lists(column: pa.Array) -> pa.ListArray:
    """Return a column in TFDV's form: a list of one value per row, null if the value is missing."""
    if not column.null_count:
        return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)
    valid = np.asarray(column.is_valid())
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(valid, out=offsets[1:])
    # A null offset makes a null list; the last offset is the end of the last list.
    starts = pa.array(offsets, mask=np.append(~valid, False))
    return pa.ListArray.from_arrays(starts, column.drop_null())


def _sort_features(dataset: statistics_pb2.DatasetFeatureStatistics, names: Sequence[str]) -> None:
    """Sort the features into the order of the manifest's columns."""
    order = {name: index for index, name in enumerate(names)}
    features = sorted(dataset.features, key=lambda feature: order[feature.path.step[0]])
    del dataset.features[:]
    dataset.features.extend(features)


def _add_traits(dataset: statistics_pb2.DatasetFeatureStatistics, manifest: Manifest, examples: str | Path) -> None:
    """Add what the rows do not show: which integers are dates, timestamps or booleans, and which column decides the split."""
    logical = {column.name: column.logical for column in manifest.columns}
    key = manifest.final_name(manifest.key)
    for feature in dataset.features:
        name = feature.path.step[0]
        if logical[name]:
            feature.custom_stats.add(name=LOGICAL, str=logical[name])
        if name == key:
            feature.custom_stats.add(name=_GROUPS, num=_count_distinct(examples, dataset.name, name))


def _count_distinct(examples: str | Path, split: str, column: str) -> int:
    """Return the number of distinct values, missing ones as one: exact up to 16,384, with an error of about 1 % above."""
    sketch = KmvSketch(_EXACT_GROUPS)
    missing = False
    for _, batch in read_batches(examples, split, [column], _BATCH_ROWS):
        missing = missing or bool(batch.column(0).null_count)
        sketch.AddValues(batch.column(0))
    return int(sketch.Estimate()) + missing
