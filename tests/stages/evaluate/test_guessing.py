"""Guessing: what a model must be better by, for predictions with and without information, on few and many rows."""

import math

import numpy as np
import pytest
from sklearn import metrics

from tiffin.stages.evaluate import guessing


def compare_classes(truth, answer):
    classes = 2 if answer.ndim == 1 else answer.shape[1]
    beside = guessing.Classes(np.bincount(truth, minlength=classes))
    beside.add(truth, answer)
    return beside.comparison()


def compare_numbers(truth, answer):
    beside = guessing.Numbers(truth.mean())
    beside.add(truth, answer)
    return beside.comparison()


def sigmoid(logit):
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def passes(found):
    return found.at_least > 0


DRAWS = 400
# Predictions that do not depend on the label, for a positive class of share p.
UNRELATED = {
    "noise": lambda rng, rows, p: sigmoid(math.log(p / (1 - p)) + rng.normal(size=rows)),
    "small noise": lambda rng, rows, p: sigmoid(math.log(p / (1 - p)) + rng.normal(0, 0.05, rows)),
    # Right on almost all rows, and far off on the rare class.
    "too low": lambda rng, rows, p: np.full(rows, p / 10, np.float32),
    "few high": lambda rng, rows, p: np.where(rng.random(rows) < 0.05, 0.5, p / 5).astype(np.float32),
    "certain": lambda rng, rows, p: (rng.random(rows) < p).astype(np.float32),
    # A constant that is nearer to the split's share than the share in training is.
    "drifted": lambda rng, rows, p: np.full(rows, p, np.float32),
}
LABELS = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "lognormal": lambda rng, rows: rng.lognormal(0, 1.5, rows),
    "without a variance": lambda rng, rows: rng.standard_cauchy(rows),
    "two values": lambda rng, rows: rng.integers(0, 2, rows).astype(float),
    "counts": lambda rng, rows: rng.poisson(1, rows).astype(float),
}


class TestWithoutInformation:
    @pytest.mark.parametrize("rows", [2, 5, 20, 300])
    @pytest.mark.parametrize("share", [0.5, 0.02])
    @pytest.mark.parametrize("kind", UNRELATED)
    def test_probabilities_pass_in_at_most_5_percent_of_draws(self, kind, share, rows):
        rng = np.random.default_rng(1)
        drawn = [
            compare_classes((rng.random(rows) < share).astype(int), UNRELATED[kind](rng, rows, share))
            for _ in range(DRAWS)
        ]

        assert np.mean([passes(found) for found in drawn]) <= 0.05

    @pytest.mark.parametrize("rows", [3, 20, 300])
    def test_probabilities_of_several_classes(self, rows):
        rng = np.random.default_rng(1)
        drawn = [
            compare_classes(rng.choice(3, rows, p=[0.7, 0.2, 0.1]), rng.dirichlet([7, 2, 1], rows).astype(np.float32))
            for _ in range(DRAWS)
        ]

        assert np.mean([passes(found) for found in drawn]) <= 0.05

    @pytest.mark.parametrize("rows", [2, 3, 4, 5, 6, 20, 300])
    @pytest.mark.parametrize("label", LABELS)
    def test_numbers(self, label, rows):
        rng, draw = np.random.default_rng(1), LABELS[label]
        drawn = [compare_numbers(draw(rng, rows), draw(rng, rows)) for _ in range(DRAWS)]
        shrunk = [compare_numbers(draw(rng, rows), 0.9 + 0.1 * draw(rng, rows)) for _ in range(DRAWS)]

        assert np.mean([passes(found) for found in drawn]) <= 0.05
        assert np.mean([passes(found) for found in shrunk]) <= 0.05

    def test_a_coin_toss_does_not_pass(self):
        # log_loss 0.6932 is below the 0.6937 of the shares in training, 0.516 and 0.484.
        truth, answer = np.arange(6000) % 2, np.full(6000, 0.5063, np.float32)
        found = compare_classes(truth, answer)

        assert metrics.log_loss(truth, answer) < metrics.log_loss(truth, np.full(6000, 0.516))
        assert not passes(found)


