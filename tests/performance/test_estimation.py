"""Performance without labels, of classifications."""

from dataclasses import replace
from math import log

import numpy as np
import pytest

from support.drifting import binary, multiclass, sigmoid
from tiffin.artifacts.measures import Calibration
from tiffin.performance.calibrated import IDENTITY, find_map
from tiffin.performance.estimation import ESTIMATED, estimate
from tiffin.quality import calibration, metrics


class TestByHand:
    def test_no_rows(self):
        found = estimate(np.empty(0, np.float32), IDENTITY)

        assert found.metrics == dict.fromkeys(ESTIMATED["binary"])
        assert (found.rows, found.intervals, found.errors) == (0, {}, {})

    def test_binary(self):
        """Scores 0.8 and 0.4: of positives, 1.2 are expected, of which 0.8 are above 0.5."""
        found = estimate(np.array([0.8, 0.4]), IDENTITY).metrics

        assert found["accuracy"] == pytest.approx((0.8 + 0.6) / 2)
        assert found["precision"] == pytest.approx(0.8)
        assert found["recall"] == pytest.approx(0.8 / 1.2)
        assert found["f1"] == pytest.approx(2 * 0.8 / (2 * 0.8 + 0.2 + 0.4))
        assert found["brier"] == pytest.approx((0.8 * 0.04 + 0.2 * 0.64 + 0.4 * 0.36 + 0.6 * 0.16) / 2)
        entropy = -(0.8 * log(0.8) + 0.2 * log(0.2) + 0.4 * log(0.4) + 0.6 * log(0.6)) / 2
        assert found["log_loss"] == pytest.approx(entropy)
        # Pairs of a positive and a negative one: 0.8 with 0.6 below, and 0.8 with 0.2 and 0.4 with 0.6 alike.
        assert found["auc"] == pytest.approx((0.8 * 0.6 + (0.8 * 0.2 + 0.4 * 0.6) / 2) / (1.2 * 0.8))

    def test_calibration_changes_it(self):
        """The rows with 0.8 are positive in 60 % of the cases."""
        curve = Calibration((0.2, 0.5, 0.8), (0.4, 0.5, 0.6), (10**8,) * 3)

        found = estimate(np.full(10, 0.8), find_map(curve))

        assert (found.source, found.metrics["accuracy"]) == ("evaluation", pytest.approx(0.6, abs=2e-3))

    def test_multiclass(self):
        found = estimate(np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]), IDENTITY).metrics

        entropy = -sum(p * log(p) for p in (0.5, 0.3, 0.2, 0.1, 0.8, 0.1)) / 2
        assert (found["accuracy"], found["log_loss"]) == (pytest.approx(0.65), pytest.approx(entropy))

    def test_multiclass_probabilities_are_scaled(self):
        """The likeliest class is right in 40 % of the cases: the others share 60 % as they shared 50 %."""
        curve = Calibration((0.5, 0.6), (0.4, 0.4), (10**8,) * 2)

        found = estimate(np.array([[0.5, 0.3, 0.2]] * 4), find_map(curve)).metrics

        assert found["log_loss"] == pytest.approx(-(0.4 * log(0.5) + 0.36 * log(0.3) + 0.24 * log(0.2)), abs=2e-3)

    @pytest.mark.parametrize("score", [0.0, 1.0])
    def test_certain_scores(self, score):
        found = estimate(np.full(5, score, np.float32), IDENTITY)

        assert (found.metrics["auc"], found.metrics["accuracy"]) == (None, 1)
        assert found.metrics["log_loss"] == pytest.approx(0, abs=1e-5)

    def test_certain_classes(self):
        found = estimate(np.array([[1.0, 0, 0], [0, 1, 0]]), IDENTITY)

        assert found.metrics["accuracy"] == 1

    def test_same_seed_same_estimate(self):
        score = np.linspace(0.1, 0.9, 50)

        assert estimate(score, IDENTITY, "a") == estimate(score, IDENTITY, "a")
        assert estimate(score, IDENTITY, "a").intervals != estimate(score, IDENTITY, "b").intervals


def bent(outcomes):
    """Return outcomes whose log odds are far too near to 0 beyond 1, and too far from it below."""
    odds = np.log(outcomes.answer) - np.log1p(-outcomes.answer)
    return replace(outcomes, answer=sigmoid(1.5 * np.cbrt(odds)))


