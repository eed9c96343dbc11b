"""Write artifacts directly, so that a stage is tested without the stage before it."""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.documents import make_manifest
from tiffin.artifacts import examples

_KINDS = {pa.int64(): "INT", pa.float64(): "FLOAT", pa.string(): "STRING"}


def write_examples(folder: Path, splits: dict[str, pa.Table | list[pa.Table]], version: str = "d1") -> Path:
    """Write an examples artifact from one table per split, or one per shard of a split."""
    found, columns, sample = {}, (), []
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for split, tables in splits.items():
            shards = tables if isinstance(tables, list) else [tables]
            names = tuple(examples.shard_name(split, index) for index in range(len(shards)))
            for name, table in zip(names, shards, strict=True):
                path = Path(scratch, "shards", name)
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path)
            found[split] = examples.Split(sum(table.num_rows for table in shards), names)
            columns = tuple(examples.Column(field.name, _KINDS[field.type]) for field in shards[0].schema)
            sample = shards[0].slice(0, 20).to_pylist()
        manifest = make_manifest(version, found, columns)
        examples.write_examples(folder, manifest, sample, (), Path(scratch, "shards"))
    return folder


def table(**columns: list[Any]) -> pa.Table:
    """Return a table of int64, float64 and string columns, as ingest writes them."""
    return pa.table({name: pa.array(values, _type(values)) for name, values in columns.items()})


def _type(values: list[Any]) -> pa.DataType:
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        return pa.string()
    return pa.int64() if all(isinstance(value, int) for value in present) else pa.float64()


def write_statistics(folder: Path, rows: pa.Table, split: str = "train") -> Path:
    """Write a statistics artifact like validate's, with exact quantiles; TFDV is in another environment."""
    import numpy as np
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from tiffin.artifacts import statistics

    kinds = statistics_pb2.FeatureNameStatistics
    found = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = found.datasets.add(name=split, num_examples=rows.num_rows)
    for name in rows.column_names:
        present = [value for value in rows[name].to_pylist() if value is not None]
        feature = dataset.features.add()
        feature.path.step.append(name)
        if rows.schema.field(name).type == pa.string():
            feature.type = kinds.STRING
            stats = feature.string_stats
            counts = sorted(((present.count(word), word) for word in set(present)), reverse=True)
            stats.unique = len(counts)
            for count, word in counts:
                stats.rank_histogram.buckets.add(label=word, sample_count=count)
        else:
            feature.type = kinds.INT if rows.schema.field(name).type == pa.int64() else kinds.FLOAT
            stats = feature.num_stats
            if present:
                stats.min, stats.max = min(present), max(present)
                edges = np.quantile(present, np.linspace(0, 1, 33), method="nearest")
                histogram = stats.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
                for low, high in itertools.pairwise(edges):
                    histogram.buckets.add(low_value=low, high_value=high)
        stats.common_stats.num_non_missing = len(present)
        stats.common_stats.num_missing = rows.num_rows - len(present)
    statistics.write_statistics(folder, found)
    return folder


def write_schema(folder: Path, rows: pa.Table) -> Path:
    """Write a schema artifact with the columns' names and types."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    from tiffin.artifacts import schema as artifact

    types = {pa.int64(): schema_pb2.INT, pa.float64(): schema_pb2.FLOAT, pa.string(): schema_pb2.BYTES}
    schema = schema_pb2.Schema()
    for field in rows.schema:
        schema.feature.add(name=field.name, type=types[field.type])
    artifact.write_schema(folder, schema)
    return folder
