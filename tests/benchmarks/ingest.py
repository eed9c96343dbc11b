"""Time ingest beside polars' conversion of the same CSV to Parquet, and print its memory for long and for wide files.

    python tests/benchmarks/ingest.py [--taxi FILE] [--long] [--runs N]

The file of 1,000,000 rows and 19 columns (165 MB) repeats Chicago's taxi trips, found beside the checkout, with an identifier for
each row; without them, it repeats generated deliveries (17 columns). Ingest types every column over all rows, adds two columns,
sets broken rows aside, splits the rows and digests them; polars infers types from 10,000 rows and writes one file. Both run in
turn, each in a process of its own, whose start and imports count. The wide file has 2,000 columns and 5,000 rows (61 MB), and is
also validated.

With --long, also 10,000,000 rows (1.7 GB) and 5,000 columns, which takes some minutes. Files are written to TMPDIR and removed.
polars is installed into .venvs/benchmark-polars, which git ignores.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from hashlib import md5
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
UV = CHECKOUT / ".venvs" / "uv" / "bin" / "uv"
POLARS = CHECKOUT / ".venvs" / "benchmark-polars"
TAXI = CHECKOUT.parent / "shared" / "data" / "chicago_taxi.csv"
ROWS, MANY_ROWS = 1_000_000, 10_000_000
WIDE = [(2000, 5000)]
WIDER = (5000, 5000)

_USAGE = """
import resource, json
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
_INGEST = f"""
import json, sys
from tiffin.stages.ingest.examples import ingest
ingest(sys.argv[1], sys.argv[2], derive=json.loads(sys.argv[3]))
{_USAGE}"""
_VALIDATE = f"""
import sys
from tiffin.stages.validate.validation import validate
validate(sys.argv[1], *(f"{{sys.argv[2]}}/{{name}}" for name in ("statistics", "schema", "anomalies", "drift", "report.md")), "", "")
{_USAGE}"""
_POLARS = f"""
import sys
import polars
polars.scan_csv(sys.argv[1], infer_schema_length=10_000).sink_parquet(sys.argv[2] + "/polars.parquet")
{_USAGE}"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--taxi", type=Path, default=TAXI, help="CSV of taxi trips")
    parser.add_argument("--long", action="store_true", help="also 10,000,000 rows and 5,000 columns")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if not (POLARS / "bin" / "python").exists():
        subprocess.run([UV, "venv", "--quiet", POLARS], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", POLARS / "bin" / "python", "polars"], check=True)
    print(f"{'ingest':<44} {'s':>7} {'CPU s':>7} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        derive = write_rows(path, ROWS, options.taxi)
        ours, theirs = [], []
        for _ in range(options.runs):
            theirs.append(measured(POLARS / "bin" / "python", _POLARS, path))
            ours.append(measured(sys.executable, _INGEST, path, json.dumps(derive)))
        show(f"{ROWS:,} rows, polars", theirs)
        show(f"{ROWS:,} rows, Tiffin", ours)
        ratios = sorted(own[0] / other[0] for own, other in zip(ours, theirs, strict=True))
        print(f"Tiffin / polars: {statistics.median(ratios):.1f} (from {ratios[0]:.1f} to {ratios[-1]:.1f})")
        if options.long:
            write_rows(path, MANY_ROWS, options.taxi)
            many = measured(sys.executable, _INGEST, path, json.dumps(derive))
            show(f"{MANY_ROWS:,} rows, Tiffin", [many])
            print(
                f"peak memory, {MANY_ROWS:,} / {ROWS:,} rows: {many[2] / statistics.median(run[2] for run in ours):.2f}"
            )
        for columns, rows in [*WIDE, *([WIDER] if options.long else [])]:
            write_wide(path, columns, rows)
            with tempfile.TemporaryDirectory(dir=folder) as examples:
                ingested = measured(sys.executable, _INGEST, path, "{}", output=examples)
                validated = measured(sys.executable, _VALIDATE, Path(examples))
            show(f"{columns:,} columns x {rows:,} rows, Tiffin", [ingested])
            show("  and their validation", [validated])


def write_rows(path: Path, rows: int, taxi: Path) -> dict[str, str]:
    """Write a CSV file that repeats a smaller one, with an identifier in front of each row; return two columns to derive."""
    derive = {"big_tipper": "tips > 0.2 * fare", "speed": "trip_miles / nullif(trip_seconds, 0)"}
    if not taxi.exists():
        from tiffin.stages.ingest.sample import write_sample

        taxi = path.with_name("sample.csv")
        write_sample(taxi, 15_000)
        derive = {"cheap": "basket < 10", "each": "basket / items"}
    header, *lines = taxi.read_text(encoding="utf-8").splitlines()
    with path.open("w", encoding="utf-8") as file:
        file.write(f"trip_id,{header}\n")
        for start in range(0, rows, len(lines)):
            file.writelines(
                f"{md5(b'%d' % number, usedforsecurity=False).hexdigest()}0000,{line}\n"
                for number, line in enumerate(lines[: rows - start], start)
            )
    return derive


def write_wide(path: Path, columns: int, rows: int) -> None:
    """Write a CSV file of words, integers, decimal numbers, integers with marks of missing values, and hexadecimal codes."""
    draw = random.Random(1)
    words = [f"w{number:03d}" for number in range(50)]
    forms = (
        lambda bits: words[bits % 50],
        lambda bits: bits % 1000,
        lambda bits: f"{bits / 7e8:.4f}",
        lambda bits: bits % 77_777 if bits % 97 else "?",
        lambda bits: f"{bits:x}",
    )
    with path.open("w") as file:
        file.write(",".join(f"c{column}" for column in range(columns)) + "\n")
        for _ in range(rows):
            file.write(",".join(str(forms[column % 5](draw.getrandbits(31))) for column in range(columns)) + "\n")


def measured(
    python: str | Path, code: str, path: Path, *arguments: str, output: str | None = None
) -> tuple[float, float, float]:
    """Return the seconds, the CPU seconds and the peak memory in MB of a process; remove its output unless given a folder."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        start = time.perf_counter()
        command = [python, "-W", "ignore", "-c", code, path, output or folder, *arguments]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ""}
        )
        cpu, peak = json.loads(done.stdout.strip().splitlines()[-1])
        return time.perf_counter() - start, cpu, peak


def show(name: str, runs: list[tuple[float, float, float]]) -> None:
    """Print the medians of runs."""
    seconds, cpu, peak = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f"{name:<44} {seconds:7.2f} {cpu:7.2f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
