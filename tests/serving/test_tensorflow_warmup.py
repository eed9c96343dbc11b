"""Warm-up requests of a SavedModel, read with TensorFlow's reader and messages."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tiffin.serving import warmup

RUNS_IN = ("model",)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    module = tf.Module()

    @tf.function(
        input_signature=[tf.TensorSpec([None, 1], tf.float32, "miles"), tf.TensorSpec([None, 1], tf.string, "company")]
    )
    def score(miles, company):
        return {"scores": miles + tf.cast(tf.strings.length(company), tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def examples(inputs):
        miles = tf.io.parse_example(inputs, {"miles": tf.io.FixedLenFeature([], tf.float32, -1.0)})["miles"]
        return {"scores": tf.stack([miles, miles + 1], axis=1)}

    folder = tmp_path_factory.mktemp("model")
    tf.saved_model.save(module, str(folder), {"serving_default": score, "examples": examples})
    return folder


def test_signatures_equal_those_of_tensorflow(saved_model):
    ours = warmup.read_signatures(saved_model)
    signature, theirs = ours["serving_default"], tf.saved_model.load(str(saved_model)).signatures["serving_default"]

    assert sorted(ours) == ["examples", "serving_default"]
    specs = theirs.structured_input_signature[1]
    assert {key: (spec.dtype, spec.shape) for key, spec in signature.inputs.items()} == {
        key: (spec.dtype.name, tuple(spec.shape)) for key, spec in specs.items()
    }
    assert list(signature.outputs) == list(theirs.structured_outputs)


def test_tensorflow_reads_the_records_and_the_model_accepts_them(saved_model):
    rows = [{"miles": 1.5, "company": "Blue"}, {"miles": float("nan"), "company": ""}]
    path = warmup.write_warmup(saved_model, "taxi", rows, batch_sizes=(1, 5), requests_per_size=2)
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]

    assert [request.inputs["miles"].tensor_shape.dim[0].size for request in requests] == [1, 1, 5, 5]
    answer = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    scores = [
        answer(**{name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()})["scores"]
        for request in requests
    ]
    assert scores[0].numpy().tolist() == [[5.5]]
    assert np.isnan(scores[1].numpy()).all()


def test_tensorflow_reads_the_records_of_examples(saved_model):
    rows = [{"miles": 1.5, "company": "Blue"}, {"miles": None, "company": None}]
    path = warmup.write_warmup(
        saved_model, "taxi", rows, signature_names=["examples"], batch_sizes=[3], requests_per_size=1
    )
    predicted, classified = (
        prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))
    )
    answer = tf.saved_model.load(str(saved_model)).signatures["examples"]
    examples = classified.classify_log.request.input.example_list.examples

    for inputs in (
        tf.make_ndarray(predicted.predict_log.request.inputs["inputs"]),
        [example.SerializeToString() for example in examples],
    ):
        assert answer(inputs=tf.constant(inputs))["scores"].numpy().tolist() == [[1.5, 2.5], [-1.0, 0.0], [1.5, 2.5]]
    assert classified.classify_log.request.model_spec.signature_name == "examples"


def test_records_equal_those_of_tensorflow(tmp_path):
    contents = [b"", b"tiffin", bytes(range(256)) * 50]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents:
            writer.write(content)

    assert (tmp_path / "theirs").read_bytes() == b"".join(map(warmup.frame_record, contents))
