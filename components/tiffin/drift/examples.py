"""Profiles of examples, counted from all rows of a split: exact, and with memory that does not grow with the rows.

A baseline is read twice: first for its bins, then to count all rows in them. Other rows are read once, in the bins of the
baseline. Bins need not be exact for counts to be: of many rows, quantiles are those of a sample.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import read_manifest, shard_uris
from tiffin.artifacts.shards import read_batches
from tiffin.drift.profiles import MOST_TEXTS, Numbers, Profile, Texts, find_edges, make_texts, rank
from tiffin.drift.rows import add_profiles, count_rows

_BATCH_ROWS = 65_536
# Memory grows with the cells of a batch, and with those of the sample.
_MOST_CELLS = 1 << 22
_LEAST_ROWS = 1024
# Rows whose quantiles are the bins of numbers, and texts that are counted to find the most frequent ones.
_SAMPLED_ROWS = 65_536
_CANDIDATES = 8 * MOST_TEXTS
_SEED = 7
_TEXT = "STRING"


def profile_examples(artifact: str | Path, split: str) -> dict[str, Profile]:
    """Return the profile of each column of a split, as a baseline.

    Numbers have bins between their 32 quantiles: of all rows, or of 65,536 rows drawn from more (fewer of more than 64 columns,
    at least 1,024). Texts have their 1,000 most frequent values.

    Args:
        artifact: Folder of the examples artifact.
        split: Name of the split.

    Raises:
        InputError: The split does not exist, or a shard does not match the manifest.
        StorageError: A shard is missing or damaged.
    """
    bins = _find_bins(artifact, split)
    found = count_examples(artifact, split, bins)
    for name, one in found.items():
        like = bins[name]
        if isinstance(one, Texts) and isinstance(like, Texts):
            known = {value: one.counts[value] for value in like.counts if value in one.counts}
            found[name] = make_texts(one.rows, one.missing, known)
    return found


def count_examples(artifact: str | Path, split: str, baseline: Mapping[str, Profile]) -> dict[str, Profile]:
    """Return the profile of each column of a split, in the bins of a baseline.

    Args:
        artifact: Folder of the examples artifact.
        split: Name of the split.
        baseline: Column to its profile in the baseline. A column that it lacks is counted in bins of its own.

    Raises:
        InputError: The split does not exist, or a shard does not match the manifest.
        StorageError: A shard is missing or damaged.
    """
    columns = read_manifest(artifact).columns
    empty = {column.name: _empty(column) for column in columns}
    likes = {name: baseline.get(name, one) for name, one in empty.items()}
    found: dict[str, Profile] = {}
    for batch in _batches(artifact, split, columns):
        found = add_profiles(found, count_rows(batch, likes, is_logged=False), likes)
    return {name: found.get(name, one) for name, one in empty.items()}


def count_split(artifact: str | Path, split: str) -> int:
    """Return the rows of a split.

    Raises:
        InputError: The split does not exist.
    """
    shard_uris(artifact, split)
    return read_manifest(artifact).splits[split].rows


def _empty(column: Column) -> Profile:
    return Texts(0, 0) if column.type == _TEXT else Numbers(0, 0, (), (0.0,), logical=column.logical or "")


def _batches(artifact: str | Path, split: str, columns: tuple[Column, ...]) -> Iterator[pa.RecordBatch]:
    rows = max(_LEAST_ROWS, min(_BATCH_ROWS, _MOST_CELLS // max(1, len(columns))))
    for _, batch in read_batches(artifact, split, [column.name for column in columns], rows):
        yield batch


def _find_bins(artifact: str | Path, split: str) -> dict[str, Profile]:
    """Return profiles without rows that have the edges of numbers, and the texts that are listed."""
    columns, rows = read_manifest(artifact).columns, count_split(artifact, split)
    most = max(_LEAST_ROWS, min(_SAMPLED_ROWS, _MOST_CELLS // max(1, len(columns))))
    numbers: dict[str, list[np.ndarray]] = {column.name: [] for column in columns if column.type != _TEXT}
    texts: dict[str, Counter[str]] = {column.name: Counter() for column in columns if column.type == _TEXT}
    # Which rows are drawn depends on their place only, not on the batches.
    generator = np.random.default_rng(_SEED)
    for batch in _batches(artifact, split, columns):
        chosen = pa.array(np.flatnonzero(generator.random(len(batch)) * rows < most))
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in texts:
                texts[name] = _add_texts(texts[name], column)
            else:
                drawn = column if len(chosen) == len(batch) else column.take(chosen)
                numbers[name].append(drawn.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    found: dict[str, Profile] = {}
    for column in columns:
        one = _empty(column)
        if isinstance(one, Texts):
            ranked = rank(texts[column.name])
            found[column.name] = replace(one, counts=dict(islice(ranked.items(), MOST_TEXTS)))
        else:
            edges = find_edges(np.concatenate([np.zeros(0), *numbers[column.name]]))
            found[column.name] = replace(one, edges=edges, counts=(0.0,) * (len(edges) + 1))
    return found


def _add_texts(counts: Counter[str], column: pa.Array) -> Counter[str]:
    """Return the counts with those of a column; of too many texts, the most frequent half stays.

    A text that is frequent overall is frequent in most batches, and stays. All listed texts are counted again.
    """
    pairs = pc.value_counts(column.drop_null())
    values, found = pairs.field("values"), pairs.field("counts").to_numpy(zero_copy_only=False)
    if len(found) > _CANDIDATES:
        kept = np.argsort(-found, kind="stable")[:_CANDIDATES]
        values, found = values.take(pa.array(kept)), found[kept]
    for value, count in zip(values.to_pylist(), found.tolist(), strict=True):
        counts[value] += count
    if len(counts) > _CANDIDATES:
        counts = Counter(dict(islice(rank(counts).items(), _CANDIDATES // 2)))
    return counts
