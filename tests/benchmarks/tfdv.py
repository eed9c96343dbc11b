"""Compare Tiffin's one-pass statistics over Parquet with TFDV's own function for a data frame, on the same rows.

python tests/benchmarks/tfdv.py [ROWS]
"""

import resource
import sys
import tempfile
import time
from multiprocessing import get_context

from tiffin.artifacts.examples import shard_uris
from tiffin.stages.ingest.examples import ingest


def main(rows: int) -> None:
    """Ingest generated rows, then print seconds and peak memory of both, each in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        ingest(f"sample:deliveries?rows={rows}", folder, splits={"train": 1})
        print(f"ingest of {rows} generated rows, including generation: {time.perf_counter() - start:.1f} s")
        print(f"{'statistics':<45} {'s':>6} {'peak MB':>8}")
        for name, work in (
            ("tiffin.stages.validate.statistics.compute", _ours),
            ("tfdv.generate_statistics_from_dataframe", _theirs),
        ):
            context = get_context("spawn")
            answers = context.Queue()
            process = context.Process(target=_measure, args=(work, folder, answers))
            process.start()
            seconds, peak = answers.get()
            process.join()
            print(f"{name:<45} {seconds:6.2f} {peak:8.0f}")


def _measure(work, folder, answers) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = work(folder)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    answers.put((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, imported)) / 1024))


def _ours(folder: str):
    from tiffin.stages.validate import statistics

    return lambda: statistics.compute(folder)


def _theirs(folder: str):
    import pandas as pd

    from tiffin.stages.validate.tfdv import tfdv

    [shard] = shard_uris(folder, "train")
    return lambda: tfdv.generate_statistics_from_dataframe(pd.read_parquet(shard))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
