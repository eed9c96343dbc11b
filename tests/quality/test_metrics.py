"""Metrics of a few rows, compared with values calculated by hand."""

from math import log

import numpy as np
import pytest

from tiffin.quality import calibration, definitions, metrics
from tiffin.quality.outcomes import Outcomes

NAN = float("nan")


def measured(outcomes):
    return metrics.measure(outcomes) | metrics.baseline(outcomes)


def binary(truth, probability):
    return measured(Outcomes("binary", 2, truth, probability))


def multiclass(truth, probabilities):
    return measured(Outcomes("multiclass", probabilities.shape[1], truth, probabilities))


def regression(truth, prediction):
    return measured(Outcomes("regression", 0, truth, prediction))


class TestBinary:
    def test_by_hand(self):
        # At 0.5: one true positive, one false positive, one false negative, one true negative.
        found = binary(np.array([1, 0, 1, 0]), np.array([0.9, 0.6, 0.4, 0.1]))

        assert found == {
            "auc": 0.75,  # three of four pairs are ranked correctly
            "average_precision": pytest.approx((1 + 2 / 3) / 2),
            "accuracy": 0.5,
            "precision": 0.5,
            "recall": 0.5,
            "f1": 0.5,
            "log_loss": pytest.approx(-(log(0.9) + log(0.4) + log(0.4) + log(0.9)) / 4),
            "brier": pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4),
            # Four rows in bins of their own: each is off by the distance to its label.
            "calibration_error": pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4),
            "baseline_log_loss": pytest.approx(log(2)),
        }

    def test_one_class_has_no_auc(self):
        found = binary(np.array([1, 1]), np.array([0.9, 0.1]))

        assert (found["auc"], found["average_precision"]) == (None, None)
        assert (found["accuracy"], found["precision"], found["recall"]) == (0.5, 1, 0.5)

    def test_no_positive_prediction(self):
        found = binary(np.array([1, 0]), np.array([0.2, 0.1]))

        assert (found["precision"], found["recall"], found["f1"]) == (0, 0, 0)

    def test_log_loss_of_certain_errors_is_finite(self):
        found = binary(np.array([1, 0]), np.array([0.0, 1.0]))

        assert 30 < found["log_loss"] < 40

    @pytest.mark.parametrize("bad", [NAN, float("inf")])
    def test_predictions_that_are_not_finite_are_not_measured(self, bad):
        found = binary(np.array([1, 0]), np.array([bad, 0.1]))

        assert found.pop("baseline_log_loss") == pytest.approx(log(2))
        assert set(found) == set(definitions.BINARY)
        assert set(found.values()) == {None}


class TestMulticlass:
    def test_by_hand(self):
        probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3]])
        found = multiclass(np.array([0, 1, 2]), probabilities)

        assert found == {
            # one-vs-rest: class 0 ranks first; class 1 behind row 3; class 2 ties with row 2
            "auc": pytest.approx((1 + 0.5 + 0.75) / 3),
            "accuracy": pytest.approx(2 / 3),
            "f1": pytest.approx((1 + 2 / 3 + 0) / 3),
            "log_loss": pytest.approx(-(log(0.8) + log(0.5) + log(0.3)) / 3),
            "calibration_error": pytest.approx((0.2 + 0.5 + 0.6) / 3),
            "baseline_log_loss": pytest.approx(log(3)),
        }

    def test_a_class_missing_in_the_split(self):
        probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
        found = multiclass(np.array([0, 1]), probabilities)

        assert (found["auc"], found["accuracy"]) == (1, 1)

    def test_one_class_has_no_auc(self):
        assert multiclass(np.array([0]), np.array([[0.8, 0.2]]))["auc"] is None

    def test_float32_rows_need_not_sum_to_one_exactly(self):
        probabilities = np.full((3, 3), 1 / 3, np.float32) * np.float32(1.00001)

        assert multiclass(np.arange(3), probabilities)["log_loss"] == pytest.approx(log(3))

    def test_predictions_that_are_not_finite_are_not_measured(self):
        found = multiclass(np.arange(3), np.full((3, 3), NAN))

        assert found.pop("baseline_log_loss") == pytest.approx(log(3))
        assert found == dict.fromkeys(("auc", "accuracy", "f1", "log_loss", "calibration_error"))

    def test_top_accuracies_of_more_classes(self):
        # The label is the most likely class, the third and the fourth of six.
        probabilities = np.array([[0.4, 0.3, 0.1, 0.1, 0.06, 0.04]] * 3)
        found = multiclass(np.array([0, 3, 4]), probabilities)

        # Of two equal probabilities, scikit-learn takes the later class first.
        assert (found["top_3_accuracy"], found["top_5_accuracy"]) == (pytest.approx(2 / 3), 1)
        assert not {"top_3_accuracy", "top_5_accuracy"} & set(multiclass(np.arange(3), np.full((3, 3), 1 / 3)))
        assert "top_5_accuracy" not in multiclass(np.arange(3), np.full((3, 5), 1 / 5))


