"""The gate: each direction of each bound, the baseline, and what cannot be measured."""

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
    def test_is_always_to_be_beaten(self, log_loss, passed, reason):
        verdict = gate.judge("binary", {**BINARY, "log_loss": log_loss}, {})

        assert (verdict.passed, verdict.reason) == (passed, reason)
        assert verdict.checks == (Check("log_loss", log_loss, 0.69, passed, reason[:-1]),)

    def test_of_a_regression_is_its_error(self):
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
    def test_hold_in_the_direction_that_is_better(self, metric, bound, passed, reason):
        verdict = gate.judge("binary", BINARY, {metric: bound})

        assert verdict.passed is passed
        assert verdict.checks[0].reason == reason
        assert verdict.reason.startswith(reason)

    @pytest.mark.parametrize("bound", [0, 0.5, -1])
    def test_are_not_passed_by_what_was_not_measured(self, bound):
        verdict = gate.judge("binary", {**BINARY, "auc": None}, {"auc": bound})

        assert (verdict.passed, verdict.reason) == (
            False,
            f"auc could not be measured, so it is not at least {bound}.",
        )

    def test_that_fail_are_the_reason_and_the_others_are_not(self):
        verdict = gate.judge("regression", REGRESSION, {"r2": 0.4, "rmse": 1.0, "mae": 1.0})

        assert verdict.reason == "mae 1.5 is not at most 1; rmse 2 is not at most 1."
        assert [check.passed for check in verdict.checks] == [False, True, False, True]

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("acu", r"task binary: auc, .*, brier\. Received: thresholds\['acu'\]\. Did you mean 'auc'\?"),
            ("baseline_log_loss", r"thresholds\['baseline_log_loss'\]\. Did you mean 'log_loss'\?"),
            ("mae", r"thresholds\['mae'\]\. Choose one of these"),
        ],
    )
    def test_name_a_metric_of_the_task(self, name, said):
        with pytest.raises(InputError, match=said):
            gate.judge("binary", BINARY, {name: 0.5})

    @pytest.mark.parametrize("bound", [True, "0.9", None, float("nan"), float("inf")])
    def test_are_numbers(self, bound):
        with pytest.raises(InputError, match=r"A threshold should be a number\. Received: thresholds\['auc'\]="):
            gate.judge("binary", BINARY, {"auc": bound})


class TestBeforeTheRun:
    """What can be checked while the task is unknown, without scikit-learn or TensorFlow."""

    def test_a_metric_of_any_task_will_do(self):
        gate.check_thresholds({"auc": 0.9, "rmse": 3})

    @pytest.mark.parametrize(
        ("thresholds", "said"),
        [
            ({"aucc": 0.9}, r"name a metric: accuracy, auc, .*Received: thresholds\['aucc'\]\. Did you mean 'auc'\?"),
            ({"auc": "high"}, r"should be a number\. Received: thresholds\['auc'\]='high'\."),
        ],
    )
    def test_no_metric_and_no_number(self, thresholds, said):
        with pytest.raises(InputError, match=said):
            gate.check_thresholds(thresholds)

    def test_it_is_light(self):
        script = "import sys, tiffin.stages.evaluate.gate; print({'numpy', 'sklearn', 'tensorflow', 'kfp'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert done.stdout == "set()\n"


class TestUnknownClasses:
    def test_fail_the_gate_by_name_and_number(self):
        verdict = gate.judge("binary", BINARY, {}, {f"c{number}": number for number in range(1, 8)})

        assert verdict.passed is False
        assert verdict.reason.startswith(
            "28 rows have classes that were not in training, 'c7' (7), 'c6' (6), 'c5' (5), 'c4' (4), 'c3' (3) and 2 more: "
        )
        assert (verdict.checks[-1].metric, verdict.checks[-1].value) == (gate.UNKNOWN_CLASSES, 28)