class TestDrift:
    TRAINING = 10_000

    @pytest.mark.parametrize("confidence", [1.0, 1.5, 0.7])
    @pytest.mark.parametrize("shift", [-1.5, -0.5, 0.5, 1.5])
    def test_estimate_is_near_when_only_the_data_drifts(self, shift, confidence):
        rng = np.random.default_rng([int(10 * shift + 20), int(10 * confidence)])
        known = find_map(calibration.measure(binary(rng, self.TRAINING, confidence=confidence)))
        now = binary(rng, 30_000, shift=shift, confidence=confidence)

        found, realised = estimate(now.answer, known, "seed"), metrics.measure(now)

        assert found.metrics["auc"] == pytest.approx(realised["auc"], abs=0.02)
        for name in ("accuracy", "brier", "log_loss"):
            assert found.metrics[name] == pytest.approx(realised[name], abs=0.03)

    @pytest.mark.parametrize("drift", [{"shift": -1.0}, {"shift": 1.0}, {"spread": 0.5}, {"spread": 1.5}])
    def test_with_a_calibration_that_is_no_line(self, drift):
        rng = np.random.default_rng(6)
        known = find_map(calibration.measure(bent(binary(rng, self.TRAINING))))
        now = bent(binary(rng, 30_000, **drift))

        assert known.fit is None
        assert estimate(now.answer, known).metrics["auc"] == pytest.approx(metrics.measure(now)["auc"], abs=0.02)

    @pytest.mark.parametrize("shift", [-2.0, -1.0, 1.0, 2.0])
    def test_with_the_labels_of_earlier_rows(self, shift):
        rng = np.random.default_rng(4)
        known = find_map(None, binary(rng, self.TRAINING, confidence=1.5))
        now = binary(rng, 30_000, shift=shift, confidence=1.5)

        found = estimate(now.answer, known, "seed")

        assert found.source == "labels"
        assert found.metrics["auc"] == pytest.approx(metrics.measure(now)["auc"], abs=0.02)

    def test_concept_drift_is_beyond_the_interval(self):
        rng = np.random.default_rng(1)
        known = find_map(calibration.measure(binary(rng, self.TRAINING)))
        now = binary(rng, 5000, concept=0.6)

        found, realised = estimate(now.answer, known, "seed"), metrics.measure(now)

        for name in ("auc", "accuracy", "log_loss", "brier"):
            ends = found.intervals[name]
            assert not ends.low <= realised[name] <= ends.high

    @pytest.mark.parametrize("fixed", [True, False])
    def test_intervals_cover_what_is_realised(self, fixed):
        """Of 100 estimates, about 95 have the realised value in their interval."""
        rng = np.random.default_rng(2)
        inside = {"auc": 0, "accuracy": 0, "log_loss": 0}
        for number in range(100):
            known = find_map(calibration.measure(binary(rng, 3000, confidence=1.2)))
            now = binary(rng, 1500, shift=0.5, confidence=1.2)
            found = estimate(now.answer, known, number, fixed=fixed, rounds=200)
            realised = metrics.measure(now)
            for name in inside:
                inside[name] += found.intervals[name].low <= realised[name] <= found.intervals[name].high

        assert min(inside.values()) >= 88

    def test_fewer_labels_give_wider_intervals(self):
        answer = binary(np.random.default_rng(1), 10_000).answer

        whole, part = (estimate(answer, IDENTITY, rows=rows).errors["auc"] for rows in (None, 100))

        assert part == pytest.approx(10 * whole, rel=0.15)

    def test_several_classes(self):
        rng = np.random.default_rng(1)
        known = find_map(calibration.measure(multiclass(rng, self.TRAINING)))
        now = multiclass(rng, 20_000, shift=1.5)
        changed = multiclass(rng, 20_000, concept=0.4)

        found, realised = estimate(now.answer, known, fixed=True), metrics.measure(now)
        other, drifted = estimate(changed.answer, known, fixed=True), metrics.measure(changed)

        for name in ESTIMATED["multiclass"]:
            assert found.metrics[name] == pytest.approx(realised[name], abs=0.02)
            assert not other.intervals[name].low <= drifted[name] <= other.intervals[name].high
