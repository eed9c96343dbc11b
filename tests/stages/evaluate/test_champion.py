"""The model in production: found in the serving root, compared on the same rows, and left untouched."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from support import gcs_emulator, s3_server
from support.written import table, write_examples
from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.recipe import RECIPE, ModelRecipe, Recipe, write_recipe
from tiffin.errors import InputError
from tiffin.governance.promotion import promoting
from tiffin.serving.history import Author
from tiffin.serving.root import STABLE, ServedModel
from tiffin.stages.evaluate.evaluation import evaluate

ROWS = 400
LABELS = ["yes", "no"] * (ROWS // 2)


class Scaled(tf.Module):
    """A binary model that moves its input `x` towards 0.5."""

    def __init__(self, share, name="x"):
        super().__init__()
        self.share, self.column = share, name

    def signature(self):
        spec = tf.TensorSpec([None], tf.float64, name=self.column)
        return tf.function(
            lambda **inputs: {"probability": tf.cast(0.5 + self.share * (inputs[self.column] - 0.5), tf.float32)}
        ).get_concrete_function(**{self.column: spec})


class OfColumns(tf.Module):
    """A binary model of a text, a date and a number."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.string, name="day"),
            tf.TensorSpec([None], tf.float64, name="x"),
        ]
    )
    def serve(self, text, day, x):
        right = tf.logical_and(text == "a", day == "1969-12-31")
        return {"probability": tf.where(right, tf.cast(x, tf.float32), 0.5)}


def rows(**columns):
    return table(x=[0.9 if label == "yes" else 0.1 for label in LABELS], y=LABELS, **columns)


def deploy(root, folder, version=1, name="model"):
    """Put a SavedModel in production."""
    served = ServedModel(str(root), name)
    served.publish(Path(folder), version)
    with promoting(served, version, Author("ada", "a test")):
        pass
    return served


def write_model(folder, share=0.5, recipe=None, column="x"):
    module = Scaled(share, column)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.signature()})
    if recipe is not None:
        write_recipe(folder, recipe)
    return folder


def make_recipe(label="y", task="binary", classes=("no", "yes"), column="x"):
    return ModelRecipe(Recipe(()), (Column(column, "FLOAT"),), label, task, classes, "d0", "0.1.0")


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """A model in production that is less certain than the new one."""
    return write_model(tmp_path_factory.mktemp("weak") / "saved", 0.5, make_recipe())


@pytest.fixture
def run(binary, tmp_path):
    """Return a function that evaluates the new model beside the one in a serving root."""

    def evaluate_beside(root=tmp_path / "root", data=None, **options):
        examples = write_examples(tmp_path / "e", {"eval": rows() if data is None else data})
        found = evaluate(
            binary, examples, tmp_path / "out", **{"model_name": "model", "serving_root": str(root), **options}
        )
        [check] = [check for check in found.checks if check.code == "CHAMPION"] or [None]
        return found, check

    return evaluate_beside


