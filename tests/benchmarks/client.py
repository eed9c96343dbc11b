"""Measure the client's import time in seconds, and its size without numpy in MB.

    .venvs/sdk/bin/python tests/benchmarks/client.py

Each import runs in a new process. The imports alternate, so that load on the machine affects all of them, and the fastest
run counts. Targets: below 0.3 s and below 60 MB.
"""

import importlib.metadata
import pathlib
import subprocess
import sys

import tiffin

ROUNDS = 9
STATEMENTS = ("import numpy", "import grpc", "import grpc, numpy", "from tiffin.serving import Client")
SECONDS_TARGET, MEGABYTES_TARGET = 0.3, 60
NEEDED = ("grpcio", "protobuf", "typing-extensions")  # the extra `client` installs these and numpy


def main() -> int:
    """Print import times and sizes of the client and its dependencies; return 1 if a target is missed."""
    rounds = [{statement: seconds(statement) for statement in STATEMENTS} for _ in range(ROUNDS)]
    best = {statement: min(measured[statement] for measured in rounds) for statement in STATEMENTS}
    for statement, taken in best.items():
        print(f"{statement:<34} {taken:6.3f} s")
    ours = sum(path.stat().st_size for path in pathlib.Path(tiffin.__file__).parent.rglob("*") if path.is_file()) / 1e6
    sizes = {"tiffin": ours} | {name: megabytes(name) for name in NEEDED}
    for name, size in sizes.items():
        print(f"{name:<34} {size:6.1f} MB")
    is_met = best[STATEMENTS[-1]] < SECONDS_TARGET and sum(sizes.values()) < MEGABYTES_TARGET
    print(
        f"client: {best[STATEMENTS[-1]]:.3f} s (target: below {SECONDS_TARGET}), {sum(sizes.values()):.0f} MB without numpy "
        f"(target: below {MEGABYTES_TARGET}): {'met' if is_met else 'missed'}"
    )
    return 0 if is_met else 1


def seconds(statement: str) -> float:
    """Return the run time of a statement in a new interpreter, without the interpreter's start."""
    script = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)


def megabytes(distribution: str) -> float:
    """Return the size of a distribution's files."""
    paths = [pathlib.Path(str(file.locate())) for file in importlib.metadata.files(distribution) or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
