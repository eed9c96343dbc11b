"""Standard errors of the AUC, and the number of rows that theory asks for."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tiffin.artifacts.performance import Measurement
from tiffin.performance.comparison import Reference, compare, worse
from tiffin.performance.ranked import auc_error, rows_for_auc, rows_for_loss, theoretical_error


class TestErrors:
    def test_by_hand(self):
        # Positives 0.9 and 0.4, negatives 0.6 and 0.1: of the negatives, 1 and 1/2 are below each positive; of the positives,
        # 1/2 and 1 are above each negative. Both variances are 1/8.
        found = auc_error(np.array([True, False, True, False]), np.array([0.9, 0.6, 0.4, 0.1]))

        assert found == pytest.approx(math.sqrt(1 / 8 / 2 + 1 / 8 / 2))

    def test_of_theory_by_hand(self):
        # Q1 = 0.75 / 1.25 = 0.6, Q2 = 2 * 0.5625 / 1.75 = 0.642857..., A^2 = 0.5625.
        expected = (0.75 * 0.25 + 9 * (0.6 - 0.5625) + 9 * (1.125 / 1.75 - 0.5625)) / 100

        assert theoretical_error(0.75, 10, 10) == pytest.approx(math.sqrt(expected))

    def test_single_rows(self):
        assert auc_error(np.array([True, False]), np.array([0.9, 0.1])) == pytest.approx(math.sqrt(0.5))

    def test_perfect_ranking_has_no_spread(self):
        assert auc_error(np.array([True, True, False, False]), np.array([4.0, 3, 2, 1])) == 0
        assert theoretical_error(1.0, 10, 10) == 0

    def test_as_the_spread_of_samples(self):
        rng = np.random.default_rng(1)
        found = [auc_and_error(*scores(rng, 0.85, 1000)) for _ in range(300)]
        aucs, errors = zip(*found, strict=True)

        assert np.mean(errors) == pytest.approx(np.std(aucs), rel=0.1)
        assert theoretical_error(0.85, 500, 500) == pytest.approx(np.std(aucs), rel=0.1)


class TestRows:
    def test_by_hand(self):
        # z(0.025) + z(0.8) = 1.96 + 0.84; a standard error of 0.1 on 100 rows is one of 1 on a single row.
        expected = ((norm.isf(0.025) + norm.ppf(0.8)) / 0.05) ** 2

        assert rows_for_loss(0.1, 100, 0.05, level=0.025, power=0.8) == math.ceil(expected) == 3140

    def test_reference_that_is_too_uncertain(self):
        assert rows_for_loss(0.1, 100, 0.05, reference_error=0.02) is None
        assert rows_for_auc(0.85, 0.03, 0.5, reference_error=0.02) is None

    def test_of_the_auc(self):
        """The numbers that the documentation names."""
        assert rows_for_auc(0.85, 0.03, 0.5) == 3533
        assert rows_for_auc(0.85, 0.03, 0.5, reference_error=theoretical_error(0.85, 10_000, 10_000)) == 4235

    def test_fewer_positives_need_more_rows(self):
        assert rows_for_auc(0.85, 0.03, 0.1) > rows_for_auc(0.85, 0.03, 0.5)


def scores(rng, auc, rows):
    """Return labels and scores of two normal distributions, half of them positive, with this AUC."""
    positive = np.arange(rows) % 2 == 0
    return positive, rng.normal(np.where(positive, math.sqrt(2) * norm.ppf(auc), 0), 1)


def auc_and_error(positive, score):
    ranks = score.argsort().argsort() + 1
    positives = int(positive.sum())
    area = (ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * (len(score) - positives))
    return area, auc_error(positive, score)


TRAINING = 20_000


@pytest.fixture(scope="module")
def trainings():
    """The AUC of 100 trainings, and its errors: each is compared with several windows."""
    rng = np.random.default_rng(7)
    return [auc_and_error(*scores(rng, 0.85, TRAINING)) for _ in range(100)]


class TestLossOfAuc:
    """A loss of 0.03 is found within 1.5 times the rows that theory needs, at a level of 0.0025 with a power of 0.95."""

    def share_found(self, trainings, auc, rounds, watched, rows):
        rng = np.random.default_rng(8)
        found = 0
        for number in range(rounds):
            before, before_error = trainings[number % len(trainings)]
            now, error = auc_and_error(*scores(rng, auc, rows))
            reference = Reference("binary", TRAINING, {"auc": before}, {"auc": before_error})
            measured = Measurement(rows, {"auc": now}, {}, {"auc": error})
            found += bool(worse(compare(measured, reference, watched=watched)))
        return found / rounds

    def rows(self):
        error = theoretical_error(0.85, TRAINING / 2, TRAINING / 2)
        return rows_for_auc(0.85, 0.03, 0.5, reference_error=error)

    @pytest.mark.parametrize("watched", [("auc",), ("auc", "log_loss")])
    def test_is_found(self, trainings, watched):
        assert self.share_found(trainings, 0.82, 300, watched, int(1.5 * self.rows())) >= 0.95

    def test_theory_is_right(self, trainings):
        # 500 samples: the standard error of the share is 0.01.
        assert self.share_found(trainings, 0.82, 500, ("auc",), self.rows()) == pytest.approx(0.95, abs=0.03)

    def test_false_alarms(self, trainings):
        # 1,000 samples at 0.0025: two or three are expected, and more than 8 are less likely than 0.2 %.
        assert self.share_found(trainings, 0.85, 1000, ("auc",), self.rows()) <= 0.008
