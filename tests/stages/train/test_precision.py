"""Numbers that float32 cannot tell apart, from the examples to predictions and metrics."""

import random

import numpy as np
import pytest
import tensorflow as tf

from support.written import table, write_examples, write_schema, write_statistics
from tiffin.artifacts.model import Settings, saved_model
from tiffin.stages.evaluate.evaluation import evaluate
from tiffin.stages.train.training import train

SETTINGS = Settings(epochs=40, batch_size=32, learning_rate=0.01)


def measure(folder, feature, label):
    """Train on 400 rows of functions of d from 0 to 1; return the record, the metrics and the folder of the SavedModel."""
    chance = random.Random(1)
    halves = [[chance.random() for _ in range(400)] for _ in range(2)]
    rows, held_back = (table(x=[feature(d) for d in half], y=[label(d) for d in half]) for half in halves)
    examples = write_examples(folder / "examples", {"train": rows, "eval": held_back})
    places = examples, write_statistics(folder / "statistics", rows), write_schema(folder / "schema", rows)
    record = train(*places, folder / "model", "y", settings=SETTINGS)
    metrics = evaluate(folder / "model", examples, folder / "evaluation").metrics
    return record, metrics, str(saved_model(folder / "model"))


FEATURES = {
    "seconds": lambda d: round(1_700_000_000 + d, 3),
    "microseconds": lambda d: int(1_700_000_000_000_000 + 1000 * d),
    "below 2**53": lambda d: 2**53 - 1000 + int(1000 * d),
    "negative": lambda d: -1.7e9 - d,
    "tiny": lambda d: 1e-9 * (1 + d),
    "one and noise": lambda d: 1 + 1e-12 * d,
    "huge": lambda d: 1e30 * (d - 0.5),
    "a huge value": lambda d: 1e300 if d > 0.99 else d,
    "ties": lambda d: 1_700_000_000.0 if d < 0.5 else 1_700_000_000.0 + d / 100,
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_learnt(tmp_path, name):
    record, metrics, folder = measure(tmp_path, FEATURES[name], lambda d: int(d > 0.5))

    assert metrics["accuracy"] > 0.97
    rounded = [note.column for note in record.notes if note.code == "ROUNDED_IN_EXAMPLES"]
    if name == "seconds":
        assert rounded == ["x"]
        check_examples(folder)
    if name in ("microseconds", "tiny", "huge"):
        assert rounded == []


@pytest.mark.parametrize(
    ("offset", "scale"), [(1.7e9, 1), (1e12, 1), (-1e12, 1), (0, 1e-9), (0, 1e30), (1_700_000_000_000_000, 1000)]
)
def test_labels_are_predicted(tmp_path, offset, scale):
    record, metrics, folder = measure(tmp_path, lambda d: d, lambda d: offset + scale * d)
    model = tf.saved_model.load(folder)
    predicted = model.signatures["serving_default"](x=tf.constant([0.5], tf.float64))["prediction"]
    explained = model.signatures["explain"](x=tf.constant([0.1], tf.float64))

    assert record.task == "regression"
    assert metrics["r2"] > 0.98
    assert predicted.dtype == tf.float64
    assert predicted.numpy()[0] == pytest.approx(offset + 0.5 * scale, abs=0.1 * scale)
    share = float(explained["tiffin_score"][0] - explained["tiffin_baseline"][0])
    assert share == pytest.approx(float(explained["x"][0]), abs=0.05 * scale)


def serialized(value):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.constant([tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString()])


def check_examples(folder):
    """Check that serialized examples have the digits of float32."""
    model = tf.saved_model.load(folder)
    scores = model.signatures["examples"](inputs=serialized(1_700_000_000.9))["scores"].numpy()[0]

    assert scores.sum() == pytest.approx(1)
    # The nearest float32 is 1_700_000_000.0.
    rounded = model.signatures["serving_default"](x=tf.constant([float(np.float32(1_700_000_000.9))], tf.float64))
    assert scores[1] == pytest.approx(rounded["probability"].numpy()[0], rel=1e-5)
