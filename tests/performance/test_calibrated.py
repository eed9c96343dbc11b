"""Maps from probabilities to calibrated ones."""

import numpy as np
import pytest

from support.drifting import binary, multiclass, sigmoid
from tiffin.artifacts import documents
from tiffin.artifacts.measures import Calibration
from tiffin.performance.calibrated import IDENTITY, CalibrationMap, find_map
from tiffin.quality import calibration
from tiffin.quality.outcomes import Outcomes

GRID = np.linspace(0.01, 0.99, 99)


def test_no_curve():
    assert find_map(None) == find_map(Calibration((), (), ())) == IDENTITY
    assert IDENTITY.apply(np.array([0.0, 0.3, 1.0])).tolist() == [0, 0.3, 1]
    assert IDENTITY.noise(np.array([0.3]), np.random.default_rng(1), 3).tolist() == [[pytest.approx(0.3)]] * 3


def test_calibrated_curve_is_the_identity():
    means = (0.1, 0.5, 0.9)

    found = find_map(Calibration(means, means, (1000, 1000, 1000)))

    assert (found.source, found.rows) == ("evaluation", 3000)
    assert found.fit == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))
    assert found.apply(GRID) == pytest.approx(GRID, abs=1e-3)


def test_line_by_hand():
    """Of log odds -2, 0 and 2, the observed ones are -1, 0 and 1: half as confident."""
    odds = np.array([-2.0, 0, 2])
    curve = Calibration(tuple(sigmoid(odds)), tuple(sigmoid(odds / 2)), (10**6,) * 3)

    found = find_map(curve)

    assert found.fit == (pytest.approx(0, abs=1e-4), pytest.approx(0.5, abs=1e-4))
    assert found.apply(sigmoid(np.array([4.0]))) == pytest.approx(sigmoid(2.0), abs=1e-3)


def test_curve_that_is_no_line():
    """Probabilities that are right up to 0.5, and never above."""
    curve = Calibration((0.1, 0.3, 0.5, 0.7, 0.9), (0.1, 0.3, 0.5, 0.5, 0.5), (10_000,) * 5)

    found = find_map(curve)

    assert found.fit is None
    assert found.apply(np.array([0.1, 0.3, 0.5, 0.7, 0.9])) == pytest.approx(curve.observed, abs=5e-3)


@pytest.mark.parametrize(
    "curve",
    [
        Calibration((0.5,), (0.2,), (10,)),
        Calibration((0.0, 1.0), (0.0, 1.0), (5, 5)),
        Calibration((0.2, 0.8), (0.9, 0.1), (100, 100)),
        Calibration((0.1, 0.2, 0.3, 0.4), (0.0, 1.0, 0.0, 1.0), (1000,) * 4),
        Calibration((0.001, 0.002, 0.003), (0.0, 0.0, 0.0), (100,) * 3),
    ],
)
def test_maps_never_fall_and_stay_between_0_and_1(curve):
    found = find_map(curve)
    values = found.apply(np.linspace(0, 1, 101))
    noisy = found.noise(GRID, np.random.default_rng(1), 10)

    assert (np.diff(values) >= 0).all()
    assert np.isfinite(noisy).all()
    assert min(values.min(), noisy.min()) >= 0
    assert max(values.max(), noisy.max()) <= 1


class TestLabels:
    def test_few_rows_leave_the_curve(self):
        curve = Calibration((0.2, 0.8), (0.2, 0.8), (2000, 2000))

        assert find_map(curve, binary(np.random.default_rng(1), 3999)).source == "evaluation"
        assert find_map(None, binary(np.random.default_rng(1), 999)).source == "identity"

    def test_rare_class_leaves_the_curve(self):
        truth = np.zeros(2000, np.int8)
        truth[:99] = 1
        labelled = Outcomes("binary", 2, truth, np.full(2000, 0.5, np.float32))

        assert find_map(None, labelled).source == "identity"

    def test_many_rows(self):
        found = find_map(None, binary(np.random.default_rng(1), 50_000, confidence=2))
        odds = np.linspace(-3, 3, 13)

        assert (found.source, found.rows) == ("labels", 50_000)
        assert found.apply(sigmoid(2 * odds)) == pytest.approx(sigmoid(odds), abs=0.03)

    def test_most_likely_class(self):
        assert find_map(None, multiclass(np.random.default_rng(1), 2000)).source == "labels"


def test_noise_is_that_of_other_rows():
    """The spread of maps from other rows is that of the noise of one."""
    rng, odds = np.random.default_rng(5), np.array([-2.0, 0, 2])
    maps = [find_map(calibration.measure(binary(rng, 1000, confidence=1.3))) for _ in range(100)]
    spread = np.std([one.apply(sigmoid(odds)) for one in maps], axis=0)
    noise = np.mean([one.noise(sigmoid(odds), rng, 100).std(axis=0) for one in maps], axis=0)

    assert noise == pytest.approx(spread, rel=0.35)


def test_map_is_a_document():
    found = find_map(Calibration((0.2, 0.8), (0.3, 0.7), (20, 20)))

    assert documents.parse(documents.format_document(found), CalibrationMap, "map") == found
