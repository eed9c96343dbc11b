"""The gate: thresholds in both directions, guessing, and metrics that are not measured."""

import re
from dataclasses import replace

import pytest

from tiffin.artifacts.verdict import Check, Serving
from tiffin.quality.definitions import Comparison
from tiffin.stages.evaluate import gate
from tiffin.stages.evaluate.document import ServingRule, read_gate

BINARY = {"auc": 0.9, "log_loss": 0.3, "brier": 0.1, "baseline_log_loss": 0.69}
REGRESSION = {"r2": 0.5, "rmse": 2.0, "mae": 1.5, "baseline_rmse": 3.0}
BETTER = Comparison(0.3, 100)


def judge(found, thresholds, comparison=BETTER, unknown_classes=None, task="binary"):
    rules = read_gate({}, thresholds, task)
    return gate.judge(
        [
            *gate.check_bounds(rules, found, comparison.rows),
            gate.check_baseline(task, found, comparison),
            *gate.check_classes(unknown_classes or {}),
        ]
    )


class TestGuessing:
    def test_a_model_that_is_clearly_better_passes(self):
        verdict = judge({"log_loss": 0.395548, "baseline_log_loss": 0.532863}, {}, Comparison(0.13169, 6662))

        assert verdict.passed is True
        assert verdict.reason == (
            "log_loss 0.3955 is better than guessing (0.5329) by 0.137, at least 0.13 with 95 % confidence on 6,662 rows."
        )
        assert verdict.checks == (
            Check("log_loss", 0.395548, 0.532863, True, verdict.reason[:-1], 0.005625, 6662, "BASELINE"),
        )

    def test_a_difference_that_may_be_chance_does_not_pass(self):
        verdict = judge({"log_loss": 0.693224, "baseline_log_loss": 0.693678}, {}, Comparison(-0.000046, 6662))

        assert verdict.passed is False
        assert re.search(r"log_loss 0\.6932 .* \(0\.6937\).* 0\.000454.* 0\.0005 .*6,662", verdict.reason)
        assert (verdict.checks[0].passed, verdict.checks[0].margin) == (False, 0.0005)

    @pytest.mark.parametrize("value", [0.69, 0.7])
    def test_a_model_that_is_no_better_does_not_pass(self, value):
        verdict = judge({"log_loss": value, "baseline_log_loss": 0.69}, {}, Comparison(-0.1, 1))

        assert verdict.passed is False
        assert re.search(rf"log_loss {value} .*\(0\.69\).* 1 row:", verdict.reason)

    def test_a_label_with_a_single_value_is_the_reason(self):
        verdict = judge({"log_loss": 0.1, "baseline_log_loss": 0.0}, {}, Comparison(-0.2, 5))

        assert verdict.passed is False
        assert re.search(r"log_loss 0\.1 .*\(0\).* 5 rows", verdict.reason)

    def test_a_metric_that_could_not_be_measured_does_not_pass(self):
        verdict = judge({"log_loss": None, "baseline_log_loss": 0.69}, {}, Comparison(None, 5))

        assert verdict.passed is False
        assert re.search(r"log_loss .*\(0\.69\)", verdict.reason)
        assert (verdict.checks[0].value, verdict.checks[0].bound, verdict.checks[0].margin) == (None, 0.69, None)

    @pytest.mark.parametrize(
        ("rmse", "baseline", "found", "numbers"),
        [
            (2.0, 3.0, Comparison(0.5, 20), r"rmse 2 .*\(3\) by 1, .* 0.5 .* 20 rows"),
            (12345.6, 234567.8, Comparison(220099.0, 20), r"rmse 12,350 .*\(234,600\) by 222,000, .* 220,000 "),
            (1e-9, 2e-9, Comparison(9.99e-10, 20), r"rmse 1e-09 .*\(2e-09\) by 1e-09"),
            # Rounded down: the model is not called better than it is.
            (2.0, 3.0, Comparison(0.999, 20), r" by 1, .* 0\.99 "),
        ],
    )
    def test_of_a_regression_is_rmse_in_units_of_the_label(self, rmse, baseline, found, numbers):
        verdict = judge({"rmse": rmse, "baseline_rmse": baseline}, {}, found, task="regression")

        assert verdict.passed is True
        assert re.search(numbers, verdict.reason)


