"""Evaluation of the exported model on a split: metrics, curves and verdict."""

import re

import numpy as np
import pytest

from support.documents import make_training
from support.written import table, write_examples
from tiffin.artifacts.documents import to_json
from tiffin.artifacts.measures import Curve
from tiffin.artifacts.model import read_training, write_training
from tiffin.artifacts.verdict import digest, read_evaluation
from tiffin.errors import DataError, InputError, StorageError
from tiffin.quality import metrics
from tiffin.stages.evaluate import predictions
from tiffin.stages.evaluate.evaluation import evaluate
from tiffin.stages.evaluate.predictions import load, predict


def verdict(folder):
    evaluation = read_evaluation(folder)
    assert "nan" not in str(evaluation)
    return evaluation


class TestVerdict:
    def test_of_a_binary_model(self, binary, tmp_path):
        rows = table(x=[0.9, 0.6, 0.4, 0.1, 0.5], y=["yes", "no", "yes", "no", None])
        found = evaluate(
            binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out", thresholds={"auc": 0.7}
        )

        assert found == verdict(tmp_path / "out")
        assert (found.rows, found.split, found.data_version) == (4, "eval", "d1")
        assert [(check.metric, check.passed) for check in found.checks] == [("auc", True), ("log_loss", False)]
        assert [(note.code, note.column, note.count) for note in found.notes] == [
            ("LABEL_MISSING", "y", 1),
            ("CHAMPION_NOT_COMPARED", "", None),
        ]
        assert found.metrics["auc"] == 0.75
        # Rows are the true classes: one of two "no" is predicted as "yes".
        assert (found.classes, found.confusion) == (("no", "yes"), ((1, 1), (1, 1)))
        assert found.curve == Curve((0, 0, 0.5, 0.5, 1), (0, 0.5, 0.5, 1, 1), (1, 0.9, 0.6, 0.4, 0.1))
        # The row without a label is left out of the predictions too.
        [predictions] = found.predictions
        assert (predictions.name, predictions.rows, predictions.counts) == ("probability", 4, (1, 1, 1, 1, 0))

    def test_of_a_model_that_does_not_pass(self, binary, tmp_path):
        rows = table(x=[0.9, 0.6, 0.4, 0.1], y=["yes", "no", "yes", "no"])
        evaluate(binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out", thresholds={"auc": 0.8})

        assert verdict(tmp_path / "out").passed is False
        assert re.search(r"^auc 0\.75 .* 0\.8; log_loss ", verdict(tmp_path / "out").reason)

    def test_of_a_model_of_several_classes(self, echo, tmp_path):
        model = echo("multiclass", classes=("1", "2", "3"))
        rows = table(x=[0.1, 0.9, 0.9], y=[1, 2, 3])
        found = evaluate(model, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out")

        assert found.confusion == ((1, 0, 0), (0, 1, 0), (0, 1, 0))
        assert found.metrics["accuracy"] == pytest.approx(2 / 3)
        assert found.curve is None
        assert found.predicted_classes == {"1": 1, "2": 2, "3": 0}
        assert [one.mean for one in found.predictions] == pytest.approx([1.1 / 3, 1.9 / 6, 1.9 / 6])

    def test_of_a_regression(self, echo, tmp_path):
        model = echo("regression", classes=())
        rows = table(x=[1.0, 3.0, 5.0, 7.0, 9.0, 11.0], y=[2.0, 2.0, 6.0, 6.0, 10.0, 10.0])
        found = evaluate(model, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out", thresholds={"mae": 1})

        assert (found.passed, found.metrics["mae"], found.checks[1].rows) == (True, 1.0, 6)
        assert found.checks[1].bound == pytest.approx(np.std([2, 2, 6, 6, 10, 10]))
        assert re.search(r"^mae 1 .* 1; rmse 1 .*\(3\.266\) by 2\.27, .* 6 rows\.$", found.reason)
        assert found.checks[1].value == found.metrics["rmse"]
        # Each row has a bin of its own: the predictions are off by 1, alternately.
        assert (found.calibration.predicted, found.calibration.observed) == ((1, 3, 5, 7, 9, 11), (2, 2, 6, 6, 10, 10))
        assert (sum(found.errors.rows), found.errors.edges[0], found.errors.edges[-1]) == (6, -1, 1)

    def test_of_a_coin_toss(self, binary, tmp_path):
        # Constant predictions, nearer to the shares of the split than those in training are.
        rows = table(x=[0.45] * 2000, y=(["no"] * 11 + ["yes"] * 9) * 100)
        found = evaluate(binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out")

        assert found.metrics["log_loss"] < 0.6931
        assert found.passed is False

    def test_of_few_rows(self, binary, tmp_path):
        for rows, passed in ((4, False), (5, True)):
            data = table(x=[0.001, 0.999, 0.001, 0.999, 0.001][:rows], y=["no", "yes", "no", "yes", "no"][:rows])
            found = evaluate(
                binary, write_examples(tmp_path / f"e{rows}", {"eval": data}), tmp_path / "out", thresholds={"auc": 1}
            )

            assert (found.passed, found.checks[-1].passed, found.checks[-1].rows) == (passed, passed, rows)

    def test_of_an_unknown_class(self, binary, tmp_path):
        rows = table(x=[0.9, 0.1, 0.6, 0.5], y=["yes", "no", "maybe", None])
        found = evaluate(binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out")

        assert found == verdict(tmp_path / "out")
        assert (found.passed, found.rows, found.confusion) == (False, 2, ((1, 0), (0, 1)))
        assert re.search(r"; 1 row has .*'maybe' \(1\): ", found.reason)
        assert [(check.metric, check.passed) for check in found.checks] == [
            ("log_loss", False),
            ("rows_of_unknown_classes", False),
        ]

    def test_of_unknown_classes(self, echo, tmp_path):
        model = echo("multiclass", classes=("1", "2", "3"))
        shards = [table(x=[0.1, 0.5, 0.5], y=[1, 4, 5]), table(x=[0.5], y=[5]), table(x=[0.9, 0.2], y=[2, 6])]
        found = evaluate(model, write_examples(tmp_path / "e", {"eval": shards}), tmp_path / "out")

        assert (found.passed, found.rows) == (False, 2)
        assert re.search(r"; 4 .*'5' \(2\), '4' \(1\), '6' \(1\): ", found.reason)

    def test_of_a_split_with_one_class(self, binary, tmp_path):
        rows = table(x=[0.9, 0.6], y=["yes", "yes"])
        found = evaluate(
            binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out", thresholds={"auc": 0.5}
        )

        assert re.search(r"^auc .* 0\.5; log_loss 0\.3081 .*\(0\).* 2 rows", found.reason)
        assert found.curve == Curve((), (), ())

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_of_a_model_that_predicts_nan(self, echo, tmp_path, task):
        model = echo(
            task,
            classes=("1.5", "2.5", "3.5")[: 2 if task == "binary" else 3],
        )
        rows = table(x=[None, 0.5], y=[1.5, 2.5])
        found = evaluate(model, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out")

        assert found.passed is False
        assert verdict(tmp_path / "out").checks[-1].value is None

    def test_of_many_rows_has_a_curve_of_100_points(self, binary, tmp_path):
        rows = table(x=[(number * 7919 % 9973) / 9973 for number in range(9000)], y=["yes", "no", "no"] * 3000)
        found = evaluate(binary, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out")

        assert len(found.curve.fpr) == 100
        assert (found.curve.fpr[0], found.curve.fpr[-1]) == (0, 1)

    def test_of_trained_models(self, models, tmp_path):
        for name in ("binary", "multiclass", "regression"):
            found = evaluate(getattr(models, name).model, getattr(models, name).examples, tmp_path / name)

            assert (found.passed, found.rows) == (True, 90), found.reason

    @pytest.mark.parametrize("task", ["binary", "multiclass"])
    def test_states_the_error_of_metrics_that_are_not_exact(self, models, tmp_path, monkeypatch, task):
        model = getattr(models, task)
        exact = evaluate(model.model, model.examples, tmp_path / "exact")
        monkeypatch.setattr(metrics, "_RANKED_ROWS", 20)
        monkeypatch.setattr(metrics, "_GROUPS", 20)
        found = evaluate(model.model, model.examples, tmp_path / "out")
        [note] = [note for note in found.notes if note.code == "METRICS_APPROXIMATE"]
        bounds = dict(re.findall(r"(auc|average_precision) is within (\S+)", note.text))

        assert {note.code for note in exact.notes} == {"CHAMPION_NOT_COMPARED"}
        assert set(bounds) == ({"auc", "average_precision"} if task == "binary" else {"auc"})
        for name, bound in bounds.items():
            assert 0 <= abs(found.metrics[name] - exact.metrics[name]) <= float(bound)
        same = found.metrics.keys() - bounds.keys()
        assert {name: found.metrics[name] for name in same} == {name: exact.metrics[name] for name in same}

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_does_not_depend_on_the_batches(self, models, tmp_path, monkeypatch, task):
        model = getattr(models, task)
        one = evaluate(model.model, model.examples, tmp_path / "one")
        monkeypatch.setattr(predictions, "_BATCH_ROWS", 7)
        monkeypatch.setattr(predictions, "_LABEL_ROWS", 5)
        two = evaluate(model.model, model.examples, tmp_path / "two")

        assert two.metrics == pytest.approx(one.metrics, rel=1e-6)
        assert (two.confusion, two.rows) == (one.confusion, one.rows)

    def test_is_the_same_twice(self, models, tmp_path):
        for name in ("one", "two"):
            evaluate(models.binary.model, models.binary.examples, tmp_path / name)

        assert to_json(read_evaluation(tmp_path / "one")) == to_json(read_evaluation(tmp_path / "two"))


class TestGate:
    def rows(self, count=400):
        return table(x=[0.8, 0.3] * (count // 2), y=["yes", "no"] * (count // 2))

    def evaluate(self, binary, tmp_path, gate, rows=None):
        examples = write_examples(tmp_path / "e", {"eval": self.rows() if rows is None else rows})
        return evaluate(binary, examples, tmp_path / "out", gate=gate)

    @pytest.mark.parametrize(
        ("rule", "code", "metric", "passed"),
        [
            ({"bounds": [{"metric": "recall", "of_class": "no", "min": 0.9}]}, "BOUND", "recall", True),
            ({"bounds": [{"metric": "accuracy", "max": 0.99}]}, "BOUND", "accuracy", False),
            ({"calibration": 0.3}, "CALIBRATION", "calibration_error", True),
            ({"calibration": 0.2}, "CALIBRATION", "calibration_error", False),
            ({"min_rows": 400}, "ROWS", "rows", True),
            ({"min_rows": 401}, "ROWS", "rows", False),
            ({"baseline": {"gain": 0.5}}, "BASELINE", "log_loss", True),
            ({"baseline": {"gain": 0.6}}, "BASELINE", "log_loss", False),
        ],
    )
    def test_names_every_check(self, binary, tmp_path, rule, code, metric, passed):
        found = self.evaluate(binary, tmp_path, rule)
        [check] = [check for check in found.checks if check.code == code]

        assert (check.metric, check.passed, found.passed, check.decided, check.rows) == (
            metric, passed, passed, True, 200 if "bounds" in rule and rule["bounds"][0].get("of_class") else 400,
        )  # fmt: skip
        assert check.reason in found.reason

    def test_of_a_whole_interval_is_stricter(self, binary, tmp_path):
        rows = table(x=[0.9] * 55 + [0.1] * 45, y=["yes", "no"] * 50)
        bound = {"metric": "accuracy", "min": 0.45}
        value = self.evaluate(binary, tmp_path / "1", {"bounds": [bound]}, rows).checks[0]
        whole = self.evaluate(binary, tmp_path / "2", {"bounds": [bound | {"interval": True}]}, rows).checks[0]

        assert (value.passed, whole.passed) == (True, False)
        assert whole.low < 0.45 < whole.value < whole.high

    def test_of_a_class_that_the_model_does_not_have(self, binary, tmp_path):
        with pytest.raises(InputError, match=r"no, yes.*'perhaps'"):
            self.evaluate(binary, tmp_path, {"bounds": [{"metric": "recall", "of_class": "perhaps", "min": 0.9}]})

    def test_and_verdict_have_digests(self, binary, tmp_path):
        one, same, other = (
            self.evaluate(binary, tmp_path / str(number), {"min_rows": rows}) for number, rows in enumerate((1, 1, 2))
        )

        assert (one.gate_digest, one.verdict_digest) == (same.gate_digest, same.verdict_digest)
        assert one.gate_digest != other.gate_digest
        assert one.verdict_digest == digest(one.verdict)
        assert one.gate["champion"] == {"mode": "not_worse", "margin": 0.05, "incomparable": "stop"}

    def test_names_few_of_many_reasons(self, binary, tmp_path):
        found = self.evaluate(
            binary, tmp_path, {"bounds": [{"metric": "auc", "max": -number} for number in range(1, 10)]}
        )

        assert found.reason.endswith("; 3 more checks failed.")


class TestDegenerate:
    @pytest.mark.parametrize("x", [0.0, 0.5, 1.0])
    def test_constant_predictions(self, binary, tmp_path, x):
        rows = table(x=[x] * 200, y=["yes", "no"] * 100, g=["a", "b"] * 100)
        examples = write_examples(tmp_path / "e", {"eval": rows})
        found = evaluate(binary, examples, tmp_path / "out", slices=["g"], sensitive=["g"])

        assert found == verdict(tmp_path / "out")
        assert (found.passed, found.metrics["auc"]) == (False, 0.5)
        assert found.calibration.rows == (200,)
        assert [one.metrics["auc"] for one in found.slices] == [None, None]

    @pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
    def test_one_row(self, echo, tmp_path, task):
        model = echo(task, classes={"binary": ("1", "2"), "multiclass": ("1", "2", "3"), "regression": ()}[task])
        rows = table(x=[0.5], y=[1], g=["a"])
        examples = write_examples(tmp_path / "e", {"eval": rows})
        found = evaluate(model, examples, tmp_path / "out", slices=["g", ["g", "x"]], sensitive=["g"], min_slice_rows=1)

        assert found == verdict(tmp_path / "out")
        assert (found.passed, found.rows, len(found.slices)) == (False, 1, 2)

    def test_predictions_that_are_nan_have_no_slices_that_pass(self, binary, tmp_path):
        rows = table(x=[None, 0.5] * 100, y=["yes", "no"] * 100, g=["a", "b"] * 100)
        rule = {"columns": ["g"], "metric": "log_loss", "max": 10}
        examples = write_examples(tmp_path / "e", {"eval": rows})
        found = evaluate(binary, examples, tmp_path / "out", gate={"slices": [rule]}, sensitive=["g"])

        assert found == verdict(tmp_path / "out")
        assert [(check.slice, check.value, check.passed) for check in found.checks if check.code == "SLICE"] == [
            ("g = a", None, False),
            ("g = b", pytest.approx(np.log(2), rel=1e-6), True),
        ]
        assert (found.calibration, set(found.fairness[0].measures.values())) == (None, {None})


class TestPredict:
    def test_reads_shards_in_order(self, binary, tmp_path):
        shards = [table(x=[0.1, 0.2], y=["no", "yes"]), table(x=[0.3], y=["yes"])]
        found = list(
            predict(
                load(binary)["serving_default"],
                write_examples(tmp_path, {"eval": shards}),
                "eval",
                read_training(binary),
            )
        )

        np.testing.assert_allclose(np.concatenate([answer for _, answer in found]), [0.1, 0.2, 0.3])
        assert [truth.tolist() for truth, _ in found] == [[0, 1], [1]]


class TestBadInput:
    GOOD = table(x=[0.9, 0.1], y=["yes", "no"])

    def evaluate(self, model, tmp_path, rows=GOOD, **options):
        return evaluate(model, write_examples(tmp_path / "e", {"eval": rows}), tmp_path / "out", **options)

    def test_a_threshold_of_an_unknown_metric(self, binary, tmp_path):
        with pytest.raises(InputError, match=r"thresholds\['aucc'\].* 'auc'\?"):
            self.evaluate(binary, tmp_path, thresholds={"aucc": 0.5})

        assert not (tmp_path / "out").exists()

    def test_a_split_that_does_not_exist(self, binary, tmp_path):
        with pytest.raises(InputError, match=r"eval.*split='test'"):
            self.evaluate(binary, tmp_path, split="test")

    def test_a_split_without_labels(self, binary, tmp_path):
        with pytest.raises(DataError, match=r"split='eval'.*'y'"):
            self.evaluate(binary, tmp_path, table(x=[0.5], y=[None]))

    def test_a_split_with_unknown_classes_only(self, binary, tmp_path):
        with pytest.raises(DataError, match=r"split='eval'.*'y'.*: maybe\."):
            self.evaluate(binary, tmp_path, table(x=[0.5, 0.6], y=["maybe", "maybe"]))

    def test_examples_without_a_column_of_the_model(self, binary, tmp_path):
        with pytest.raises(InputError, match=r": x\. .*parquet' with z, y\."):
            self.evaluate(binary, tmp_path, table(z=[0.5], y=["yes"]))

    @pytest.mark.parametrize("damage", ["missing", "damaged"])
    def test_a_shard_that_cannot_be_read(self, binary, tmp_path, damage):
        examples = write_examples(tmp_path / "e", {"eval": [self.GOOD, self.GOOD]})
        shard = tmp_path / "e" / "data" / "eval-00001.parquet"
        if damage == "missing":
            shard.unlink()
        else:
            shard.write_bytes(shard.read_bytes()[:-10])
        with pytest.raises(StorageError, match=str(shard)):
            evaluate(binary, examples, tmp_path / "out")

        assert not (tmp_path / "out").exists()

    def test_a_model_without_a_record(self, tmp_path):
        with pytest.raises(InputError, match=r"training.json.*/empty'"):
            self.evaluate(tmp_path / "empty", tmp_path)

    def test_a_model_without_a_saved_model(self, tmp_path):
        write_training(tmp_path / "m", make_training(label="y"))
        with pytest.raises(InputError, match=r"serving_default.*/m'"):
            self.evaluate(tmp_path / "m", tmp_path)
