"""Bootstrap samples: their means and spread, few and many rows, and the intervals of all metrics."""

import numpy as np
import pytest

from tiffin.artifacts.measures import Interval
from tiffin.quality import bootstrap, intervals, metrics
from tiffin.quality.outcomes import Outcomes


def outcomes(task, rows, seed=0):
    rng = np.random.default_rng(seed)
    if task == "regression":
        truth = rng.normal(size=rows)
        return Outcomes(task, 0, truth, (truth + rng.standard_t(5, rows)).astype(np.float32))
    classes = 2 if task == "binary" else 6
    truth = rng.integers(0, classes, rows)
    odds = rng.normal(size=(rows, classes))
    odds[np.arange(rows), truth] += 1
    answer = (np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)).astype(np.float32)
    return Outcomes(task, classes, truth, answer[:, 1] if task == "binary" else answer)


class TestMeans:
    def test_of_constant_rows_are_constant(self):
        found = bootstrap.means(np.full((5000, 2), 3.0), bootstrap.seeded("a"), 50)

        np.testing.assert_allclose(found, 3.0)

    @pytest.mark.parametrize("rows", [30, 1024, 1025, 20_000])
    def test_vary_as_the_mean_does(self, rows):
        rng = np.random.default_rng(1)
        columns = np.stack([rng.exponential(size=rows), rng.normal(size=rows)], axis=1)
        columns[:, 1] += columns[:, 0]
        found = bootstrap.means(columns, bootstrap.seeded("a"), 4000)

        np.testing.assert_allclose(found.mean(axis=0), columns.mean(axis=0), atol=4 / np.sqrt(rows))
        np.testing.assert_allclose(np.cov(found.T) * rows, np.cov(columns.T), rtol=0.15, atol=0.05)

    def test_keep_the_weight_of_a_single_extreme_row(self):
        values = np.append(np.zeros(49_999), 1e6)[:, None]
        found = bootstrap.means(values, bootstrap.seeded("a"), 2000)[:, 0]

        # The row is in a sample 0, 1, 2 times and so on, and missing in 37 % of them.
        assert np.mean(found < 1) == pytest.approx(np.exp(-1), abs=0.04)

    def test_are_the_same_for_the_same_seed_only(self):
        values = np.arange(10.0)[:, None]
        one, same, other = (bootstrap.means(values, bootstrap.seeded(name), 20) for name in ("a", "a", "b"))

        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)


class TestInterval:
    def test_of_an_undefined_metric(self):
        assert bootstrap.interval(None, np.zeros(10)) is None
        assert bootstrap.interval(0.5, np.array([np.nan] * 2 + [0.5] * 8)) is None
        assert bootstrap.interval(0.5, np.array([])) is None

    def test_is_around_the_value_and_within_the_range(self):
        found = bootstrap.interval(0.99, np.linspace(0.9, 1.0, 1001), 0, 1)

        assert found == Interval(0.9425, 1.0)


class TestMetrics:
    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_every_metric_has_an_interval_around_it(self, task):
        found = outcomes(task, 600)
        values = metrics.measure(found)
        ends = intervals.find_intervals(found, values, "a")

        assert set(ends) == set(values)
        assert not [name for name, value in values.items() if not ends[name].low <= value <= ends[name].high]

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_samples_in_which_each_row_is_drawn_once_have_the_metrics(self, monkeypatch, task):
        found = outcomes(task, 900)
        monkeypatch.setattr(bootstrap, "draws", lambda counts, rng, rounds: [np.array([counts], float)])
        samples = {
            "binary": intervals._binary,
            "multiclass": intervals._multiclass,
            "regression": intervals._regression,
        }
        drawn = samples[task](found, bootstrap.seeded("a"), 1)
        values = metrics.measure(found)
        if task == "multiclass":  # what rows add to the AUC, around 0
            assert drawn.pop("auc") == pytest.approx(0, abs=1e-12)
            values.pop("auc")

        assert {name: each[0] for name, each in drawn.items()} == pytest.approx(values, rel=1e-5)

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_intervals_hold_the_metric_of_many_rows(self, task):
        exact = metrics.measure(outcomes(task, 50_000, seed=99))
        held = dict.fromkeys(exact, 0)
        for seed in range(30):
            found = outcomes(task, 400, seed)
            ends = intervals.find_intervals(found, metrics.measure(found), seed, rounds=200)
            for name in exact:
                held[name] += ends[name].low <= exact[name] <= ends[name].high
        # 28.5 of 30 are expected, and 25 or more in 99 % of draws. The error of calibration on few rows is too large by noise.
        held.pop("calibration_error", None)

        assert not {name: count for name, count in held.items() if count < 24}

    def test_of_predictions_that_are_not_finite_are_none(self):
        found = Outcomes("binary", 2, np.array([0, 1]), np.array([np.nan, 0.5]))

        assert intervals.find_intervals(found, metrics.measure(found), "a") == {}

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_of_few_rows(self, task, rows):
        found = outcomes(task, rows)
        ends = intervals.find_intervals(found, metrics.measure(found), "a")

        assert all(end.low <= end.high for end in ends.values())

    def test_of_one_class_and_constant_predictions(self):
        found = Outcomes("binary", 2, np.ones(50, int), np.full(50, 0.9, np.float32))
        ends = intervals.find_intervals(found, metrics.measure(found), "a")

        assert "auc" not in ends
        assert ends["log_loss"].low == pytest.approx(ends["log_loss"].high)

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_do_not_depend_on_the_order_of_the_rows(self, task):
        found = outcomes(task, 3000)
        mixed = found.of(np.random.default_rng(1).permutation(3000))
        one, other = (intervals.find_intervals(each, metrics.measure(each), "a") for each in (found, mixed))

        for name, ends in one.items():
            assert (ends.low, ends.high) == pytest.approx((other[name].low, other[name].high), rel=1e-5)