class TestRegression:
    def test_by_hand(self):
        found = regression(np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0]))

        assert found == {
            "r2": pytest.approx(1 - 5 / 14),
            "rmse": pytest.approx((5 / 3) ** 0.5),
            "mae": 1.0,
            # Too high by 1, right, and too low by 2.
            "pinball_loss_10": pytest.approx((0.9 * 1 + 0.1 * 2) / 3),
            "pinball_loss_90": pytest.approx((0.1 * 1 + 0.9 * 2) / 3),
            "baseline_rmse": pytest.approx((14 / 3) ** 0.5),
        }

    def test_one_row_has_no_r2(self):
        found = regression(np.array([1.0]), np.array([3.0]))

        assert (found["r2"], found["rmse"], found["mae"], found["baseline_rmse"]) == (None, 2.0, 2.0, 0.0)

    @pytest.mark.parametrize("bad", [NAN, float("-inf")])
    def test_predictions_that_are_not_finite_are_not_measured(self, bad):
        found = regression(np.array([1.0, 3.0]), np.array([bad, 3.0]))

        assert found.pop("baseline_rmse") == 1.0
        assert found == dict.fromkeys(definitions.REGRESSION)


def test_every_metric_has_a_direction():
    assert set(definitions.HIGHER_IS_BETTER) == {name for names in definitions.METRICS.values() for name in names}


class TestChunks:
    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_make_no_difference(self, monkeypatch, task):
        rng = np.random.default_rng(1)
        rows = 5000
        truth = rng.integers(0, 6 if task == "multiclass" else 2, rows)
        answer = rng.random(rows).astype(np.float32)
        if task == "multiclass":
            answer = rng.dirichlet(np.ones(6), rows).astype(np.float32)
        found = Outcomes(task, 6 if task == "multiclass" else 2, truth, answer)
        whole = metrics.measure(found)
        monkeypatch.setattr("tiffin.quality.outcomes.CHUNK_ROWS", 64)

        assert metrics.measure(found) == pytest.approx(whole, rel=1e-7)


class TestCurves:
    def outcomes(self, rows):
        rng = np.random.default_rng(2)
        truth = rng.integers(0, 2, rows)
        return Outcomes("binary", 2, truth, (rng.random(rows) * 0.6 + truth * 0.4).astype(np.float32))

    def test_by_hand(self):
        found = Outcomes("binary", 2, np.array([1, 0, 1, 0]), np.array([0.9, 0.6, 0.4, 0.1]))

        assert metrics.precision_recall(found).recall == (1, 1, 0.5, 0.5, 0)
        assert metrics.precision_recall(found).precision == (0.5, pytest.approx(2 / 3, abs=1e-6), 0.5, 1, 1)
        assert metrics.roc(found).tpr == (0, 0.5, 0.5, 1, 1)

    def test_have_at_most_100_points(self):
        found = metrics.precision_recall(self.outcomes(9000))

        assert len(found.recall) == len(found.precision) <= 100
        assert (found.recall[0], found.recall[-1], found.precision[-1]) == (1, 0, 1)
        assert len(metrics.roc(self.outcomes(9000)).fpr) <= 100

    def test_of_one_class_are_empty(self):
        one = Outcomes("binary", 2, np.array([1, 1]), np.array([0.9, 0.2]))

        assert metrics.roc(one).fpr == metrics.precision_recall(one).recall == ()


class TestCalibration:
    def test_bins_have_equal_rows(self):
        # 100 probabilities in ten bins; in each, half of the rows have the class.
        answer = (np.arange(100) + 0.5) / 100
        found = calibration.measure(Outcomes("binary", 2, np.arange(100) % 2, answer))

        assert found.rows == (10,) * 10
        assert found.observed == (0.5,) * 10
        assert found.predicted == pytest.approx(np.arange(10) / 10 + 0.05)
        assert calibration.expected_error(found) == pytest.approx(np.mean(np.abs(np.arange(10) / 10 + 0.05 - 0.5)))

    def test_equal_probabilities_are_one_bin(self):
        found = calibration.measure(Outcomes("binary", 2, np.array([0, 0, 0, 1]), np.full(4, 0.25)))

        assert (found.predicted, found.observed, found.rows) == ((0.25,), (0.25,), (4,))

    def test_of_several_classes_is_of_the_most_likely_one(self):
        answer = np.array([[0.7, 0.2, 0.1]] * 10)
        found = calibration.measure(Outcomes("multiclass", 3, np.array([0] * 7 + [1] * 3), answer))

        assert (found.predicted, found.observed) == (pytest.approx((0.7,)), pytest.approx((0.7,)))
