"""Join a day of the prediction log with labels, and measure: seconds of each part, and peak memory.

    python tests/benchmarks/labels.py [MILLIONS]

Writes MILLIONS (1 by default) of logged rows with 20 columns besides those of the log, and as many labels as CSV, in no order.
Runs in the environment `data`.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tiffin.performance.answers import load_answers
from tiffin.performance.calibrated import find_map
from tiffin.performance.estimation import estimate
from tiffin.performance.joining import join
from tiffin.performance.label_sources import read_labels
from tiffin.performance.measured import choose_length, measure_periods, measure_slices
from tiffin.performance.rows import read_rows
from tiffin.performance.workspace import open_workspace
from tiffin.quality import calibration
from tiffin.serving.log_reading import open_log
from tiffin.serving.prediction_log import COLUMNS, arrow_type, hour_folder

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS, INPUTS, CHUNK = 24, 19, 100_000


def main(millions: float) -> None:
    """Print seconds and peak memory."""
    rows = int(millions * 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for by, what in (("request_id", "request ID"), ("key", "key and time")):
            # Each part in a process of its own, so that the peak is that of the joining.
            if not any(folder.glob("taxi")):
                run(write_log, folder, rows)
            run(write_labels, folder / f"{by}.csv", rows, by)
            print(f"{rows:,} logged rows with {rows:,} labels, by {what}", flush=True)
            run(measure, folder, by)


def run(function: Callable[..., None], *arguments: object) -> None:
    """Call a function in a new process."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def measure(folder: Path, by: str) -> None:
    """Print the seconds of reading answers, reading labels and joining."""
    with open_workspace() as workspace:
        times = [time.perf_counter()]
        log = open_log(str(folder), "taxi", START, START + timedelta(hours=HOURS))
        answers = load_answers(workspace, log, 1, "binary", inputs=["x0", "x1"])
        times.append(time.perf_counter())
        table = read_labels(workspace, str(folder / f"{by}.csv"))
        times.append(time.perf_counter())
        found = join(workspace, answers, table)
        times.append(time.perf_counter())
        joined_peak = peak_mib()
        rows = read_rows(answers, found, ["x0"])
        outcomes = rows.outcomes()
        list(measure_periods(rows, choose_length(rows), "seed"))
        measure_slices(rows, [("x0",)], "seed")
        estimate(outcomes.answer, find_map(calibration.measure(outcomes)), "seed")
        times.append(time.perf_counter())
    answers_seconds, labels_seconds, join_seconds, measure_seconds = np.diff(times)
    print(f"  answers {answers_seconds:.1f} s, labels {labels_seconds:.1f} s, join {join_seconds:.1f} s")
    print(f"  {found.labelled:,} of {found.answers:,} answers labelled, peak memory {joined_peak:.0f} MiB")
    print(f"  periods, slices and estimate {measure_seconds:.1f} s, peak memory {peak_mib():.0f} MiB")


def peak_mib() -> float:
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_log(folder: Path, rows: int) -> None:
    """Write the log: the rows are spread over the hours of a day."""
    rng = np.random.default_rng(1)
    kinds = {
        **COLUMNS,
        **{f"input.x{number}": "float32" for number in range(INPUTS)},
        "output.probability": "list<float32>",
    }
    schema = pa.schema([(name, arrow_type(kind)) for name, kind in kinds.items()])
    for hour in range(HOURS):
        moment = START + timedelta(hours=hour)
        place = Path(hour_folder(str(folder), "taxi", moment))
        place.mkdir(parents=True)
        numbers = np.arange(hour, rows, HOURS)
        with pq.ParquetWriter(place / "a.parquet", schema) as writer:
            for start in range(0, len(numbers), CHUNK):
                writer.write_table(chunk(numbers[start : start + CHUNK], moment, len(numbers), schema, rng))


def chunk(numbers: np.ndarray, moment: datetime, of: int, schema: pa.Schema, rng: np.random.Generator) -> pa.Table:
    """Return some rows of an hour."""
    rows = len(numbers)
    micros = int(moment.timestamp() * 1e6) + (numbers // HOURS) * (3_600_000_000 // of)
    fixed = {
        "row": 0, "rows": 1, "model": "taxi", "version": 1, "route": "stable", "protocol": "grpc", "method": "Predict",
        "signature": "serving_default", "code": "OK", "latency_seconds": 0.001,
    }  # fmt: skip
    arrays = {name: pa.array([value] * rows, schema.field(name).type) for name, value in fixed.items()}
    arrays["request_id"] = pa.array([f"00000000-0000-0000-0000-{number:012d}" for number in numbers])
    arrays["key"] = pa.array([f"customer-{number // 4}" for number in numbers])
    arrays["time"] = pa.array(micros).cast(schema.field("time").type)
    for number in range(INPUTS):
        arrays[f"input.x{number}"] = pa.array(rng.normal(size=rows).astype(np.float32))
    scores = pa.array(rng.random(rows).astype(np.float32))
    arrays["output.probability"] = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32)), scores)
    return pa.table([arrays[name] for name in schema.names], schema=schema)


def write_labels(path: Path, rows: int, by: str) -> None:
    """Write labels half an hour after their requests."""
    numbers = np.random.default_rng(2).permutation(rows)
    of = -(-rows // HOURS)
    micros = (
        int(START.timestamp() * 1e6) + (numbers % HOURS) * 3_600_000_000 + (numbers // HOURS) * (3_600_000_000 // of)
    )
    names = (
        [f"00000000-0000-0000-0000-{number:012d}" for number in numbers]
        if by == "request_id"
        else [f"customer-{number // 4}" for number in numbers]
    )
    times = pa.array(micros + 1_800_000_000).cast(pa.timestamp("us")).cast(pa.string())
    table = pa.table({by: names, "time": times, "label": pa.array(numbers % 2)})
    pa.csv.write_csv(table, path)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
