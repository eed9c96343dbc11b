"""Models of one's own: trained, exported and recorded as Tiffin's network is, and refused with the reason."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from support.trained import deliveries
from support.written import write_examples, write_schema, write_statistics
from tiffin.artifacts.model import OwnCode, Settings, model_code, read_training, saved_model
from tiffin.errors import InputError
from tiffin.serving.warmup import read_signatures
from tiffin.stages.train import export, fitting, own_training
from tiffin.stages.train import rows as training_rows
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.label import Label, Values
from tiffin.stages.train.own_code import Code
from tiffin.stages.train.training import train

RAW = {
    "km": np.array([0.5, 9.5, np.nan, np.inf]),
    "items": np.array([1, 8, np.nan, 4.0]),
    "kitchen": np.array(["thai", "soup", "", "never seen"]),
}
ENCODED = """
import keras

def build_model(features, hyperparameters):
    inputs = keras.Input((features.width,))
    hidden = keras.layers.Dense(hyperparameters.get("units", 8), activation="relu", kernel_regularizer="l2")(inputs)
    hidden = keras.layers.Dropout(0.1)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(inputs, keras.layers.Dense(features.outputs)(hidden))
"""
RAW_COLUMNS = """
import keras

def build(features, text):
    inputs, parts = {}, []
    for column in features.columns:
        if column.name == "items":
            continue
        if column.kind == "number":
            inputs[column.name] = keras.Input((1,), name=column.name)
            parts += [keras.ops.nan_to_num(inputs[column.name]) / column.edges[-1]]
        elif text:
            inputs[column.name] = keras.Input((), name=column.name, dtype="string")
            lookup = keras.layers.StringLookup(vocabulary=list(column.vocabulary), mask_token="", output_mode="one_hot")
            parts.append(lookup(inputs[column.name]))
        else:
            inputs[column.name] = keras.Input((), name=column.name, dtype="int32")
            parts.append(keras.layers.Embedding(column.indices, 3)(inputs[column.name]))
    return keras.Model(inputs, keras.layers.Dense(features.outputs)(keras.layers.Concatenate()(parts)))

def build_model(features, hyperparameters):
    return build(features, hyperparameters["text"])
"""
TRAIN = """
import keras

def train(context):
    features = context.features
    assert context.rows == 240 and context.settings.batch_size == 16
    model = keras.Sequential([keras.Input((features.width,)), keras.layers.Dense(features.outputs)])
    loss = "mse" if features.task == "regression" else keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: context.report(logs["loss"], logs["val_loss"]))
    rows, held_out = context.batches(model), context.batches(model, "held_out", shuffle=False)
    model.fit(rows, validation_data=held_out, epochs=3, shuffle=False, verbose=0, callbacks=[report])
    return model
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The artifacts of each label, written at the first use."""
    folder, found = tmp_path_factory.mktemp("own"), {}

    def write(label):
        if label not in found:
            others = [other for other in ("late", "speed", "minutes") if other != label]
            rows, place = deliveries(240, 3).drop(others), folder / label
            found[label] = (
                write_examples(place / "examples", {"train": rows, "eval": deliveries(90, 4).drop(others)}),
                write_statistics(place / "statistics", rows),
                write_schema(place / "schema", rows),
            )
        return found[label]

    return write


@pytest.fixture
def no_export(monkeypatch):
    """Leave out the SavedModel, which takes most of the time of a small training."""
    monkeypatch.setattr(export, "write", lambda *_: None)


@pytest.fixture(scope="module")
def encoded(written, tmp_path_factory):
    """A trained model over the encoded vector: its folder and its record."""
    folder, code = tmp_path_factory.mktemp("encoded"), Code("model.py", ENCODED.encode())
    settings = Settings(epochs=3, batch_size=16, learning_rate=0.02)
    return folder, train(*written("late"), folder, "late", settings=settings, code=code, hyperparameters={"units": 4})


@pytest.fixture
def run(written, tmp_path):
    def run(text, label="late", hyperparameters=None, **settings):
        given = Settings(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.02, **settings})
        code = Code("model.py", text.encode())
        return train(
            *written(label), tmp_path / "model", label, settings=given, code=code, hyperparameters=hyperparameters
        )

    return run


def ask(folder, signature="serving_default", inputs=RAW):
    """Run a signature of the SavedModel in a TF1 session, as TensorFlow Serving does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(saved_model(folder)))
        found = loaded.signature_def[signature]
        feed = {info.name: inputs[name] for name, info in found.inputs.items()}
        return session.run({name: info.name for name, info in found.outputs.items()}, feed)


