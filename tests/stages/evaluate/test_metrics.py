"""Metrics of a few rows, compared with values calculated by hand."""

from math import log

import numpy as np
import pytest

from tiffin.stages.evaluate import definitions, metrics

NAN = float("nan")


def binary(truth, probability):
    measures = metrics.Binary()
    measures.add(truth, probability)
    return measures.values()


def multiclass(truth, probabilities):
    measures = metrics.Multiclass(probabilities.shape[1])
    measures.add(truth, probabilities)
    return measures.values()


def regression(truth, prediction):
    measures = metrics.Regression(truth.mean())
    measures.add(truth, prediction)
    return measures.values()


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
        assert set(found) == set(metrics.BINARY)
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
        assert found == dict.fromkeys(metrics.MULTICLASS)


class TestRegression:
    def test_by_hand(self):
        found = regression(np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0]))

        assert found == {
            "r2": pytest.approx(1 - 5 / 14),
            "rmse": pytest.approx((5 / 3) ** 0.5),
            "mae": 1.0,
            "baseline_rmse": pytest.approx((14 / 3) ** 0.5),
        }

    def test_one_row_has_no_r2(self):
        found = regression(np.array([1.0]), np.array([3.0]))

        assert found == {"r2": None, "rmse": 2.0, "mae": 2.0, "baseline_rmse": 0.0}

    @pytest.mark.parametrize("bad", [NAN, float("-inf")])
    def test_predictions_that_are_not_finite_are_not_measured(self, bad):
        found = regression(np.array([1.0, 3.0]), np.array([bad, 3.0]))

        assert found == {"r2": None, "rmse": None, "mae": None, "baseline_rmse": 1.0}


def test_every_metric_has_a_direction():
    assert set(definitions.HIGHER_IS_BETTER) == {name for names in definitions.METRICS.values() for name in names}
