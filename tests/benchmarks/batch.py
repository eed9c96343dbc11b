"""Predict up to a million rows of the taxi data in a batch, and with other tools, with the time and the memory of each.

    python tests/benchmarks/batch.py [--rows N]

It trains a model in a temporary folder, and predicts with it: with the pipeline batch_prediction,
with predict_batch alone at a tenth of the rows and all, and with what one would write by hand: MLflow's `pyfunc` of the same
model, and the SavedModel over chunks of pandas. Without the taxi data beside the checkout, rows of sample:deliveries are used.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAXI = ROOT.parent / "shared" / "data" / "chicago_taxi.csv"
MODEL = ROOT / ".venvs" / "model" / "bin" / "python"
TIFFIN = Path(sys.prefix) / "bin" / "tiffin"

# Prints seconds, MiB at the peak and the mean probability, as JSON.
_START = """
import json, os, resource, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
started = time.perf_counter()
"""
_END = """
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - started, mib, mean]))
"""
BATCH = """
from tiffin.stages.predict.prediction import predict
import pyarrow.parquet as pq, pyarrow.compute as pc
examples, root, output = sys.argv[1:]
found = predict(examples, output, name="bench", serving_root=root, key="trip")
seconds = time.perf_counter() - started
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
mean = pc.mean(pq.read_table([f"{found.location}/{file.name}" for file in found.files])["probability"]).as_py()
print(json.dumps([seconds, mib, mean]))
"""
PYFUNC = """
import mlflow, pandas as pd
data, uri, output = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model("models:/bench/1")
frame = pd.read_csv(data, dtype={name: "str" for name in ("company", "payment_type", "trip")})
answers = model.predict(frame)
answers["trip"] = frame["trip"]
answers.to_parquet(output)
mean = float(answers["probability"].mean())
"""
BY_HAND = """
import numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq
data, folder, output = sys.argv[1:]
loaded = tf.saved_model.load(folder)
run = loaded.signatures["serving_default"]
specs = run.structured_input_signature[1]
texts = {name: "str" for name, spec in specs.items() if spec.dtype == tf.string}
writer, total, count = None, 0.0, 0
for frame in pd.read_csv(data, dtype=texts | {"trip": "str"}, chunksize=8192):
    given = {}
    for name, spec in specs.items():
        values = frame[name].fillna("").to_numpy(object) if spec.dtype == tf.string else frame[name].to_numpy(np.float64)
        given[name] = tf.constant(values, spec.dtype)
    p = run(**given)["probability"].numpy()
    table = pa.table({"trip": frame["trip"].to_numpy(object), "probability": p})
    writer = writer or pq.ParquetWriter(output, table.schema)
    writer.write_table(table)
    total, count = total + float(p.sum()), count + len(p)
writer.close()
mean = total / count
"""


def main() -> None:
    """Print seconds, rows per second, and the memory of each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        state = folder / "state"
        train(state)
        print(f"{'':<52} {'rows':>9} {'seconds':>8} {'rows/s':>9} {'MiB':>6} {'mean':>7}")
        for count in dict.fromkeys((rows // 10, rows)):
            data = write(folder / f"{count}.csv", count)
            started = time.perf_counter()
            result = tiffin("run", "batch_prediction", "--state", state, "--set", f"data={data}", "--set", "model_name=bench",
                            "--set", "key=trip", "--set", f"output={folder / 'out'}", "--json")  # fmt: skip
            seconds = time.perf_counter() - started
            show("pipeline batch_prediction, with ingest", count, seconds)
            for step in result["steps"]:
                if step["name"] in ("ingest-examples", "predict-batch"):
                    show(f"  step {step['title']}", count, step["seconds"])
            [examples] = state.glob(f"runs/{result['run']}/artifacts/*/ingest-examples/examples")
            show("predict_batch alone", count, *measure(_START + BATCH, examples, state / "serving", folder / "alone"))
            again = tiffin("run", "batch_prediction", "--state", state, "--set", f"data={data}", "--set", "model_name=bench",
                           "--set", "key=trip", "--set", f"output={folder / 'out'}", "--json")  # fmt: skip
            [step] = [step for step in again["steps"] if step["name"] == "predict-batch"]
            show("  step Predict again: all files are reused", count, step["seconds"])
            model = state / "serving" / "bench" / "versions" / "1"
            show(
                "SavedModel over chunks of pandas, from CSV",
                count,
                *measure(_START + BY_HAND + _END, data, model, folder / "x"),
            )
            uri = f"sqlite:///{state / 'mlflow.db'}"
            show("mlflow.pyfunc, from CSV", count, *measure(_START + PYFUNC + _END, data, uri, folder / "y"))
    print("target: 1 million taxi rows in under 60 s, memory flat")


def train(state: Path) -> None:
    """Train and deploy a model."""
    taxi = ["data=" + str(TAXI), "label=big_tipper", 'derive={"big_tipper": "tips > 0.2 * fare"}', 'exclude=["tips"]']
    settings = taxi if TAXI.exists() else ["data=sample:deliveries", "label=late"]
    options = [part for setting in (*settings, "model_name=bench", "epochs=2") for part in ("--set", setting)]
    tiffin("run", "training", "--state", state, *options, "--stop-server", "--json")


def write(path: Path, count: int) -> Path:
    """Write rows of the data, again and again, each with a key of its own."""
    source = TAXI
    if not source.exists():
        source = path.with_name("sample.csv")
        source.write_bytes(subprocess.run([TIFFIN, "sample", "deliveries"], check=True, capture_output=True).stdout)
    with source.open(newline="") as file:
        header, *rows = csv.reader(file)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trip", *header])
        writer.writerows([f"t{number:09d}", *rows[number % len(rows)]] for number in range(count))
    return path


def tiffin(*arguments: object) -> dict:
    """Run a command and return the object that it prints."""
    done = subprocess.run([TIFFIN, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(code: str, *arguments: object) -> list[float]:
    """Run code in the environment `model`, and return the numbers that it prints."""
    done = subprocess.run([MODEL, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def show(name: str, rows: int, seconds: float, mib: float | None = None, mean: float | None = None) -> None:
    """Print a line."""
    memory = "" if mib is None else f"{mib:.0f}"
    average = "" if mean is None else f"{mean:.4f}"
    print(f"{name:<52} {rows:>9,} {seconds:8.1f} {rows / seconds:9,.0f} {memory:>6} {average:>7}", flush=True)


if __name__ == "__main__":
    main()
