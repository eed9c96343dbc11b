"""The gate document: its defaults, its file, the thresholds in it, and the path of each fault."""

import json
import re
import subprocess
import sys

import pytest

from tiffin.errors import InputError
from tiffin.stages.evaluate.document import (
    Bound,
    Gate,
    Production,
    ServingRule,
    check_gate,
    check_thresholds,
    read_gate,
)
from tiffin.stages.evaluate.parameters import check_min_rows, check_sensitive, check_slices

WHOLE = {
    "bounds": [{"metric": "auc", "min": 0.9}, {"metric": "recall", "of_class": "1", "min": 0.5, "interval": True}],
    "min_rows": 1000,
    "calibration": 0.05,
    "baseline": {"gain": 0.1},
    "champion": {"mode": "improvement", "margin": 0.02, "incomparable": "pass"},
    "serving": {"mode": "on", "max_size_mb": 100, "max_load_seconds": 10, "max_p99_ms": 20.5},
    "slices": [{"columns": ["city", "day"], "metric": "log_loss", "max": 1, "min_rows": 200}],
    "fairness": [{"column": "gender", "measure": "equalized_odds_ratio", "min": 0.8}],
}


class TestDocument:
    def test_that_is_empty_has_the_defaults(self):
        assert read_gate(None) == read_gate({}) == Gate()
        assert Gate().champion == Production("not_worse", 0.05, "stop")
        assert Gate().serving == ServingRule("on", None, None, None)

    def test_may_have_every_rule(self):
        found = read_gate(WHOLE, task="binary")

        assert found.bounds[1] == Bound("recall", min=0.5, of_class="1", interval=True)
        assert (found.slices[0].columns, found.slices[0].max, found.slices[0].min_rows) == (("city", "day"), 1.0, 200)
        assert (found.min_rows, found.calibration, found.baseline.gain) == (1000, 0.05, 0.1)
        assert found.fairness[0].measure == "equalized_odds_ratio"

    def test_takes_numbers_as_a_backend_passes_them(self):
        # Protobuf's Struct has floats only.
        assert read_gate({"min_rows": 1000.0}) == read_gate({"min_rows": 1000})

    def test_takes_the_words_on_and_off_as_yaml_reads_them(self):
        assert read_gate({"champion": {"mode": False}}).champion.mode == "off"
        assert [read_gate({"serving": {"mode": mode}}).serving.mode for mode in (True, False)] == ["on", "off"]

    @pytest.mark.parametrize(
        ("gate", "values"),
        [
            ({"slices": [WHOLE["slices"][0], WHOLE["slices"][0] | {"min_rows": "many"}]}, ["gate.slices[1].min_rows", "str"]),
            ({"champoin": {}}, ["gate.champoin", "'champion'"]),
            ({"champion": {"mode": "better"}}, ["gate.champion.mode", "'better'", "'improvement'"]),
            ({"champion": {"margin": -1}}, ["gate.champion.margin=-1"]),
            ({"champion": {"margin": float("nan")}}, ["gate.champion.margin=nan"]),
            ({"serving": {"mode": "maybe"}}, ["gate.serving.mode", "'maybe'"]),
            ({"serving": {"max_p99": 5}}, ["gate.serving.max_p99", "max_p99_ms"]),
            ({"serving": {"max_load_seconds": -1}}, ["gate.serving.max_load_seconds=-1"]),
            ({"serving": {"mode": "off", "max_size_mb": 5}}, ["gate.serving.max_size_mb", "gate.serving.mode='off'"]),
            ({"champion": []}, ["gate.champion", "list"]),
            ({"bounds": {"auc": 0.9}}, ["gate.bounds", "dict", "list"]),
            ({"bounds": [{"metric": "aucc", "min": 0.9}]}, ["gate.bounds[0].metric='aucc'", "'auc'"]),
            ({"bounds": [{"metric": "auc"}]}, ["gate.bounds[0].min", "gate.bounds[0].max"]),
            ({"bounds": [{"metric": "auc", "min": 0.9, "max": 0.8}]}, ["gate.bounds[0].min", "0.9", "0.8"]),
            ({"bounds": [{"metric": "auc", "min": True}]}, ["gate.bounds[0].min", "bool"]),
            ({"bounds": [{"metric": "auc", "of_class": "1", "min": 0.5}]}, ["gate.bounds[0].metric='auc'", "recall"]),
            ({"bounds": [{"min": 0.9}]}, ["gate.bounds[0].metric"]),
            ({"min_rows": 1.5}, ["gate.min_rows", "float"]),
            ({"min_rows": -1}, ["gate.min_rows=-1"]),
            ({"baseline": {"gain": "all"}}, ["gate.baseline.gain", "str"]),
            ({"slices": [{"columns": ["a", "a"], "metric": "auc", "min": 0.5}]}, ["gate.slices[0].columns", "['a', 'a']"]),
            ({"slices": [{"columns": ["a"], "metric": "auc", "min": 0.5, "min_rows": 0}]}, ["gate.slices[0].min_rows=0"]),
            ({"fairness": [{"column": "a", "measure": "parity", "max": 1}]}, ["gate.fairness[0].measure='parity'"]),
            ({1: 2, "a": 3}, ["gate.1"]),
        ],
    )  # fmt: skip
    def test_names_the_path_of_a_fault(self, gate, values):
        with pytest.raises(InputError) as error:
            check_gate(gate)

        assert not [value for value in values if value not in str(error.value)], str(error.value)

    @pytest.mark.parametrize(
        ("gate", "task", "path"),
        [
            ({"bounds": [{"metric": "rmse", "max": 1}]}, "binary", "gate.bounds[0].metric='rmse'"),
            ({"calibration": 0.1}, "regression", "gate.calibration"),
            ({"fairness": [WHOLE["fairness"][0]]}, "multiclass", "gate.fairness[0].measure='equalized_odds_ratio'"),
        ],
    )
    def test_names_metrics_of_the_task(self, gate, task, path):
        check_gate(gate)
        with pytest.raises(InputError, match=re.escape(path)):
            read_gate(gate, task=task)


