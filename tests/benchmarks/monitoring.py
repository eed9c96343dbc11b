"""Time and memory of monitoring 1 million logged rows of 20 columns, beside Evidently's drift report of the same rows.

python tests/benchmarks/monitoring.py --rows 1000000
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("DO_NOT_TRACK", "1")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOURS, COLUMNS = 24, 20


def draw(rng, rows):
    """Return 14 columns of numbers, 5 of texts, and one nearly free text."""
    import numpy as np

    found = {f"n{number}": rng.normal(size=rows).astype(np.float32) for number in range(10)}
    found |= {f"l{number}": rng.lognormal(0, 1, rows).astype(np.float32) for number in range(4)}
    for number in range(5):
        found[f"t{number}"] = rng.choice([f"v{value}" for value in range(5 * (number + 1))], rows)
    found["street"] = rng.integers(0, 3000, rows).astype(str)
    return found


def prepare(folder, rows):
    """Write a reference and a log."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from support.documents import make_evaluation, make_training
    from support.written import table, write_examples
    from tiffin.artifacts.measures import Attribution, Attributions, Distribution
    from tiffin.artifacts.model import write_training
    from tiffin.artifacts.reference import FILES, Reference, write_reference
    from tiffin.artifacts.schema import write_schema
    from tiffin.artifacts.statistics import write_statistics
    from tiffin.artifacts.verdict import write_evaluation
    from tiffin.serving.prediction_log import COLUMNS as FIXED
    from tiffin.serving.prediction_log import arrow_type, hour_folder
    from tiffin.validation.schema import infer
    from tiffin.validation.statistics import compute

    rng = np.random.default_rng(1)
    train = {name: values.tolist() for name, values in draw(rng, 100_000).items()}
    statistics = compute(write_examples(folder / "examples", {"train": table(**train)}))
    output, names = folder / "reference", tuple(train)
    write_statistics(output, statistics)
    write_schema(output, infer(statistics))
    edges = tuple(np.linspace(0.05, 0.95, 19).astype(np.float32).astype(float).tolist())
    evaluation = make_evaluation(
        attributions=Attributions(100, tuple(Attribution(name, 1.0) for name in names)),
        predictions=(Distribution("probability", 20_000, edges, (1000,) * 20, 0.5, 0.3, 0),),
    )
    write_evaluation(output, evaluation)
    write_training(output, make_training(columns=names))
    files = {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in FILES if (output / name).exists()
    }
    write_reference(output, Reference("taxi", 1, "run", "uri", "d1", "s1", "late", "binary", ("0", "1"), files))
    each = rows // HOURS
    for hour in range(HOURS):
        start = NOON - timedelta(hours=HOURS - hour)
        values = draw(rng, each)
        ids = [f"{hour}-{number}" for number in range(each)]
        times = [start + timedelta(microseconds=int(3.6e9 * number / each)) for number in range(each)]
        fixed = {
            "request_id": ids, "row": [0] * each, "rows": [1] * each, "time": times, "model": ["taxi"] * each,
            "version": [1] * each, "route": ["stable"] * each, "protocol": ["grpc"] * each, "method": ["Predict"] * each,
            "signature": ["serving_default"] * each, "code": ["OK"] * each, "latency_seconds": [0.004] * each, "key": ids,
        }  # fmt: skip
        arrays = {name: pa.array(fixed[name], arrow_type(kind)) for name, kind in FIXED.items()}
        arrays |= {f"input.{name}": pa.array(values[name]) for name in sorted(values)}
        arrays["output.probability"] = pa.array(rng.random(each).astype(np.float32))
        home = Path(hour_folder(str(folder / "log"), "taxi", start))
        home.mkdir(parents=True)
        pq.write_table(pa.table(arrays), home / "a.parquet", row_group_size=65_536)


def monitor(folder):
    """Monitor the log, and print seconds, without imports, and the verdict."""
    from tiffin.stages.monitor import monitoring

    start = time.perf_counter()
    found = monitoring.monitor(
        folder / "reference", folder / "out", log_root=str(folder / "log"), now=NOON - timedelta(minutes=1)
    )
    print(
        time.perf_counter() - start,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        found.rows,
        found.verdict,
    )


def evidently(folder):
    """Compare the second half of the rows with the first one by Evidently's preset, and print seconds."""
    import warnings

    warnings.simplefilter("ignore")
    import pyarrow as pa
    import pyarrow.parquet as pq
    from evidently import Report
    from evidently.presets import DataDriftPreset

    start = time.perf_counter()
    files = sorted((folder / "log").rglob("*.parquet"))
    names = [name for name in pq.read_schema(files[0]).names if name.startswith("input.")]
    rows = pa.concat_tables([pq.read_table(file, columns=names) for file in files]).to_pandas()
    half = len(rows) // 2
    Report([DataDriftPreset()]).run(rows[half:], rows[:half]).save_html(str(folder / "evidently.html"))
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(rows), "-")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--step", choices=("prepare", "monitor", "evidently"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(options.folder, options.rows)
    elif options.step:
        globals()[options.step](options.folder)
    if options.step:
        return 0
    with tempfile.TemporaryDirectory() as folder:

        def run(step):
            command = [sys.executable, __file__, "--step", step, "--folder", folder, "--rows", str(options.rows)]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

        run("prepare")
        seconds, mib, rows, verdict = run("monitor")
        again, *_ = run("monitor")
        theirs, their_mib, *_ = run("evidently")
    print(
        f"monitoring: {int(rows):,} rows x {COLUMNS} columns in {float(seconds):.1f} s, {float(mib):,.0f} MiB (targets: 30 s, "
        f"1,430 MiB); again without new files {float(again):.1f} s; verdict {verdict}"
    )
    print(
        f"monitoring: Evidently's data drift preset {float(theirs):.1f} s, {float(their_mib):,.0f} MiB: "
        f"{float(theirs) / float(seconds):.1f} times as long (target: 10)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
