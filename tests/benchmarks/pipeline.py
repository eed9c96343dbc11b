"""Time the steps of the training pipeline with and without warm interpreters, and the imports of a cold step.

    python tests/benchmarks/pipeline.py [--set data=trips.csv --set label=tip ...]

Arguments are passed to `tiffin run training`; without arguments, it uses the generated deliveries. Warm and cold runs
alternate, so that load on the machine affects both.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tiffin.local import environments

_RUNS = 3
_IMPORTS = {
    "data": ("duckdb", "tiffin.validation.tfdv"),
    "model": ("tensorflow", "keras", "scipy.special", "mlflow"),
}


def main(arguments: list[str]) -> None:
    """Print the tables of step times and import times, then run the quality benchmark."""
    console = Console()
    tiffin = str(Path(sys.executable).with_name("tiffin"))
    runs: dict[str, list[dict[str, float]]] = {"warm": [], "cold": []}
    for number in range(_RUNS):
        for mode, times in runs.items():
            console.print(f"run {number + 1} of {_RUNS}, {mode}", style="dim")
            with tempfile.TemporaryDirectory() as state:
                times.append(_run(tiffin, [*arguments, *(["--cold"] if mode == "cold" else [])], state))
    table = Table("step", "warm s", "cold s", "cold / warm", title=f"tiffin run training, medians of {_RUNS} runs each")
    for column in table.columns[1:]:
        column.justify = "right"
    for step in runs["warm"][0]:
        warm, cold = (statistics.median(times[step] for times in runs[mode]) for mode in ("warm", "cold"))
        table.add_row(step, f"{warm:.2f}", f"{cold:.2f}", f"{cold / warm:.1f}")
    console.print(table)
    imports = Table("environment", "import", "s", title="A cold process: time to import, medians")
    imports.columns[2].justify = "right"
    for environment, modules in _IMPORTS.items():
        for module in modules:
            imports.add_row(environment, module, f"{_import_seconds(environment, module):.2f}")
    console.print(imports)
    # On the same artifacts, in the environment that has scikit-learn.
    with tempfile.TemporaryDirectory() as state:
        _run(tiffin, arguments, state)
        run = next(Path(state, "runs").iterdir())
        quality = Path(__file__).with_name("quality.py")
        subprocess.run(
            [environments.find_python("model"), "-W", "ignore", quality, run], check=True, stderr=subprocess.DEVNULL
        )


def _run(tiffin: str, arguments: list[str], state: str) -> dict[str, float]:
    """Return the seconds of each step and of the whole run."""
    command = [tiffin, "run", "training", "--state", state, "--stop-server", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: The run failed with exit status {done.returncode}.\n{done.stderr[-2000:]}")
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    steps = {step["name"]: step["seconds"] for step in summary["steps"] if step["seconds"] is not None}
    return steps | {"whole run": summary["seconds"]}


def _import_seconds(environment: str, module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    times = []
    for _ in range(_RUNS):
        python = environments.find_python(environment)
        done = subprocess.run([str(python), "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
        times.append(float(done.stdout.strip().splitlines()[-1]))
    return statistics.median(times)


if __name__ == "__main__":
    main(sys.argv[1:])
