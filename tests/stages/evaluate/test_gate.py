"""The gate: thresholds in both directions, the baseline, and metrics that are not measured."""

import re
import subprocess
import sys

import pytest

from tiffin.artifacts.verdict import Check
from tiffin.errors import InputError
from tiffin.stages.evaluate import gate

BINARY = {"auc": 0.9, "log_loss": 0.3, "brier": 0.1, "baseline_log_loss": 0.69}
REGRESSION = {"r2": 0.5, "rmse": 2.0, "mae": 1.5, "baseline_rmse": 3.0}


class TestBaseline:
    @pytest.mark.parametrize(
        ("log_loss", "passed", "reason"),
        [
            (0.3, True, "log_loss 0.3 is better than 0.69 without a model."),
            (0.69, False, "log_loss 0.69 is no better than 0.69 without a model."),
            (0.7, False, "log_loss 0.7 is no better than 0.69 without a model."),
            (None, False, "log_loss could not be measured, so it is no better than 0.69 without a model."),
        ],
    )
    def test_must_always_be_improved_on(self, log_loss, passed, reason):
        verdict = gate.judge("binary", {**BINARY, "log_loss": log_loss}, {})

        assert (verdict.passed, verdict.reason) == (passed, reason)
        assert verdict.checks == (Check("log_loss", log_loss, 0.69, passed, reason[:-1]),)

    def test_of_a_regression_is_rmse(self):
        assert gate.judge("regression", REGRESSION, {}).reason == "rmse 2 is better than 3 without a model."


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
        verdict = gate.judge("binary", BINARY, {metric: bound})

        assert verdict.passed is passed
        assert verdict.checks[0].reason == reason
        assert verdict.reason.startswith(reason)

    @pytest.mark.parametrize("bound", [0, 0.5, -1])
    def test_fail_for_a_metric_that_was_not_measured(self, bound):
        verdict = gate.judge("binary", {**BINARY, "auc": None}, {"auc": bound})

        assert (verdict.passed, verdict.reason) == (
            False,
            f"auc could not be measured, so it is not at least {bound}.",
        )

    def test_that_fail_are_the_only_reasons(self):
        verdict = gate.judge("regression", REGRESSION, {"r2": 0.4, "rmse": 1.0, "mae": 1.0})

        assert verdict.reason == "mae 1.5 is not at most 1; rmse 2 is not at most 1."
        assert [check.passed for check in verdict.checks] == [False, True, False, True]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("acu", r"binary: auc, .*, brier\. .*thresholds\['acu'\].* 'auc'\?"),
            ("baseline_log_loss", r"thresholds\['baseline_log_loss'\].* 'log_loss'\?"),
            ("mae", r"binary: auc, .*thresholds\['mae'\]\.$"),
        ],
    )
    def test_name_a_metric_of_the_task(self, name, message):
        with pytest.raises(InputError, match=message):
            gate.judge("binary", BINARY, {name: 0.5})

    @pytest.mark.parametrize("bound", [True, "0.9", None, float("nan"), float("inf")])
    def test_are_numbers(self, bound):
        with pytest.raises(InputError, match=re.escape(f"thresholds['auc']={bound!r}.")):
            gate.judge("binary", BINARY, {"auc": bound})


class TestBeforeTheRun:
    """Checks for an unknown task, without scikit-learn or TensorFlow."""

    def test_metrics_of_all_tasks_are_allowed(self):
        gate.check_thresholds({"auc": 0.9, "rmse": 3})

    @pytest.mark.parametrize(
        ("thresholds", "message"),
        [
            ({"aucc": 0.9}, r": accuracy, auc, .*thresholds\['aucc'\].* 'auc'\?"),
            ({"auc": "high"}, r"thresholds\['auc'\]='high'\."),
        ],
    )
    def test_an_unknown_metric_and_a_bound_that_is_not_a_number(self, thresholds, message):
        with pytest.raises(InputError, match=message):
            gate.check_thresholds(thresholds)

    def test_imports_nothing_heavy(self):
        script = "import sys, tiffin.stages.evaluate.gate; print({'numpy', 'sklearn', 'tensorflow', 'kfp'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout == "set()\n"


class TestUnknownClasses:
    def test_fail_the_gate_and_are_listed_with_counts(self):
        verdict = gate.judge("binary", BINARY, {}, {f"c{number}": number for number in range(1, 8)})

        assert verdict.passed is False
        assert verdict.reason.startswith(
            "28 rows have classes that were not in training, 'c7' (7), 'c6' (6), 'c5' (5), 'c4' (4), 'c3' (3) and 2 more: "
        )
        assert (verdict.checks[-1].metric, verdict.checks[-1].value) == (gate.UNKNOWN_CLASSES, 28)