class TestFile:
    def test_may_be_yaml_or_json(self, tmp_path):
        (tmp_path / "gate.json").write_text(json.dumps(WHOLE))
        (tmp_path / "gate.yaml").write_text("champion: {mode: off}\nbounds:\n  - {metric: auc, min: 0.9}\n")

        assert read_gate({"file": str(tmp_path / "gate.json")}) == read_gate(WHOLE)
        found = read_gate({"file": f"file://{tmp_path}/gate.yaml"})
        assert (found.champion.mode, found.bounds) == ("off", (Bound("auc", min=0.9),))

    def test_that_is_empty_has_the_defaults(self, tmp_path):
        (tmp_path / "gate.yaml").write_text("# no rules\n")

        assert read_gate({"file": str(tmp_path / "gate.yaml")}) == Gate()

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("bounds:\n  - {metric: aucc, min: 1}\n", ["gate.yaml.bounds[0].metric", "aucc"]),
            ("a: 1\nb: [\n", ["gate.yaml", "line 3"]),
            ("- 1\n", ["gate.yaml", "list"]),
        ],
    )
    def test_with_a_fault_is_named(self, tmp_path, text, values):
        (tmp_path / "gate.yaml").write_text(text)
        with pytest.raises(InputError) as error:
            check_gate({"file": str(tmp_path / "gate.yaml")})

        assert not [value for value in values if value not in str(error.value)], str(error.value)

    def test_that_is_elsewhere_is_checked_in_the_step(self, tmp_path):
        check_gate({"file": "gs://bucket/gate.yaml"})
        check_gate({"file": str(tmp_path / "none.yaml")})
        with pytest.raises(InputError, match=r"none\.yaml"):
            read_gate({"file": str(tmp_path / "none.yaml")})

    @pytest.mark.parametrize("gate", [{"file": 1}, {"file": ""}, {"file": "a.yaml", "min_rows": 1}])
    def test_is_a_location_alone(self, gate):
        with pytest.raises(InputError, match=re.escape(repr(gate))):
            check_gate(gate)


class TestThresholds:
    def test_are_bounds(self):
        found = read_gate({"bounds": [{"metric": "f1", "min": 0.1}]}, {"log_loss": 0.3, "auc": 0.9})

        assert found.bounds == (Bound("f1", min=0.1), Bound("auc", min=0.9), Bound("log_loss", max=0.3))

    def test_may_repeat_a_bound_of_the_gate(self):
        assert read_gate({"bounds": [{"metric": "auc", "min": 0.9}]}, {"auc": 0.9}).bounds == (Bound("auc", min=0.9),)

    def test_may_add_the_other_side(self):
        assert len(read_gate({"bounds": [{"metric": "auc", "max": 0.999}]}, {"auc": 0.9}).bounds) == 2

    def test_that_differ_from_the_gate_are_refused(self):
        with pytest.raises(InputError, match=r"thresholds\['auc'\]=0\.9 .*gate\.bounds\[0\]\.min=0\.8"):
            read_gate({"bounds": [{"metric": "auc", "min": 0.8}]}, {"auc": 0.9})

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("acu", r"binary: auc, .*, brier, calibration_error\. .*thresholds\['acu'\].* 'auc'\?"),
            ("baseline_log_loss", r"thresholds\['baseline_log_loss'\].* 'log_loss'\?"),
            ("mae", r"binary: auc, .*thresholds\['mae'\]\.$"),
        ],
    )
    def test_name_a_metric_of_the_task(self, name, message):
        with pytest.raises(InputError, match=message):
            check_thresholds({name: 0.5}, "binary")

    @pytest.mark.parametrize("bound", [True, "0.9", None, float("nan"), float("inf")])
    def test_are_numbers(self, bound):
        with pytest.raises(InputError, match=re.escape(f"thresholds['auc']={bound!r}.")):
            check_thresholds({"auc": bound})

    def test_of_all_tasks_are_allowed_before_a_run(self):
        check_thresholds({"auc": 0.9, "rmse": 3})
        with pytest.raises(InputError, match=r": accuracy, auc, .*thresholds\['aucc'\].* 'auc'\?"):
            check_thresholds({"aucc": 0.9})


class TestParameters:
    @pytest.mark.parametrize("slices", [[1], [["a"] * 2], [["a", "b", "c"]], [[]], [""], [["a", 1]], [{"a": 1}]])
    def test_slices_are_columns_or_pairs(self, slices):
        check_slices(["a", ["a", "b"], ["c"]])
        with pytest.raises(InputError, match=re.escape(f"slices[0]={slices[0]!r}.")):
            check_slices(slices)

    @pytest.mark.parametrize("sensitive", [[1], [["a"]], [""]])
    def test_sensitive_are_columns(self, sensitive):
        check_sensitive(["a"])
        with pytest.raises(InputError, match=re.escape(f"sensitive[0]={sensitive[0]!r}.")):
            check_sensitive(sensitive)

    @pytest.mark.parametrize("rows", [0, -1])
    def test_a_slice_has_rows(self, rows):
        check_min_rows(1)
        with pytest.raises(InputError, match=f"min_slice_rows={rows}"):
            check_min_rows(rows)


def test_the_rules_import_nothing_heavy():
    script = (
        "import sys, tiffin.stages.evaluate.traits;"
        "print({'numpy', 'sklearn', 'tensorflow', 'kfp', 'pyarrow', 'scipy', 'yaml', 'google.cloud'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