def serialized():
    examples = []
    for km, items, kitchen in zip(*RAW.values(), strict=True):
        feature = {"kitchen": tf.train.Feature(bytes_list=tf.train.BytesList(value=[kitchen.encode()]))}
        if np.isfinite(km):
            feature["km"] = tf.train.Feature(float_list=tf.train.FloatList(value=[km]))
        if np.isfinite(items):
            feature["items"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(items)]))
        examples.append(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return {"inputs": np.array(examples, object)}


def signatures(folder):
    return set(tf.saved_model.load(str(saved_model(folder))).signatures)


def codes(record):
    return [note.code for note in record.notes]


class TestTargets:
    def test_of_classes(self):
        label, values = Label("y", "binary", ("a", "b")), Values(4, 0, ["a", "b"], 2, True, True, 0.0, 0.0)
        parts = [np.array([]), np.array([1.0, 0.0]), np.array([1.0, 1.0])]

        assert own_training.find_targets(parts, label, values) == own_training.Targets(4, (1, 3), Scale())

    def test_of_numbers(self):
        label, values = Label("y", "regression", ()), Values(2, 0, [], 2, False, True, 1.0, 3.0)

        assert own_training.find_targets([np.array([1.0, 3.0])], label, values) == own_training.Targets(
            2, (), Scale(2.0, 1.0)
        )


class TestBuildModel:
    def test_is_recorded_and_kept(self, encoded):
        folder, record = encoded
        digest = hashlib.sha256(ENCODED.encode()).hexdigest()

        assert record == read_training(folder)
        assert record.own == OwnCode("model.py", digest, "build_model", "encoded", {"units": 4})
        assert model_code(folder).read_text() == ENCODED
        assert (record.rows, record.settings.epochs, len(record.losses)) == (240, 3, 3)
        [note] = [note for note in record.notes if note.code == "OWN_MODEL"]
        assert digest[:12] in note.text
        assert codes(record) == ["TASK_CHOSEN", "TRAINING_LENGTH", "OWN_MODEL", "LEFT_OUT", "LEFT_OUT"]

    def test_has_all_signatures_with_equal_predictions(self, encoded):
        folder, _ = encoded
        columns, examples, explained = (
            ask(folder, *call)
            for call in ((), ("examples", serialized()), ("explain", {**RAW, "km": np.array([0.5, 9.5, np.nan, 3.0])}))
        )

        assert signatures(folder) == {"serving_default", "examples", "explain", "recipe"}
        np.testing.assert_allclose(examples["scores"][:3, 1], columns["probability"][:3], rtol=1e-5)
        logits = np.log(columns["probability"] / (1 - columns["probability"]))
        np.testing.assert_allclose(explained["tiffin_score"][:3], logits[:3], atol=1e-4)
        total = explained["km"] + explained["items"] + explained["kitchen"]
        np.testing.assert_allclose(total, explained["tiffin_score"] - explained["tiffin_baseline"], atol=0.1)

    def test_stops_by_the_held_out_loss(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(fitting, "_PATIENCE_UPDATES", 60)
        record = run(ENCODED, "speed", epochs=0, batch_size=32, learning_rate=0.05)
        answer = ask(tmp_path / "model", inputs={"km": [0.5, 9.5], "items": [2.0] * 2, "kitchen": ["thai"] * 2})

        assert 3 < record.settings.epochs == len(record.losses)
        assert record.losses[-1] < 0.5 * record.losses[0]
        # 5 + 3 * 0.5 + 10 minutes are fast, 5 + 3 * 9.5 + 10 are slow.
        assert [word.decode() for word in answer["prediction"]] == ["fast", "slow"]

    @pytest.mark.usefixtures("no_export")
    def test_starts_at_the_class_shares(self, run):
        text = ENCODED.replace("Dense(features.outputs)", "Dense(features.outputs, kernel_initializer='zeros')")
        share = deliveries(240, 3).column("late").to_numpy().mean()
        entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)

        assert run(text, epochs=1, learning_rate=1e-9).losses == pytest.approx((entropy,), abs=1e-3)

    @pytest.mark.usefixtures("no_export")
    def test_is_repeatable(self, run, encoded):
        assert run(ENCODED, hyperparameters={"units": 4}).losses == encoded[1].losses

    @pytest.mark.usefixtures("no_export")
    def test_notes_what_is_not_used(self, run):
        compiled = (
            ENCODED.replace("return keras.Model(", "model = keras.Model(")
            + "    model.compile('sgd', 'mse')\n    return model\n"
        )
        record = run(compiled, hidden_units=(3,), dropout=0.5)
        notes = {note.code: note.text for note in record.notes}

        assert "model.py" in notes["COMPILE_NOT_USED"]
        assert "hidden_units, dropout" in notes["SETTINGS_NOT_USED"]

    @pytest.mark.usefixtures("no_export")
    def test_the_default_network_removes_the_file_of_an_earlier_attempt(self, run, written, tmp_path):
        run(ENCODED, epochs=1)
        assert model_code(tmp_path / "model").exists()
        record = train(*written("late"), tmp_path / "model", "late", settings=Settings(epochs=1))

        assert record.own is None
        assert not model_code(tmp_path / "model").exists()


class TestRawColumns:
    @pytest.mark.parametrize("text", [True, False])
    def test_are_served_without_explain(self, run, tmp_path, text):
        record = run(RAW_COLUMNS, "minutes", {"text": text}, epochs=20, learning_rate=0.05)
        columns, examples = ask(tmp_path / "model"), ask(tmp_path / "model", "examples", serialized())

        assert signatures(tmp_path / "model") == {"serving_default", "examples", "recipe"}
        # Clients send NaN and empty text for missing values.
        assert read_signatures(saved_model(tmp_path / "model"))["serving_default"].by_tiffin
        assert [note.example for note in record.notes if note.code == "SIGNATURE_LEFT_OUT"] == ["explain"]
        assert (record.own.inputs, record.columns) == ("raw", ("km", "kitchen"))
        assert "'model.py'" in record.left_out["items"]
        np.testing.assert_allclose(examples["outputs"][:3], columns["prediction"][:3], rtol=1e-5)
        # An infinite number is a missing one.
        missing = ask(tmp_path / "model", inputs={**RAW, "km": np.array([0.5, 9.5, np.nan, np.nan])})
        np.testing.assert_allclose(columns["prediction"], missing["prediction"], rtol=1e-6)
        assert columns["prediction"][1] > columns["prediction"][0] + 10

    @pytest.mark.usefixtures("no_export")
    def test_train_from_disk_as_from_memory(self, run, monkeypatch):
        inside = run(RAW_COLUMNS, hyperparameters={"text": False})
        for name, value in (
            ("_ENCODED_BYTES", 0),
            ("_RECORD_BYTES", 0),
            ("FEW", 0),
            ("_PART_BYTES", 2000),
            ("_BLOCK_ROWS", 40),
        ):
            monkeypatch.setattr(training_rows, name, value)
        outside = run(RAW_COLUMNS, hyperparameters={"text": False})

        assert outside.losses != inside.losses
        assert outside.losses[-1] == pytest.approx(inside.losses[-1], rel=0.3)


class TestTrain:
    def test_is_recorded_with_what_it_reported(self, run, tmp_path, capsys):
        record = run(TRAIN, "minutes", epochs=0)

        assert (record.own.function, record.own.inputs) == ("train", "encoded")
        assert len(record.losses) == record.settings.epochs == 3
        assert record.losses[-1] < record.losses[0]
        assert tuple(point.loss for point in record.search) == record.losses
        assert record.search[2].held_out < record.search[0].held_out
        assert signatures(tmp_path / "model") == {"serving_default", "examples", "explain", "recipe"}
        assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]) == 3

    @pytest.mark.usefixtures("no_export")
    def test_gets_the_rows_in_the_form_of_the_model(self, run):
        text = RAW_COLUMNS.replace("def build_model", "def unused") + """
def train(context):
    model = build(context.features, True)
    seen = {}
    for rows in ("train", "held_out", "all"):
        batches = list(context.batches(model, rows, batch_size=50))
        assert len(context.batches(model, rows, batch_size=50)) == len(batches)
        inputs, target = batches[0]
        assert sorted(inputs) == ["kitchen", "km"], inputs
        assert inputs["km"].shape == (min(50, len(target)), 1) and inputs["kitchen"].dtype == "string"
        assert target.dtype == "float32" and target.shape[1] == 1
        seen[rows] = sorted(float(km) for inputs, _ in batches for km in inputs["km"][:, 0] if km == km)
    assert sorted(seen["train"] + seen["held_out"]) == seen["all"]
    assert len(seen["train"]) > 3 * len(seen["held_out"]) > 0
    ordered = [list(context.batches(model, shuffle=False))[0][1].numpy().tolist() for _ in range(2)]
    assert ordered[0] == ordered[1]
    shuffled = context.batches(model)
    assert list(shuffled)[0][0]["km"].numpy().tolist() != list(shuffled)[0][0]["km"].numpy().tolist()
    return model
"""  # fmt: skip
        record = run(text)

        assert record.losses == record.search == ()
        assert (record.own.inputs, record.settings.epochs) == ("raw", 0)


