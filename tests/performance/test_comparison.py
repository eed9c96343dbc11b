"""Metrics beside those at training, and beside the bounds of the gate."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tiffin.artifacts.measures import Interval, Slice
from tiffin.artifacts.performance import Measurement
from tiffin.artifacts.verdict import Check, Evaluation
from tiffin.errors import InputError
from tiffin.performance.comparison import Reference, check_bounds, compare, reference_of, reference_of_slice, worse
from tiffin.performance.measured import measure, measure_classes
from tiffin.performance.ranked import theoretical_error
from tiffin.quality.outcomes import Outcomes

TRAINING = Reference("binary", 1000, {"auc": 0.85, "log_loss": 0.4, "accuracy": None}, {"auc": 0.03, "log_loss": 0.0})


def measured(rows=1000, errors=None, **values):
    return Measurement(rows, values, {}, {"auc": 0.04, "log_loss": 0.01} if errors is None else errors)


def one(found, metric):
    return next(entry for entry in found if entry.metric == metric)


def test_no_rows():
    found = compare(measure(Outcomes("binary", 2, np.empty(0, np.int8), np.empty(0, np.float32))), TRAINING)

    assert {entry.code for entry in found} == {"TOO_FEW_ROWS"}
    assert worse(found) == ()


def test_by_hand():
    # The errors 0.03 and 0.04 add up to 0.05; the loss of 0.1 is twice that.
    found = one(compare(measured(auc=0.75), TRAINING, watched=("auc",), level=0.05), "auc")

    assert (found.code, found.level) == ("WORSE_THAN_TRAINING", 0.05)
    assert found.difference == pytest.approx(-0.1)
    assert found.error == pytest.approx(0.05)
    assert found.p_value == pytest.approx(norm.sf(2))
    assert (found.low, found.high) == (pytest.approx(-0.1 - 0.098), pytest.approx(-0.1 + 0.098))


def test_level_is_divided_by_the_watched_metrics():
    # p is 0.0228, which is below 0.04 and above 0.02.
    assert one(compare(measured(auc=0.75), TRAINING, watched=("auc",), level=0.04), "auc").code == "WORSE_THAN_TRAINING"
    assert one(compare(measured(auc=0.75), TRAINING, level=0.04), "auc").code == "AS_AT_TRAINING"


def test_metrics_that_are_not_watched_decide_nothing():
    found = compare(measured(auc=0.5, log_loss=0.4), TRAINING, watched=("log_loss",))

    assert one(found, "auc").code == "WORSE_THAN_TRAINING"
    assert worse(found) == ()


def test_lower_is_better():
    assert one(compare(measured(log_loss=0.5), TRAINING), "log_loss").code == "WORSE_THAN_TRAINING"
    assert one(compare(measured(log_loss=0.3), TRAINING), "log_loss").code == "BETTER_THAN_TRAINING"


@pytest.mark.parametrize(
    ("given", "counts", "metric", "code"),
    [
        (measured(rows=29, auc=0.1), None, "auc", "TOO_FEW_ROWS"),
        (measured(auc=0.1), (9, 900), "auc", "TOO_FEW_ROWS"),
        (measured(auc=None), None, "auc", "UNDEFINED"),
        (measured(auc=0.1, errors={}), None, "auc", "UNDEFINED"),
        (measured(accuracy=0.9, errors={"accuracy": 0.1}), None, "accuracy", "NO_REFERENCE"),
    ],
)
def test_what_cannot_be_compared(given, counts, metric, code):
    assert one(compare(given, TRAINING, counts=counts), metric).code == code


def test_exact_values():
    found = compare(measured(log_loss=0.4, errors={"log_loss": 0.0}), TRAINING)

    assert one(found, "log_loss").code == "AS_AT_TRAINING"
    assert one(compare(measured(log_loss=0.41, errors={"log_loss": 0.0}), TRAINING), "log_loss").p_value == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"watched": ("acu",)}, "'auc'"),
        ({"watched": ("calibration_error",)}, "calibration_error"),
        ({"level": 0.5}, "level"),
    ],
)
def test_options(options, match):
    with pytest.raises(InputError, match=match):
        compare(measured(auc=0.5), TRAINING, **options)


def evaluation(**values):
    fixed = {"passed": True, "reason": "", "checks": (), "metrics": {"auc": 0.8}, "task": "binary", "split": "eval"}
    return Evaluation(**{**fixed, "rows": 100, "data_version": "", "tiffin_version": "", **values})


class TestReference:
    def test_errors_are_from_intervals(self):
        found = reference_of(evaluation(intervals={"auc": Interval(0.7, 0.896)}))

        assert found.errors == {"auc": pytest.approx(0.05)}

    def test_auc_without_interval(self):
        found = reference_of(evaluation(confusion=((50, 10), (20, 20))))

        assert found.errors == {"auc": theoretical_error(0.8, 40, 60)}

    def test_slice(self):
        found = reference_of_slice("binary", Slice(("a",), "a = 1", 10, {"auc": 0.8}, {"auc": Interval(0.6, 0.992)}))

        assert (found.rows, found.errors) == (10, {"auc": pytest.approx(0.1)})


class TestBounds:
    CHECK = Check("auc", 0.9, 0.8, True, "")

    def check(self, check, value, low, high):
        given = Measurement(100, {check.metric: value}, {check.metric: Interval(low, high)}, {})
        return check_bounds([check], given)[0].code

    @pytest.mark.parametrize(
        ("value", "low", "high", "code"),
        [
            (0.8, 0.7, 0.85, "WITHIN_BOUND"),
            (0.75, 0.7, 0.85, "UNCLEAR"),
            (0.75, 0.7, 0.79, "BEYOND_BOUND"),
            (None, 0.7, 0.79, "UNDEFINED"),
        ],
    )
    def test_minimum(self, value, low, high, code):
        assert self.check(self.CHECK, value, low, high) == code

    @pytest.mark.parametrize(
        ("value", "low", "code"), [(0.3, 0.1, "WITHIN_BOUND"), (0.5, 0.3, "UNCLEAR"), (0.5, 0.41, "BEYOND_BOUND")]
    )
    def test_maximum(self, value, low, code):
        assert self.check(Check("log_loss", 0.3, 0.4, True, ""), value, low, 0.6) == code

    @pytest.mark.parametrize(("rows", "code"), [(99, "UNCLEAR"), (100, "BEYOND_BOUND")])
    def test_calibration_error_needs_as_many_rows(self, rows, code):
        check = Check("calibration_error", 0.01, 0.05, True, "", rows=100, code="CALIBRATION")
        given = Measurement(rows, {"calibration_error": 0.1}, {"calibration_error": Interval(0.08, 0.12)}, {})

        assert check_bounds([check], given)[0].code == code

    def test_slices_and_what_labels_do_not_show(self):
        part = Slice(("city",), "city = Oslo", 50, {"auc": 0.6}, {"auc": Interval(0.5, 0.7)})
        checks = [
            Check("auc", 0.9, 0.8, True, "", code="SLICE", slice="city = Oslo"),
            Check("auc", 0.9, 0.8, True, "", code="SLICE", slice="city = Bergen"),
            Check("size_mb", 1.0, 2.0, True, "", code="SIZE"),
            Check("auc", 0.9, None, True, ""),
        ]

        found = check_bounds(checks, Measurement(0, {}, {}, {}), [part])

        assert [(entry.slice, entry.code) for entry in found] == [
            ("city = Oslo", "BEYOND_BOUND"),
            ("city = Bergen", "UNDEFINED"),
        ]

    @pytest.mark.parametrize(("classes", "code"), [((), "UNDEFINED"), (("no", "yes"), "BEYOND_BOUND")])
    def test_recall_of_a_class(self, classes, code):
        """Of 50 rows of the class, 10 are found."""
        truth = np.repeat([0, 1], 50).astype(np.int8)
        answer = np.where(np.arange(100) >= 90, 0.9, 0.1).astype(np.float32)
        found = measure_classes(Outcomes("binary", 2, truth, answer), classes, "seed")
        check = Check("recall", 0.9, 0.5, True, "", slice="recall of 'yes'")

        assert [(one.name, one.rows, one.recall) for one in found] == [("no", 50, 1.0), ("yes", 50, 0.2)][
            : len(classes)
        ]
        assert [one.code for one in check_bounds([check], Measurement(100, {}, {}, {}), (), found)] == [code]

    def test_small_samples_do_not_flip_it(self):
        """A model at 0.85 of which 60 labels came by chance at 0.75 is not beyond a bound of 0.8."""
        rng = np.random.default_rng(3)
        truth = (np.arange(60) % 2).astype(np.int8)
        score = rng.normal(truth * math.sqrt(2) * norm.ppf(0.75), 1)
        found = measure(Outcomes("binary", 2, truth, (1 / (1 + np.exp(-score))).astype(np.float32)), "seed")

        assert found.metrics["auc"] < 0.8
        assert check_bounds([self.CHECK], found)[0].code == "UNCLEAR"
