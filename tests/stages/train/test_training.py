"""The model artifact: the training record, and equal predictions from every signature of the SavedModel."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from support.trained import SETTINGS
from support.written import table, write_examples, write_schema, write_statistics
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.model import OUTPUTS, Settings, read_answers, read_training, saved_model
from tiffin.errors import DataError, InputError, StorageError
from tiffin.stages.train import fitting
from tiffin.stages.train import rows as training_rows
from tiffin.stages.train.reuse import train_or_reuse
from tiffin.stages.train.training import train

TASKS = ["binary", "multiclass", "regression"]
# Rows as a server receives them.
RAW = {
    "km": np.array([0.5, 5.0, 9.5, np.nan, 100.0], np.float64),
    "items": np.array([1, 4, 8, 3, np.nan], np.float64),
    "kitchen": np.array(["thai", "soup", "", "never seen", "pizza"]),
}


@pytest.fixture(params=TASKS)
def trained(request, models):
    return getattr(models, request.param)


def ask(trained, signature="serving_default", inputs=None):
    """Run a signature of the SavedModel in a TF1 session, as TensorFlow Serving does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], trained.saved_model)
        found = loaded.signature_def[signature]
        feed = {found.inputs[name].name: value for name, value in (inputs or RAW).items()}
        assert feed.keys() == {info.name for info in found.inputs.values()}
        return session.run({name: info.name for name, info in found.outputs.items()}, feed)


def serialized():
    examples = []
    for row in range(len(RAW["km"])):
        feature = {}
        if np.isfinite(RAW["km"][row]):
            feature["km"] = tf.train.Feature(float_list=tf.train.FloatList(value=[RAW["km"][row]]))
        if np.isfinite(RAW["items"][row]):
            feature["items"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(RAW["items"][row])]))
        if RAW["kitchen"][row]:
            feature["kitchen"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[RAW["kitchen"][row].encode()]))
        examples.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return {"inputs": np.array(examples, object)}


class TestRecord:
    def test_contains_data_and_settings(self, models):
        record = models.binary.record

        assert record == read_training(models.binary.model)
        assert record.columns == ("km", "items", "kitchen")
        assert record.left_out == {"city": "nearly constant", "order": "mostly unique values"}
        assert (record.label, record.task, record.classes) == ("late", "binary", ("0", "1"))
        assert (record.rows, record.rows_without_label, record.data_version) == (240, 0, "d1")
        assert len(record.losses) == record.settings.epochs == 6
        assert record.losses[-1] < record.losses[0]

    def test_contains_the_classes_of_text(self, models):
        assert models.multiclass.record.classes == ("fair", "fast", "slow")
        assert models.regression.record.classes == ()

    def test_contains_notes(self, models):
        rows = {"city": "LEFT_OUT", "order": "LEFT_OUT", "late": "TASK_CHOSEN", "": "TRAINING_LENGTH"}
        notes = models.binary.record.notes

        assert {note.column: note.code for note in notes} == rows
        assert "nearly constant" in next(note.text for note in notes if note.column == "city")
        assert next(note.count for note in notes if note.code == "TRAINING_LENGTH") == 6

    def test_the_artifact_contains_nothing_else(self, trained):
        assert {path.name for path in trained.model.iterdir()} == {"answers.json", "saved_model", "training.json"}

    def test_has_the_answers_of_the_trained_network(self, trained):
        found, absent = read_answers(trained.model), {"km": np.nan, "kitchen": ""}
        rows = {name: [absent[name] if value is None else value for value in row] for name, row in found.rows.items()}

        assert len(found.answers) == 20
        np.testing.assert_allclose(
            ask(trained, inputs=rows)[OUTPUTS[trained.record.task]].reshape(20, -1), found.answers, rtol=1e-6, atol=1e-6
        )