def contents(root):
    return {path: path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


class TestFirstModel:
    def test_a_root_that_does_not_exist_stops(self, run, tmp_path):
        found, check = run()

        assert (check.passed, found.champion.version) == (False, None)
        assert f"'{tmp_path / 'root'}'" in found.reason

    def test_passes_and_says_so(self, run, tmp_path):
        (tmp_path / "root").mkdir()
        found, check = run()

        assert (check.passed, check.decided, check.value, check.bound) == (True, False, None, None)
        assert (found.champion.version, found.champion.compared, found.passed) == (None, False, True)
        assert "'model'" in found.reason

    def test_of_another_name_passes(self, run, weak, tmp_path):
        deploy(tmp_path / "root", weak, name="other")

        assert run()[1].decided is False

    def test_root_from_the_environment(self, run, weak, tmp_path, monkeypatch):
        deploy(tmp_path / "root", weak, 3)
        monkeypatch.setenv("TIFFIN_SERVING_ROOT", str(tmp_path / "root"))

        assert run(serving_root="")[0].champion.version == 3

    def test_is_noted_without_a_name_or_a_root(self, run, monkeypatch):
        monkeypatch.delenv("TIFFIN_SERVING_ROOT", raising=False)
        for options, name in (({"model_name": ""}, "model_name"), ({"serving_root": ""}, "serving_root")):
            found, check = run(**options)
            [note] = [note for note in found.notes if note.code == "CHAMPION_NOT_COMPARED"]

            assert (check, name in note.text) == (None, True)
            with pytest.raises(InputError, match=f"{name}=''"):
                run(**options, gate={"champion": {"mode": "improvement"}})

    def test_is_not_looked_for_if_the_gate_says_so(self, run, weak, tmp_path):
        deploy(tmp_path / "root", weak)
        found, check = run(gate={"champion": {"mode": "off"}})

        assert (check, found.champion) == (None, None)
        assert "CHAMPION_NOT_COMPARED" in {note.code for note in found.notes}


class TestComparison:
    def test_on_the_same_rows(self, run, weak, tmp_path):
        deploy(tmp_path / "root", weak, 7)
        before = contents(tmp_path / "root")
        found, check = run(gate={"champion": {"mode": "improvement"}})

        # Probabilities of the label of 0.9 and 0.7 in every row.
        assert (check.value, check.bound) == (
            pytest.approx(-np.log(0.9), rel=1e-6),
            pytest.approx(-np.log(0.7), rel=1e-6),
        )
        assert (check.passed, check.decided, check.rows) == (True, True, ROWS)
        assert (found.champion.model, found.champion.version, found.champion.compared) == ("model", 7, True)
        assert found.champion.metrics["log_loss"] == check.bound
        assert found.champion.data_version == "d0"
        assert contents(tmp_path / "root") == before

    def test_stops_a_worse_model(self, run, tmp_path):
        deploy(tmp_path / "root", write_model(tmp_path / "strong", 1.2, make_recipe()), 2)
        found, check = run()

        assert (found.passed, check.passed) == (False, False)
        for value in ("'model'", " 2 ", "0.1054", "0.0202"):
            assert value in found.reason

    def test_with_the_version_of_the_config(self, run, weak, tmp_path):
        served = deploy(tmp_path / "root", weak, 1)
        strong = write_model(tmp_path / "strong", 1.2, make_recipe())
        served.publish(strong, 2)

        assert run()[0].champion.version == 1

    def test_with_the_newest_version_of_a_config_by_hand(self, run, weak, tmp_path):
        served = deploy(tmp_path / "root", weak, 9)
        served.publish(write_model(tmp_path / "other", 0.4, make_recipe()), 10)
        config = 'model_config_list { config { name: "model" base_path: "%s" model_platform: "tensorflow" } }'
        (tmp_path / "root" / "model" / STABLE).write_text(config % served.locate("versions"))

        assert run()[0].champion.version == 10

    def test_with_a_model_without_a_recipe(self, run, tmp_path):
        deploy(tmp_path / "root", write_model(tmp_path / "old", 0.5))
        found, check = run()

        assert (check.passed, check.decided, found.champion.data_version) == (True, True, "")

    def test_with_other_columns(self, binary, tmp_path):
        tf.saved_model.save(module := OfColumns(), str(tmp_path / "m"), signatures={"serving_default": module.serve})
        deploy(tmp_path / "root", tmp_path / "m")
        data = rows(text=["a"] * ROWS, day=[-86400] * ROWS)
        examples = write_examples(tmp_path / "dates", {"eval": data})
        manifest = read_manifest(examples)
        logical = tuple(replace(column, logical="date" * (column.name == "day") or None) for column in manifest.columns)
        documents.write(examples / "manifest.json", replace(manifest, columns=logical))
        root = str(tmp_path / "root")
        found = evaluate(binary, examples, tmp_path / "out", model_name="model", serving_root=root)

        # The date reaches the model as a text: its prediction is then the column x.
        assert found.champion.metrics["log_loss"] == found.metrics["log_loss"]

    def test_in_cloud_storage(self, run, weak):
        with gcs_emulator.serve() as bucket:
            deploy(f"gs://{bucket.name}/serving", weak, 4)
            assert run(f"gs://{bucket.name}/serving")[0].champion.version == 4

    def test_in_s3(self, run, weak):
        with s3_server.serve():
            deploy("s3://bucket/serving", weak, 5)
            assert run("s3://bucket/serving")[1].decided is True


class TestIncomparable:
    @pytest.mark.parametrize(
        ("recipe", "values"),
        [
            (make_recipe(label="other"), ["'other'", "'y'"]),
            (make_recipe(task="multiclass", classes=("no", "yes")), ["'multiclass'", "'binary'"]),
            (make_recipe(classes=("no", "perhaps")), ["'perhaps'", "'yes'"]),
            (make_recipe(classes=("yes", "no")), ["'yes', 'no'", "'no', 'yes'"]),
        ],
    )
    def test_predictions_stop_the_model(self, run, tmp_path, recipe, values):
        deploy(tmp_path / "root", write_model(tmp_path / "old", 0.5, recipe), 6)
        found, check = run()

        assert (found.passed, check.passed, check.value, found.champion.compared) == (False, False, None, False)
        assert not [
            value for value in ["'model'", " 6 ", "incomparable", "model_name", *values] if value not in check.reason
        ]

    def test_a_column_that_the_examples_lack_stops_the_model(self, run, tmp_path):
        deploy(tmp_path / "root", write_model(tmp_path / "old", 0.5, column="speed"))
        _, check = run()

        assert (check.passed, "'speed'" in check.reason) == (False, True)

    def test_outputs_of_another_task_without_a_recipe(self, run, echo, tmp_path):
        for task in ("multiclass", "regression"):
            deploy(tmp_path / task, saved_model(echo(task)))
            _, check = run(tmp_path / task)

            assert (check.passed, "'probability'" in check.reason) == (False, True)

    @pytest.mark.parametrize("damage", ["missing", "damaged", "recipe", "config", "no versions"])
    def test_a_model_that_cannot_be_loaded_stops_the_new_one(self, run, weak, tmp_path, damage):
        served = deploy(tmp_path / "root", weak, 3)
        folder = tmp_path / "root" / "model" / "versions" / "3"
        if damage == "missing":
            storage.delete(str(folder))
        elif damage == "damaged":
            (folder / "saved_model.pb").write_bytes(b"nothing")
        elif damage == "recipe":
            (folder / RECIPE).write_text("{")
        elif damage == "config":
            (tmp_path / "root" / "model" / STABLE).write_text("model_config_list {")
        else:
            empty = tmp_path / "empty"
            (empty / "x").mkdir(parents=True)
            (empty / "x" / "a").write_text("")
            text = f'model_config_list {{ config {{ name: "model" base_path: "{empty}" }} }}'
            (tmp_path / "root" / "model" / STABLE).write_text(text)
        before = contents(tmp_path / "root")
        found, check = run()

        assert (found.passed, check.passed, check.decided, found.champion.compared) == (False, False, True, False)
        assert str(tmp_path) in check.reason or served.locate(STABLE) in check.reason or "line" in check.reason
        assert "incomparable" in check.reason
        assert contents(tmp_path / "root") == before

    def test_values_that_the_model_cannot_take_stop_the_new_one(self, run, tmp_path):
        deploy(tmp_path / "root", write_model(tmp_path / "old", 0.5, column="text"))
        _, check = run(data=rows(text=["a"] * ROWS))

        assert (check.passed, check.value) == (False, None)

    def test_may_be_let_through(self, run, tmp_path):
        deploy(tmp_path / "root", write_model(tmp_path / "old", 0.5, make_recipe(label="other")))
        found, check = run(gate={"champion": {"incomparable": "pass"}})

        assert (found.passed, check.passed, check.decided, "'other'" in check.reason) == (True, True, False, True)