class TestThresholds:
    @pytest.mark.parametrize(
        ("metric", "bound", "passed", "reason"),
        [
            ("auc", 0.9, True, "auc 0.9 is at least 0.9"),
            ("auc", 0.91, False, "auc 0.9 is not at least 0.91"),
            ("log_loss", 0.3, True, "log_loss 0.3 is at most 0.3"),
            ("log_loss", 0.29, False, "log_loss 0.3 is not at most 0.29"),
            ("brier", 1, True, "brier 0.1 is at most 1"),
        ],
    )
    def test_apply_in_the_direction_of_the_metric(self, metric, bound, passed, reason):
        verdict = judge(BINARY, {metric: bound})

        assert verdict.passed is passed
        assert verdict.checks[0].reason == reason
        assert verdict.reason.startswith(reason)

    @pytest.mark.parametrize("bound", [0, 0.5, -1])
    def test_fail_for_a_metric_that_was_not_measured(self, bound):
        verdict = judge({**BINARY, "auc": None}, {"auc": bound})

        assert (verdict.passed, verdict.reason) == (
            False,
            f"auc could not be measured, so it is not at least {bound}.",
        )

    def test_that_fail_are_the_only_reasons(self):
        verdict = judge(REGRESSION, {"r2": 0.4, "rmse": 1.0, "mae": 1.0}, Comparison(0.5, 20), task="regression")

        assert verdict.reason == "mae 1.5 is not at most 1; rmse 2 is not at most 1."
        assert [check.passed for check in verdict.checks] == [False, True, False, True]


class TestUnknownClasses:
    def test_fail_the_gate_and_are_listed_with_counts(self):
        verdict = judge(BINARY, {}, BETTER, {f"c{number}": number for number in range(1, 8)})

        assert verdict.passed is False
        assert verdict.reason.startswith(
            "28 rows have classes that were not in training, 'c7' (7), 'c6' (6), 'c5' (5), 'c4' (4), 'c3' (3) and 2 more: "
        )
        assert (verdict.checks[-1].metric, verdict.checks[-1].value) == (gate.UNKNOWN_CLASSES, 28)


class TestServing:
    GOOD = Serving("a server", "", 2_500_000, 90, 20, 0, 1e-8, 0.5, 200, 1.5, 4.0)
    BOUNDS = ServingRule(max_size_mb=2, max_load_seconds=1, max_p99_ms=4)

    def test_without_a_server_there_is_no_check(self):
        assert gate.check_serving(ServingRule(), None) == []

    def test_equal_answers_pass_without_a_word_in_the_verdict(self):
        (check,) = gate.check_serving(ServingRule(), self.GOOD)
        verdict = gate.judge([Check("auc", 0.9, 0.8, True, "auc is fine"), check])

        assert (check.code, check.value, check.bound, check.passed, check.rows) == ("SERVING", 0.0, 0.0, True, 110)
        assert verdict.reason == "auc is fine."
        # Times differ between runs.
        other = gate.check_serving(
            ServingRule(), replace(self.GOOD, load_seconds=9.0, p99_ms=9.0, largest_difference=1e-7)
        )
        assert other == [check]

    def test_bounds_are_of_size_and_times(self):
        checks = gate.check_serving(self.BOUNDS, self.GOOD)

        assert [(check.code, check.value, check.bound, check.passed) for check in checks[1:]] == [
            ("SIZE", 2.5, 2, False),
            ("LOAD_TIME", 0.5, 1, True),
            ("LATENCY", 4.0, 4, True),
        ]
        assert re.search(r"size_mb 2\.5 .* 2\.$", gate.judge(checks).reason)

    def test_a_server_that_fails_stops_the_model(self):
        failed = replace(
            self.GOOD,
            problem="ended with exit status 3: no model today",
            differing_rows=None,
            load_seconds=None,
            p99_ms=None,
        )
        checks = gate.check_serving(self.BOUNDS, failed)

        assert [check.passed for check in checks] == [False] * 4
        assert [check.value for check in checks] == [None, 2.5, None, None]
        assert failed.problem in gate.judge(checks).reason
