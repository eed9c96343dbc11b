"""Compare the default model with scikit-learn's gradient boosting, trained and evaluated on the same rows.

    python tests/benchmarks/quality.py RUN

RUN is the folder of a run of `tiffin run training`, such as .tiffin/runs/training-...
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from tiffin.artifacts.model import read_training
from tiffin.artifacts.shards import open_shards
from tiffin.stages.evaluate.evaluation import evaluate
from tiffin.stages.train.training import train


def main(run: str) -> None:
    """Print AUC, log loss and training time in seconds of both models."""
    steps = next(Path(run).glob("artifacts/*/train-model")).parent
    examples, statistics, schema = (
        steps / name
        for name in ("ingest-examples/examples", "validate-examples/statistics", "validate-examples/schema")
    )
    label = read_training(steps / "train-model/model").label
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        record = train(examples, statistics, schema, folder, label)
        seconds = time.perf_counter() - start
        found = evaluate(folder, examples, Path(folder, "evaluation")).metrics
    print(f"{'':<45} {'AUC':>7} {'log loss':>9} {'train s':>8}")
    print(f"{'tiffin train_model, defaults':<45} {found['auc']:7.4f} {found['log_loss']:9.4f} {seconds:8.1f}")
    start = time.perf_counter()
    (x, y), (x_eval, y_eval) = (frame(examples, split, record.columns, label) for split in ("train", "eval"))
    boosting = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=1).fit(x, y)
    seconds = time.perf_counter() - start
    p = boosting.predict_proba(x_eval)[:, 1]
    print(
        f"{'scikit-learn HistGradientBoostingClassifier':<45} {roc_auc_score(y_eval, p):7.4f} {log_loss(y_eval, p):9.4f} {seconds:8.1f}"
    )


def frame(examples: Path, split: str, columns: tuple[str, ...], label: str):
    """Return the columns of a split for scikit-learn, and the label, without the rows that lack it."""
    frame = pa.concat_tables(shard.read() for _, shard in open_shards(examples, split)).to_pandas()
    frame = frame[frame[label].notna()]
    for name in columns:
        if frame[name].dtype == object or str(frame[name].dtype) in ("str", "string"):
            # scikit-learn supports at most 255 categories per column.
            kept = frame[name].value_counts().index[:250]
            frame[name] = frame[name].where(frame[name].isin(kept)).astype("category")
    return frame[list(columns)], np.asarray(frame[label])


if __name__ == "__main__":
    main(sys.argv[1])