class TestWithInformation:
    @pytest.mark.parametrize(("rows", "auc"), [(30, 0.98), (300, 0.75), (3000, 0.6)])
    def test_a_calibrated_model_passes_in_19_of_20_draws(self, rows, auc):
        rng = np.random.default_rng(1)
        apart = {0.98: 2.9, 0.75: 0.95, 0.6: 0.36}[auc]
        drawn = []
        for _ in range(DRAWS):
            truth = np.arange(rows) % 2
            answer = sigmoid(apart * (rng.normal(size=rows) + apart * (truth - 0.5)))
            drawn.append(passes(compare_classes(truth, answer)))

        assert np.mean(drawn) >= 0.95

    @pytest.mark.parametrize("rows", [5, 30])
    def test_a_perfect_model_passes_from_5_rows_of_two_classes(self, rows):
        truth = np.arange(rows) % 2
        assert passes(compare_classes(truth, np.where(truth, 0.999, 0.001).astype(np.float32)))
        assert passes(compare_numbers(np.arange(rows) * 10.0, np.arange(rows) * 10.0 + 0.5))

    def test_a_perfect_model_does_not_pass_on_4_rows(self):
        # A guess is right on all of them in 1 of 16 draws.
        truth = np.arange(4) % 2
        assert not passes(compare_classes(truth, truth.astype(np.float32)))
        assert not passes(compare_numbers(np.arange(4.0), np.arange(4.0)))

    def test_a_rare_class_that_is_found_passes(self):
        truth = (np.arange(1000) % 200 == 0).astype(int)
        answer = np.where(truth, 0.5, 0.01).astype(np.float32)

        assert passes(compare_classes(truth, answer))

    @pytest.mark.parametrize("rows", [300, 1000])
    def test_skewed_numbers(self, rows):
        rng = np.random.default_rng(1)
        drawn = []
        for _ in range(DRAWS):
            signal = rng.normal(size=rows)
            drawn.append(passes(compare_numbers(np.exp(signal + 0.3 * rng.normal(size=rows)), np.exp(signal))))

        assert np.mean(drawn) >= 0.9


class TestValues:
    def test_of_a_model_are_those_of_the_metric(self):
        rng = np.random.default_rng(1)
        truth = np.arange(1000) % 2
        right = rng.random(1000, np.float32) / 2 + 0.5
        binary = np.where(truth, right, 1 - right)
        for answer in (binary, np.stack([1 - binary, binary * 0.9, binary * 0.1], axis=1)):
            found = compare_classes(truth, answer)
            scores = answer.astype(float) / (answer.sum(axis=1, keepdims=True, dtype=float) if answer.ndim == 2 else 1)
            loss = metrics.log_loss(truth, scores, labels=range(answer.ndim + 1))
            chosen = scores[np.arange(1000), truth] if answer.ndim == 2 else right
            gains = math.log(2) + np.log(chosen)

            assert found.at_least == pytest.approx(
                math.log(2) - loss - 1.646380 * gains.std(ddof=1) / math.sqrt(1000), abs=1e-6
            )

    def test_of_a_probability_of_0_are_finite(self):
        assert -20 < compare_classes(np.array([0, 1]), np.array([1, 0], np.float32)).at_least < -15

    def test_of_numbers_are_rmse(self):
        truth = np.array([1.0, 2, 3, 4, 5, 6, 7, 11])
        answer = truth + [0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5]
        found = compare_numbers(truth, answer)

        # Student's t with 7 degrees of freedom, of the differences of the squared errors.
        gains = (truth - truth.mean()) ** 2 - 0.25
        lower = gains.mean() - 1.894579 * gains.std(ddof=1) / math.sqrt(8)
        assert found.at_least == pytest.approx(truth.std() - math.sqrt(truth.var() - lower), rel=1e-5)

    @pytest.mark.parametrize("answer", [[0.1, float("nan")], [float("inf"), 0.5]])
    def test_are_none_for_predictions_that_are_not_finite(self, answer):
        for found in (
            compare_classes(np.array([0, 1]), np.array(answer)),
            compare_numbers(np.array([0.0, 1]), np.array(answer)),
        ):
            assert (found.at_least, found.rows) == (None, 2)


class TestDegenerate:
    @pytest.mark.parametrize("rows", [1, 2, 1000])
    def test_a_split_with_a_single_value_shows_nothing(self, rows):
        of_classes = compare_classes(np.ones(rows, int), np.full(rows, 0.999, np.float32))
        of_numbers = compare_numbers(np.full(rows, 3.0), np.full(rows, 3.0))

        assert not passes(of_classes)
        assert not passes(of_numbers)

    def test_the_same_prediction_for_every_row_never_passes(self):
        truth = np.array([0, 0, 1] * 1000)
        for share in np.linspace(0.01, 0.99, 99, dtype=np.float32):
            assert not passes(compare_classes(truth, np.full(3000, share)))
            assert not passes(compare_numbers(truth, np.full(3000, share)))

    def test_a_single_outlier_decides_nothing(self):
        # The outlier's squared error is nearly all of both; whether its sign is right is luck.
        rng = np.random.default_rng(1)
        truth = np.append(rng.normal(size=999), 1e4)

        assert not passes(compare_numbers(truth, rng.normal(size=1000)))

    def test_large_numbers(self):
        truth = 1.7e9 + np.arange(100.0)
        assert passes(compare_numbers(truth, truth + 1))
        assert not passes(compare_numbers(truth, np.full(100, 1.7e9 + 50)))
