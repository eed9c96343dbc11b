"""What the client costs before its first call: seconds to import it, and megabytes beyond numpy.

    .venvs/sdk/bin/python tests/benchmarks/client.py

Each import has a fresh process; the fastest of a few counts, and they take turns, so that a busy moment of the machine
falls on all. The marks: under 0.3 s, and under 60 MB beside numpy.
"""

import importlib.metadata
import pathlib
import subprocess
import sys

import tiffin

ROUNDS = 9
STATEMENTS = ("import numpy", "import grpc", "import grpc, numpy", "from tiffin.serving import Client")
SECONDS_MARK, MEGABYTES_MARK = 0.3, 60
NEEDED = ("grpcio", "protobuf", "typing-extensions")  # what the extra `client` installs besides numpy


def main() -> int:
    """Print both figures beside those of what they stand on; return 1 where a mark is missed."""
    rounds = [{statement: seconds(statement) for statement in STATEMENTS} for _ in range(ROUNDS)]
    best = {statement: min(measured[statement] for measured in rounds) for statement in STATEMENTS}
    for statement, taken in best.items():
        print(f"{statement:<34} {taken:6.3f} s")
    ours = sum(path.stat().st_size for path in pathlib.Path(tiffin.__file__).parent.rglob("*") if path.is_file()) / 1e6
    weights = {"tiffin": ours} | {name: megabytes(name) for name in NEEDED}
    for name, weight in weights.items():
        print(f"{name:<34} {weight:6.1f} MB")
    is_met = best[STATEMENTS[-1]] < SECONDS_MARK and sum(weights.values()) < MEGABYTES_MARK
    print(
        f"client: {best[STATEMENTS[-1]]:.3f} s (mark: under {SECONDS_MARK}), {sum(weights.values()):.0f} MB beyond numpy "
        f"(mark: under {MEGABYTES_MARK}): {'met' if is_met else 'missed'}"
    )
    return 0 if is_met else 1


def seconds(statement: str) -> float:
    """Return how long a statement takes in a fresh interpreter, whose own start does not count."""
    script = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)


def megabytes(distribution: str) -> float:
    """Return what a distribution's files weigh."""
    paths = [pathlib.Path(str(file.locate())) for file in importlib.metadata.files(distribution) or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
