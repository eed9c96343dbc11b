"""Performance without labels, of regressions."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiffin.artifacts.measures import Calibration
from tiffin.performance.comparison import Reference
from tiffin.performance.losses import estimate_losses, fit_losses, losses_of

INPUTS = {"x": "float64", "city": "string", "flags": "list<bool>"}


def write(path, rows, rng, *, shift=0.0, noise=1.0, labels=True, time=0):
    """Write joined answers whose error grows with the input x, and is twice as large in Oslo."""
    x = rng.normal(shift, 1, rows)
    oslo = rng.random(rows) < 0.5
    answer = 3 * x
    truth = answer + rng.normal(0, 1, rows) * np.exp(x / 2) * np.where(oslo, 2, 1) * noise
    city = pa.array(np.where(oslo, "Oslo", "Bergen"))
    columns = {
        "time": np.full(rows, time), "score_0": answer, "truth": pa.array(truth) if labels else pa.nulls(rows, pa.float64()),
        "input.x": x, "input.city": city, "input.flags": pa.array([[True]] * rows),
    }  # fmt: skip
    pq.write_table(pa.table(columns), path)
    apart = truth - answer
    return {"mae": float(np.abs(apart).mean()), "rmse": float(np.sqrt((apart**2).mean()))}


def test_few_labels(tmp_path):
    write(tmp_path / "a", 999, np.random.default_rng(1))

    assert fit_losses(tmp_path / "a", INPUTS) is None


def test_no_answers(tmp_path):
    write(tmp_path / "a", 10, np.random.default_rng(1))
    model = losses_of(None, Reference("regression", 10, {"rmse": 1.0, "mae": 0.5}, {}))

    found = estimate_losses(model, tmp_path / "a", since=1)

    assert (found.rows, found.metrics) == (0, {"rmse": None, "mae": None})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the losses from 10,000 rows with labels."""
    path = tmp_path_factory.mktemp("losses") / "a"
    write(path, 10_000, np.random.default_rng(1))
    return fit_losses(path, INPUTS)


@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.7])
def test_estimate_follows_the_inputs(tmp_path, model, shift):
    realised = write(tmp_path / "b", 20_000, np.random.default_rng(2), shift=shift)

    found = estimate_losses(model, tmp_path / "b")

    assert (found.source, model.rows, found.rows) == ("labels", 10_000, 20_000)
    assert found.metrics["mae"] == pytest.approx(realised["mae"], rel=0.05)
    assert found.metrics["rmse"] == pytest.approx(realised["rmse"], rel=0.1)


def test_concept_drift_is_beyond_the_interval(tmp_path, model):
    rng = np.random.default_rng(3)
    same, drifted = write(tmp_path / "b", 3000, rng), write(tmp_path / "c", 3000, rng, noise=1.3)

    found = {name: estimate_losses(model, tmp_path / name, labelled=True, fixed=True) for name in "bc"}

    for metric in ("mae", "rmse"):
        ends = found["b"].intervals[metric]
        assert ends.low <= same[metric] <= ends.high
        assert drifted[metric] > found["c"].intervals[metric].high


def test_only_labels_before_a_time(tmp_path):
    write(tmp_path / "a", 2000, np.random.default_rng(1), time=100)

    assert fit_losses(tmp_path / "a", INPUTS, until=100) is None
    assert fit_losses(tmp_path / "a", INPUTS, until=101).rows == 2000


def test_sample_of_many_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("tiffin.performance.losses.MOST_ROWS", 1000)
    write(tmp_path / "a", 3500, np.random.default_rng(1))

    # Every fourth row.
    assert fit_losses(tmp_path / "a", INPUTS).rows == 875


def test_rows_without_labels_are_estimated(tmp_path, model):
    write(tmp_path / "b", 100, np.random.default_rng(1), labels=False)

    assert estimate_losses(model, tmp_path / "b").rows == 100
    assert estimate_losses(model, tmp_path / "b", labelled=True).rows == 0


def test_new_and_missing_values(tmp_path, model):
    columns = {
        "time": [0, 0],
        "score_0": [1.0, 1.0],
        "truth": [1.0, 1.0],
        "input.x": [None, 1.0],
        "input.city": [None, "Voss"],
    }
    pq.write_table(pa.table(columns), tmp_path / "b")

    assert estimate_losses(model, tmp_path / "b").rows == 2


class TestEvaluation:
    def test_by_hand(self, tmp_path):
        """Half of the rows are off by 3 on average: of a squared error of 25, 4.5 is bias, and 20.5 is spread."""
        curve = Calibration((0.0, 10.0), (0.0, 13.0), (50, 50))
        model = losses_of(curve, Reference("regression", 100, {"rmse": 5.0, "mae": 4.0}, {"rmse": 0.1, "mae": 0.1}))
        pq.write_table(pa.table({"time": [0, 0], "score_0": [9.0, 8.0]}), tmp_path / "a")

        found = estimate_losses(model, tmp_path / "a", fixed=True)

        # Both rows are in the bin with the bias.
        assert found.metrics["rmse"] == pytest.approx(math.sqrt(20.5 + 9))
        assert found.metrics["mae"] == pytest.approx(4 * math.sqrt(29.5) / 5)
        # The spread of the absolute error is sqrt(25 - 16) = 3.
        assert found.errors["mae"] == pytest.approx(math.sqrt(9 / 2 + 0.01))
        assert found.source == "evaluation"

    def test_unchanged_predictions_give_the_values_of_the_evaluation(self, tmp_path):
        curve = Calibration((0.0, 10.0), (0.0, 13.0), (1, 1))
        model = losses_of(curve, Reference("regression", 2, {"rmse": 5.0, "mae": 4.0}, {}))
        pq.write_table(pa.table({"time": [0, 0], "score_0": [1.0, 9.0]}), tmp_path / "a")

        assert estimate_losses(model, tmp_path / "a").metrics["rmse"] == pytest.approx(5)

    def test_without_metrics(self):
        assert losses_of(None, Reference("regression", 2, {"rmse": None, "mae": None}, {})) is None

    def test_perfect_model(self, tmp_path):
        model = losses_of(None, Reference("regression", 2, {"rmse": 0.0, "mae": 0.0}, {}))
        pq.write_table(pa.table({"time": [0], "score_0": [1.0]}), tmp_path / "a")

        assert estimate_losses(model, tmp_path / "a").metrics == {"rmse": 0, "mae": 0}
