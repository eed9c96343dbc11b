"""The check against the model in production: each mode, few rows, ties, and predictions that are not finite."""

import numpy as np
import pytest

from tiffin.quality import bootstrap
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate.comparison import compare
from tiffin.stages.evaluate.document import Production

MODES = ("not_worse", "improvement", "non_inferiority")


def binary(truth, answer):
    return Outcomes("binary", 2, np.asarray(truth), np.asarray(answer, np.float32))


def drawn(rows, noise, seed=0):
    """Return labels, and predictions that know the log odds up to noise."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=rows) * 1.5
    truth = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return [binary(truth, 1 / (1 + np.exp(-odds - rng.normal(size=rows) * each))) for each in noise]


def check(mode, new, old, **rule):
    return compare(Production(mode=mode, **rule), new, old, "model 'm' version 7 in production", "seed")


class TestModes:
    def test_by_hand(self):
        # The same label and constant predictions: the losses are -ln 0.5 and -ln 0.4 in every row.
        found = check("not_worse", binary([1] * 20, [0.4] * 20), binary([1] * 20, [0.5] * 20))

        assert (found.value, found.bound) == (pytest.approx(-np.log(0.4)), pytest.approx(-np.log(0.5)))
        assert (found.passed, found.code, found.rows, found.decided) == (False, "CHAMPION", 20, True)
        assert found.margin == pytest.approx(-0.05 * np.log(0.5))
        assert found.low == found.high == pytest.approx(np.log(0.4 / 0.5), abs=1e-5)
        for value in ("log_loss", "0.9163", "0.223", "'m'", "7", "0.6931", "20"):
            assert value in found.reason

    @pytest.mark.parametrize(
        ("noise", "passed"),
        [
            # The noise of the new model and of the one in production.
            ((0.2, 1.5), (True, True, True)),
            ((1.5, 0.2), (False, False, False)),
            ((0.5, 0.5), (True, False, True)),
        ],
    )
    def test_of_clear_cases(self, noise, passed):
        new, old = drawn(5000, noise, seed=2)

        assert tuple(check(mode, new, old).passed for mode in MODES) == passed

    def test_worse_by_more_than_the_margin_on_few_rows_is_stopped(self):
        # Mean losses of 0.732 and 0.693: worse by 5.6 %, in 3 rows of 10.
        new, old = binary([1] * 10, [0.2] * 3 + [0.7] * 7), binary([1] * 10, [0.5] * 10)
        found = check("not_worse", new, old, margin=0.05)

        assert (found.passed, "margin" in found.reason) == (False, True)

    def test_worse_within_the_margin_passes_unless_it_is_shown(self):
        new, old = drawn(5000, (0.5, 0.5), seed=1)
        shifted = binary(
            old.truth, old.answer - np.where(old.truth == 1, 0.001, -0.001) * (1 - np.abs(2 * old.answer - 1))
        )
        found, shown = (check("not_worse", each, old) for each in (new, shifted))

        assert (found.bound < found.value < found.bound + found.margin, found.passed) == (True, True)
        assert (shown.bound < shown.value < shown.bound + shown.margin, shown.passed) == (True, False)

    def test_of_the_same_model(self):
        [model] = drawn(500, [0.5])

        assert [check(mode, model, model).passed for mode in MODES] == [True, False, True]
        assert not check("non_inferiority", model, model, margin=0.0).passed

    def test_of_a_regression_is_by_rmse(self):
        truth = np.arange(50.0)
        new, old = (Outcomes("regression", 0, truth, truth + error) for error in (2.0, -1.0))
        found = check("not_worse", new, old)

        assert (found.metric, found.value, found.bound, found.passed) == ("rmse", 2.0, 1.0, False)
        assert (found.low, found.high) == (-1, -1)
        assert check("improvement", old, new).passed

    def test_of_several_classes(self):
        truth = np.arange(300) % 3
        right, flat = np.eye(3)[truth] * 0.7 + 0.1, np.full((300, 3), 1 / 3)
        new, old = (Outcomes("multiclass", 3, truth, answer) for answer in (right, flat))

        assert check("improvement", new, old).passed
        assert not check("not_worse", old, new).passed

    def test_a_single_row_shows_nothing(self):
        new, old = binary([1], [0.9]), binary([1], [0.1])

        assert [check(mode, new, old).passed for mode in MODES] == [True, False, False]


class TestNotFinite:
    def test_predictions_of_the_new_model_do_not_pass(self):
        found = check("not_worse", binary([1, 0], [np.nan, 0.1]), binary([1, 0], [0.9, 0.1]))

        assert (found.passed, found.value, found.decided) == (False, None, True)

    def test_predictions_of_production_are_not_a_reason_to_keep_it(self):
        found = check("improvement", binary([1, 0], [0.9, 0.1]), binary([1, 0], [np.nan, 0.1]))

        assert (found.passed, found.bound, found.decided) == (True, None, False)


class TestRate:
    """A few of the simulations of tests/benchmarks/gate.py."""

    def test_of_an_equal_model_that_is_taken_as_an_improvement(self, monkeypatch):
        monkeypatch.setattr(bootstrap, "CELLS", 300)
        monkeypatch.setattr(bootstrap, "_EXTREME", 50)
        passed = [check("improvement", *drawn(500, (0.5, 0.5), seed)).passed for seed in range(120)]

        # Binomial: 6 of 120 are expected, and 1 to 13 in 99 % of draws.
        assert 1 <= sum(passed) <= 13


def test_does_not_depend_on_the_order_of_the_rows():
    new, old = drawn(5000, (0.5, 0.6))
    mixed = np.random.default_rng(1).permutation(5000)
    one, other = check("not_worse", new, old), check("not_worse", new.of(mixed), old.of(mixed))

    assert (one.low, one.high, one.reason) == (other.low, other.high, other.reason)