class TestSignatures:
    def test_return_valid_predictions(self, models):
        probability = ask(models.binary)["probability"]
        several = ask(models.multiclass)

        assert probability.shape == (5,)
        assert ((probability > 0) & (probability < 1)).all()
        np.testing.assert_allclose(several["probabilities"].sum(axis=1), 1, rtol=1e-5)
        assert {word.decode() for word in several["prediction"]} <= {"fair", "fast", "slow"}
        assert several["prediction"][0].decode() == ["fair", "fast", "slow"][several["probabilities"][0].argmax()]
        assert ask(models.regression)["prediction"].shape == (5,)

    def test_return_predictions_that_follow_the_inputs(self, models):
        near, far = {"km": [0.5]}, {"km": [9.5]}
        rest = {"items": [2.0], "kitchen": ["thai"]}

        assert (
            ask(models.binary, inputs=near | rest)["probability"]
            < 0.5
            < ask(models.binary, inputs=far | rest)["probability"]
        )
        # 5 + 3 * 0.5 + 10 and 5 + 3 * 9.5 + 10
        for km, minutes in ((near, 16.5), (far, 43.5)):
            assert abs(ask(models.regression, inputs=km | rest)["prediction"][0] - minutes) < 5

    def test_return_the_same_for_serialized_examples(self, trained):
        columns, examples = ask(trained), ask(trained, "examples", serialized())
        if trained.record.task == "regression":
            np.testing.assert_allclose(examples["outputs"], columns["prediction"], rtol=1e-5)
        else:
            scores = columns["probabilities"] if "probabilities" in columns else columns["probability"]
            found = examples["scores"] if "probabilities" in columns else examples["scores"][:, 1]
            np.testing.assert_allclose(found, scores, rtol=1e-5)
            np.testing.assert_allclose(examples["scores"].sum(axis=1), 1, rtol=1e-5)
            assert tuple(word.decode() for word in examples["classes"][4]) == trained.record.classes

    def test_return_attributions_that_add_up(self, trained):
        found = ask(trained, "explain")
        gap = found["tiffin_score"] - found["tiffin_baseline"]
        total = sum(found[name] for name in trained.record.columns)

        assert set(found) == {*trained.record.columns, "tiffin_score", "tiffin_baseline"}
        np.testing.assert_allclose(total, gap, atol=0.05 * max(1.0, float(np.abs(gap).max())))

    def test_explain_the_predicted_score(self, models):
        score = ask(models.binary, "explain")["tiffin_score"]

        np.testing.assert_allclose(1 / (1 + np.exp(-score)), ask(models.binary)["probability"], rtol=1e-5)

    def test_a_prediction_does_not_depend_on_the_batch(self, trained):
        alone = ask(trained, inputs={name: values[1:2] for name, values in RAW.items()})
        for name, values in ask(trained).items():
            if values.dtype != object:
                np.testing.assert_allclose(alone[name][0], values[1], rtol=1e-5)

    def test_run_eagerly(self, trained):
        run = tf.saved_model.load(trained.saved_model).signatures["serving_default"]
        found = run(**{name: tf.constant(values) for name, values in RAW.items()})
        for name, values in ask(trained).items():
            if values.dtype != object:
                np.testing.assert_allclose(found[name], values, rtol=1e-5)


class TestRepeatable:
    def test_the_same_seed_gives_the_same_model(self, models):
        again = models.train("late", "again")

        assert again.record == models.binary.record
        np.testing.assert_array_equal(ask(again)["probability"], ask(models.binary)["probability"])

    def test_a_retry_replaces_the_artifact(self, models, tmp_path):
        one = models.binary
        shutil.copytree(one.model, tmp_path / "model")
        left_over = saved_model(tmp_path / "model") / "left over"
        left_over.write_text("")
        settings = Settings(hidden_units=(), epochs=1, seed=5)
        record = train(one.examples, one.statistics, one.schema, tmp_path / "model", "late", settings=settings)

        assert record.settings.hidden_units == ()
        assert read_training(tmp_path / "model") == record
        assert not left_over.exists()
        assert len(list((tmp_path / "model").iterdir())) == 3


class TestStreaming:
    """Rows that do not fit in memory come from disk in parts."""

    @pytest.fixture(autouse=True)
    def nothing_fits_in_memory(self, models, monkeypatch):
        for task in TASKS:
            assert getattr(models, task).record.rows == 240  # trained in memory, before
        monkeypatch.setattr(training_rows, "_ENCODED_BYTES", 0)
        monkeypatch.setattr(training_rows, "_RECORD_BYTES", 0)
        monkeypatch.setattr(training_rows, "FEW", 0)
        monkeypatch.setattr(training_rows, "_PART_BYTES", 2000)
        monkeypatch.setattr(training_rows, "_BLOCK_ROWS", 40)

    def train(self, given, folder, label, **settings):
        return train(given.examples, given.statistics, given.schema, folder, label, settings=Settings(**settings))

    @pytest.mark.parametrize("task", TASKS)
    def test_gives_a_model_like_that_in_memory(self, models, tmp_path, task):
        given = getattr(models, task)
        record = self.train(given, tmp_path, given.record.label, **SETTINGS)
        streamed = replace(given, model=tmp_path, record=record)

        # The order of the rows differs, and so do the losses.
        assert record.losses != given.record.losses
        assert record.losses[-1] == pytest.approx(given.record.losses[-1], rel=0.3)
        assert replace(record, losses=()) == replace(given.record, losses=())
        name = {"binary": "probability", "multiclass": "probabilities", "regression": "prediction"}[task]
        one, other = (ask(model)[name] for model in (given, streamed))
        np.testing.assert_allclose(other, one, atol=0.3 * np.abs(one).max())

    def test_gives_the_same_model_twice_and_leaves_no_file_behind(self, models, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        one, two = (self.train(models.binary, tmp_path / name, "late", **SETTINGS) for name in ("one", "two"))

        assert one == two
        first, second = (replace(models.binary, model=tmp_path / name, record=one) for name in ("one", "two"))
        np.testing.assert_array_equal(ask(first)["probability"], ask(second)["probability"])
        assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}

    @pytest.mark.parametrize("label", ["late", "minutes"])
    def test_chooses_the_epochs_and_trains_on_all_rows(self, models, tmp_path, label, monkeypatch):
        monkeypatch.setattr(fitting, "_MAX_UPDATES", 300)
        given = models.binary if label == "late" else models.regression
        record = self.train(given, tmp_path, label, hidden_units=(8,), learning_rate=0.02)

        assert record.rows == 240
        assert 0 < record.settings.epochs == len(record.losses)
        assert record.losses[-1] < record.losses[0]

    @pytest.mark.parametrize("damage", ["missing", "damaged"])
    def test_names_a_shard_that_cannot_be_read(self, models, tmp_path, damage):
        examples = tmp_path / "examples"
        shutil.copytree(models.binary.examples, examples)
        [shard] = examples.glob("data/train-*")
        if damage == "missing":
            shard.unlink()
        else:
            shard.write_bytes(shard.read_bytes()[:-100])
        with pytest.raises(StorageError, match=str(shard)):
            self.train(replace(models.binary, examples=examples), tmp_path / "model", "late")

        assert not (tmp_path / "model").exists()