BUILD = "import keras, tensorflow as tf\ndef build_model(features, hyperparameters):\n    x = keras.Input((features.width,))\n"


class TestBadCode:
    """Every fault names the file, and nothing is written."""

    @pytest.fixture
    def refused(self, run, tmp_path):
        def refused(text, named, **options):
            with pytest.raises(InputError, match=named) as caught:
                run(text, **options)
            assert "\n" not in str(caught.value)
            assert "'model.py'" in str(caught.value)
            assert not (tmp_path / "model").exists()

        return refused

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ("    return hyperparameters['units']", r"line 4, `return .*KeyError: 'units'"),
            ("    pass", "keras.Model.* None "),
            ("    return [x]", "keras.Model.* list "),
            ("    return keras.layers.Dense(1)", r"keras.Model.* keras\S*\.Dense "),
            ("    return keras.Model(x, keras.layers.Dense('many')(x))", "line 4, .*many"),
            ("    return keras.Model(x, keras.layers.Dense(2)(x))", r"\[batch, 1\].*\[batch, 2\]"),
            ("    return keras.Model(x, x[:, :1])", r"train\(context\)"),
            (
                "    return keras.Model(x, keras.ops.log(-1 - keras.layers.Dense(1)(x) ** 2))",
                "nan.*epoch 1.*learning_rate",
            ),
            ("    return keras.Model(x, keras.layers.Dense(len(CALLS) or 1)(x))", "NameError"),
        ],
    )
    def test_build_model(self, refused, body, named):
        refused(BUILD + body, named)

    def test_a_layer_that_fails_names_its_own_line(self, refused):
        layer = "import keras\nclass Layer(keras.layers.Layer):\n    def call(self, x):\n        return x.numpy()\n"
        refused(
            layer + BUILD + "    return keras.Model(x, keras.layers.Dense(1)(Layer()(x)))",
            r"line 4, `return x\.numpy\(\)`",
        )

    def test_an_operation_that_fails_in_training_names_its_line(self, refused):
        layer = (
            "import keras, tensorflow as tf\nclass Layer(keras.layers.Layer):\n    def call(self, x):\n"
            "        tf.debugging.assert_less(tf.shape(x)[0], 16)\n        return x * 1.0\n"
        )
        refused(
            layer + BUILD + "    return keras.Model(x, keras.layers.Dense(1)(Layer()(x)))", r"line 4, .*InvalidArgument"
        )

    def test_the_same_model_twice(self, refused):
        text = (
            "import functools\n"
            + ENCODED.replace("def build_model", "@functools.cache\ndef made")
            + ("\ndef build_model(features, hyperparameters):\n    return made(features)\n")
        )
        refused(
            text.replace(
                "(features, hyperparameters):\n    inputs", "(features):\n    hyperparameters = {}\n    inputs"
            ),
            "build_model.*'model.py'",
        )

    def test_models_of_other_shapes(self, refused):
        text = "SIZES = [3, 4]\n" + ENCODED.replace('hyperparameters.get("units", 8)', "SIZES.pop()")
        refused(text, "build_model.*'model.py'")

    def test_missing_numbers_in_raw_columns(self, refused):
        text = RAW_COLUMNS.replace("keras.ops.nan_to_num(inputs[column.name])", "inputs[column.name]")
        refused(text, "learning_rate.*NaN", hyperparameters={"text": False})

    @pytest.mark.parametrize("epochs", [0, 2])
    def test_a_learning_rate_that_is_too_high(self, refused, epochs):
        refused(ENCODED, r"learning_rate.* 1e\+30", epochs=epochs, learning_rate=1e30)

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ("    pass", "keras.Model.* None "),
            ("    raise ValueError('a\\nb')", "line 2, .*ValueError: a b"),
            ("    context.report(1)\n    context.report(float('nan'))", "nan .*epoch 2.* 1 .*epoch 1"),
            ("    context.report(1, float('inf'))", "inf .*epoch 1"),
            ("    context.batches(3)", "keras.Model.* int "),
        ],
    )
    def test_train(self, refused, body, named):
        refused(f"def train(context):\n{body}\n", named)

    def test_train_with_another_output_is_told_before_it_trains(self, refused):
        refused(TRAIN.replace("Dense(features.outputs)", "Dense(7)"), r"\[batch, 1\].*\[batch, 7\]")

    def test_train_with_weights_that_are_no_numbers(self, refused):
        spoilt = "    model.set_weights([weight * float('nan') for weight in model.get_weights()])\n    return model"
        refused(TRAIN.replace("    return model", spoilt), "kernel.*46 of 46")

    def test_train_with_unknown_rows(self, run):
        with pytest.raises(InputError, match="rows='heldout'"):
            run(TRAIN.replace('"held_out"', '"heldout"'))
