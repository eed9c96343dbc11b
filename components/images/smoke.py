"""Checks that an image works without the removed packages. Runs inside the build: `python smoke.py data|model|gateway`."""

import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tiffin.stages


def main() -> int:
    """Check this environment as the image that the command line names."""
    environment = sys.argv[1]
    for name in packages(environment):
        for module in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."):
            # A component's declaration imports all of kfp, which the images do not have.
            if not module.name.endswith((".component", ".__main__")):
                importlib.import_module(module.name)
    CHECKS[environment]()
    sys.stdout.write(f"tiffin {tiffin.__version__}: the image '{environment}' works\n")
    return 0


def packages(environment: str) -> Iterator[str]:
    """Yield the packages of Tiffin that run in an image: its stages, and the programs that are in no stage."""
    for stage, components in tiffin.stages.find_stages().items():
        if any(row.environment == environment for row in components.values()):
            yield f"tiffin.stages.{stage}"
    if environment == "model":
        yield from ("tiffin.serving", "tiffin.model_server")
    if environment == "gateway":
        yield from ("tiffin.gateway", "tiffin.recorder")


def check_data() -> None:
    """Write Parquet with DuckDB, find statistics, a schema and an anomaly with TFDV; draw a chart, and a report of Evidently."""
    import altair
    import duckdb
    import pyarrow.parquet

    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import Report
    from evidently.presets import DataDriftPreset

    from tiffin.report.drawing import draw
    from tiffin.report.drawing import rows as make_rows
    from tiffin.validation.tfdv import tfdv

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        rows: Any = duckdb.sql("SELECT i AS a, 'x' || (i % 3) AS b FROM range(100) t(i)")
        rows.write_parquet(str(path))
        table = pyarrow.parquet.read_table(path)
    statistics = tfdv.generate_statistics_from_dataframe(table.to_pandas())
    schema = tfdv.infer_schema(statistics)
    other = tfdv.generate_statistics_from_dataframe(table.select(["a"]).to_pandas())
    anomalies = tfdv.validate_statistics(other, schema)
    if set(anomalies.anomaly_info) != {"b"}:
        raise SystemExit(f"TFDV did not report the missing column b: {anomalies}")
    chart = altair.Chart(make_rows(x=[1, 2], y=[3, 4])).mark_line().encode(x="x:Q", y="y:Q")
    if "<path" not in draw(chart, "smoke"):
        raise SystemExit("The chart has no line.")
    Report([DataDriftPreset()]).run(table.to_pandas(), table.to_pandas()).dict()


def check_model() -> None:
    """Train, export and load a Keras model, also as TensorFlow Serving loads it; evaluate it; register it in MLflow."""
    import keras
    import mlflow
    import numpy as np
    import tensorflow as tf
    from sklearn import metrics

    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    network.compile("adamw", "binary_crossentropy")
    rows = np.random.default_rng(1).normal(size=(64, 2)).astype("float32")
    labels = (rows.sum(axis=1) > 0).astype("float32")
    network.fit(rows, labels, epochs=2, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False)
        served = tf.saved_model.load(folder).signatures["serving_default"](tf.constant(rows))
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            tf.compat.v1.saved_model.load(session, ["serve"], folder)
        client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
        client.create_registered_model("smoke")
    scores = next(iter(served.values())).numpy()[:, 0]
    if not np.allclose(scores, network.predict(rows, verbose=0)[:, 0], atol=1e-5):
        raise SystemExit("The exported model and the trained model give different predictions.")
    metrics.roc_auc_score(labels, scores)


def check_gateway() -> None:
    """Start the binary of Envoy, import its services, and write Parquet."""
    import envoy
    import pyarrow as pa
    import pyarrow.parquet
    from envoy.service.accesslog.v3 import als_pb2

    program = Path(envoy.__path__[0], "_bin", "envoy")
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    if "/RELEASE/" not in version:
        raise SystemExit(f"Envoy does not start: {version}")
    als_pb2.StreamAccessLogsMessage()
    with tempfile.TemporaryDirectory() as folder:
        pyarrow.parquet.write_table(pa.table({"a": [1]}), Path(folder, "rows.parquet"))


CHECKS: dict[str, Callable[[], None]] = {"data": check_data, "model": check_model, "gateway": check_gateway}

if __name__ == "__main__":
    sys.exit(main())