def test_notes_have_the_names_of_the_source(tmp_path):
    rows = table(x=list(range(40)), z_=["same"] * 40, y_=[None, *(float(row % 2) for row in range(39))])
    places = [write_examples(tmp_path / "e", {"train": rows}), write_statistics(tmp_path / "s", rows)]
    manifest = replace(read_manifest(places[0]), renamed={"z %": "z_", "y %": "y_"})
    documents.write(tmp_path / "e" / MANIFEST, manifest)
    record = train(*places, write_schema(tmp_path / "c", rows), tmp_path / "model", "y %", settings=Settings(epochs=1))
    columns = {note.code: note.column for note in record.notes}

    assert columns == {"TASK_CHOSEN": "y %", "TRAINING_LENGTH": "", "LABEL_MISSING": "y %", "LEFT_OUT": "z %"}
    assert all(note.column in note.text for note in record.notes if note.code in {"LABEL_MISSING", "LEFT_OUT"})


def test_labels_that_are_missing_are_a_note_and_every_note_is_logged(tmp_path, capsys):
    rows = table(x=list(range(40)), z=["same"] * 40, y=[None if row < 3 else float(row % 3) for row in range(40)])
    places = [write_examples(tmp_path / "e", {"train": rows}), write_statistics(tmp_path / "s", rows)]
    places.append(write_schema(tmp_path / "c", rows))
    record = train_or_reuse(*places, tmp_path / "model", "y", settings=Settings(epochs=1))
    logged = capsys.readouterr().out.splitlines()

    assert [note.code for note in record.notes] == ["TASK_CHOSEN", "TRAINING_LENGTH", "LABEL_MISSING", "LEFT_OUT"]
    assert record.classes == ("0", "1", "2")
    assert record.notes[2].column == "y"
    assert record.notes[2].count == record.rows_without_label == 3
    assert logged[-4:] == [note.text for note in record.notes]


class TestBadInput:
    def train(self, given, tmp_path, label="late", **options):
        return train(given.examples, given.statistics, given.schema, tmp_path / "model", label, **options)

    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ("", "label=''.*--set label="),
            ("lat", r"^label .*'lat'.* 'late'\?"),
        ],
    )
    def test_a_label_that_does_not_exist(self, models, tmp_path, label, message):
        with pytest.raises(InputError, match=message):
            self.train(models.binary, tmp_path, label)

        assert not (tmp_path / "model").exists()

    def test_a_split_that_does_not_exist(self, models, tmp_path):
        with pytest.raises(InputError, match=r"train.*split='test'"):
            self.train(models.binary, tmp_path, split="test")

    @pytest.mark.parametrize("artifact", ["examples", "schema", "statistics"])
    def test_an_empty_artifact(self, models, tmp_path, artifact):
        folders = {name: getattr(models.binary, name) for name in ("examples", "statistics", "schema")}
        with pytest.raises(InputError, match=r"'.*/empty'"):
            train(**{**folders, artifact: tmp_path / "empty"}, output=tmp_path / "model", label="late")

    def test_a_label_with_one_class(self, tmp_path):
        rows = table(x=list(range(20)), y=[1] * 20)
        places = [write_examples(tmp_path / "e", {"train": rows}), write_statistics(tmp_path / "s", rows)]
        with pytest.raises(DataError, match="label='y', always 1"):
            train(*places, write_schema(tmp_path / "c", rows), tmp_path / "model", "y")


def test_column_names_of_ingest_are_valid_in_a_signature(tmp_path):
    names = ["a", "B_9", "c_", "class_", "inputs", "training", "name", "kwargs", "args", "print", "x" * 200]
    rows = table(y=[row % 2 for row in range(40)], **{name: [row % 7 for row in range(40)] for name in names})
    places = [write_examples(tmp_path / "e", {"train": rows}), write_statistics(tmp_path / "s", rows)]
    settings = Settings(hidden_units=(), epochs=1)
    train(*places, write_schema(tmp_path / "c", rows), tmp_path / "model", "y", settings=settings)
    loaded = tf.saved_model.load(str(saved_model(tmp_path / "model")))

    assert sorted(loaded.signatures["serving_default"].structured_input_signature[1]) == sorted(names)
    assert loaded.signatures["serving_default"](**{name: tf.constant([1.0], tf.float64) for name in names})
