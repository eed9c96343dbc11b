"""Compare Tiffin's one-pass statistics over Parquet with TFDV's own function for a data frame, on the same rows.

Once for many rows, once for many columns.

python tests/benchmarks/tfdv.py [ROWS [COLUMNS]]
"""

import importlib
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.written import write_examples
from tiffin.artifacts.examples import shard_uris
from tiffin.stages.ingest.examples import ingest

_WIDE_ROWS = 1000


def main(rows: int, columns: int) -> None:
    """Ingest generated rows, and write a wide table; print seconds and peak memory of both, each in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        ingest(f"sample:deliveries?rows={rows}", folder, splits={"train": 1})
        _compare(f"statistics of {rows} rows", folder)
    with tempfile.TemporaryDirectory() as folder:
        _write_wide(Path(folder), columns)
        _compare(f"statistics of {columns} columns, {_WIDE_ROWS} rows", folder)


def _write_wide(folder: Path, columns: int) -> None:
    generator = np.random.default_rng(1)
    kinds = (
        lambda: generator.normal(size=_WIDE_ROWS),
        lambda: generator.integers(0, 1000, _WIDE_ROWS),
        lambda: pa.array([f"v{number}" for number in generator.integers(0, 50, _WIDE_ROWS)]),
    )
    write_examples(folder, {"train": pa.table({f"c{number}": kinds[number % 3]() for number in range(columns)})})


def _compare(title: str, folder: str) -> None:
    print(f"\n{title:<45} {'s':>6} {'peak MB':>8}")
    for name, work in (
        ("tiffin.validation.statistics.compute", _ours),
        ("tfdv.generate_statistics_from_dataframe", _theirs),
    ):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
            seconds, peak = processes.submit(_measure, work, folder).result()
        print(f"{name:<45} {seconds:6.2f} {peak:8.0f}", flush=True)


def _measure(work, folder: str) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = work(folder)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, imported)) / 1024


def _ours(folder: str):
    from tiffin.validation import statistics

    return lambda: statistics.compute(folder)


def _theirs(folder: str):
    import pandas as pd

    from tiffin.validation.tfdv import tfdv

    # TFDV's own functions again.
    importlib.reload(importlib.import_module("tensorflow_data_validation.utils.quantiles_util"))
    [shard] = shard_uris(folder, "train")
    return lambda: tfdv.generate_statistics_from_dataframe(pd.read_parquet(shard))


if __name__ == "__main__":
    main(*(int(given) if given else default for given, default in zip_longest(sys.argv[1:], (1_000_000, 300))))
