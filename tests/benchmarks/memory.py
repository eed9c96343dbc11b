"""Measure the peak memory and the time of train and evaluate as the rows grow.

    python tests/benchmarks/memory.py [--rows 1000000 10000000] [--epochs 1] [--task binary] [--keep FOLDER]

Runs in the environment of the model image. The examples are Parquet shards that are written row group by row group, sorted by
the label, which is the hardest order for a training that streams. Each step is a process of its own, and the mark is a peak
(the largest resident set) of at most 1.3 times that of the smallest number of rows.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHECKOUT = Path(__file__).parents[2]
MARK = 1.3
_GROUP_ROWS = 122_880  # as ingest writes them
_STATISTICS_ROWS = 20_000
_BATCH_SIZE = 8192


def main() -> None:
    """Print a table of rows, seconds and peak memory of each step, and the ratio to the smallest number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--epochs", type=int, default=1, help="0 to choose the number from the data")
    parser.add_argument("--batch-size", type=int, default=_BATCH_SIZE, help="0 to choose it from the data")
    parser.add_argument("--task", choices=("binary", "multiclass", "regression"), default="binary")
    parser.add_argument("--keep", type=Path, help="folder to keep the artifacts in")
    options = parser.parse_args()
    print(f"{options.task}, {options.epochs or 'automatic'} epochs")
    print(f"{'step':<10} {'rows':>12} {'s':>8} {'peak MiB':>9} {'ratio':>6}  mark")
    with tempfile.TemporaryDirectory() as scratch:
        first: dict[str, float] = {}
        for rows in options.rows:
            folder = (options.keep or Path(scratch)) / f"{options.task}-{rows}"
            if not folder.exists():
                write(folder, rows, options.task)
            for step in ("train", "evaluate"):
                request = json.dumps([step, str(folder), options.epochs, options.batch_size])
                command = [sys.executable, "-W", "ignore", __file__, "--step", request]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(f"error: {step} failed for {rows} rows.\n{done.stderr[-2000:]}")
                found = json.loads(done.stdout.splitlines()[-1])
                ratio = found["peak"] / first.setdefault(step, found["peak"])
                mark = "" if rows == options.rows[0] else "met" if ratio <= MARK else "missed"
                print(
                    f"{step:<10} {rows:>12,} {found['seconds']:>8.1f} {found['peak']:>9.0f} {ratio:>6.2f}  {mark:<6} "
                    f"{found['result']}",
                    flush=True,
                )


def write(folder: Path, rows: int, task: str) -> None:
    """Write the artifacts examples, statistics and schema for rows of generated trips."""
    sys.path.insert(0, str(CHECKOUT / "tests"))
    from support.documents import make_manifest
    from support.written import write_schema, write_statistics
    from tiffin.artifacts import examples

    splits = {}
    shards = folder / "examples" / "scratch" / "shards"
    for number, split in enumerate(("train", "eval")):
        path = shards / examples.shard_name(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        for start in range(0, rows, _GROUP_ROWS):
            table = trips(np.arange(start, min(rows, start + _GROUP_ROWS)) / rows, task, seed=[number, start])
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
        writer.close()
        splits[split] = examples.Split(rows, (examples.shard_name(split),))
    sample = trips(np.arange(_STATISTICS_ROWS) / _STATISTICS_ROWS, task, seed=[2, 0])
    kinds = {pa.int64(): "INT", pa.float64(): "FLOAT", pa.string(): "STRING"}
    columns = tuple(examples.Column(field.name, kinds[field.type]) for field in sample.schema)
    manifest = make_manifest("d1", splits, columns)
    examples.write_examples(folder / "examples", manifest, sample.slice(0, 20).to_pylist(), (), shards)
    write_statistics(folder / "statistics", sample)
    write_schema(folder / "schema", sample)


def trips(place: np.ndarray, task: str, seed: list[int]) -> pa.Table:
    """Return rows with 5 numbers, 3 texts and the label.

    Args:
        place: Place of each row in the file, from 0 to 1; the label increases with it.
        task: Task of the label.
        seed: Random seed.
    """
    chance = np.random.default_rng(seed)
    rows = len(place)
    hidden = place + 0.15 * chance.normal(size=rows)
    late = (place > 0.6).astype(np.int64)
    label = {"binary": late, "multiclass": (place * 5).astype(np.int64), "regression": 100 * place}[task]
    hour = chance.integers(0, 24, rows)
    return pa.table(
        {
            "km": hidden * 10,
            "fare": pa.array(3 + hidden * 20 + chance.exponential(2, rows), mask=chance.random(rows) < 0.05),
            "seconds": chance.integers(60, 7200, rows),
            "hour": hour,
            "noise": chance.normal(size=rows),
            "payment": pa.array(np.array(["cash", "card", "app", "voucher"])[chance.integers(0, 4, rows)], pa.string()),
            "area": pa.array([f"area {n}" for n in (hidden * 30).astype(int)], pa.string()),
            "day": pa.array(
                np.array(["mo", "tu", "we", "th", "fr", "sa", "su"])[chance.integers(0, 7, rows)], pa.string()
            ),
            "label": label,
        }
    )


def run(step: str, folder: Path, epochs: int, batch_size: int) -> dict[str, object]:
    """Run a step in this process and return its seconds, its peak memory in MiB, and its result."""
    from tiffin.artifacts.model import Settings
    from tiffin.stages.evaluate.evaluation import evaluate
    from tiffin.stages.train.training import train

    start = time.perf_counter()
    if step == "train":
        settings = Settings(epochs=epochs, batch_size=batch_size)
        places = (folder / name for name in ("examples", "statistics", "schema", "model"))
        record = train(*places, "label", settings=settings)
        result = f"{record.settings.epochs} epochs, loss {record.losses[-1]:.4f}"
    else:
        found = evaluate(folder / "model", folder / "examples", folder / "evaluation").metrics
        result = ", ".join(f"{name} {found[name]:.5f}" for name in ("auc", "log_loss", "rmse", "r2") if found.get(name))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    return {"seconds": seconds, "peak": peak, "result": result}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step, folder, epochs, batch_size = json.loads(sys.argv[2])
        print(json.dumps(run(step, Path(folder), epochs, batch_size)))
    else:
        main()
