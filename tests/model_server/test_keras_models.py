"""Keras 3 models: as in TF Serving, a v1 session runs them only if they were exported for serving."""

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf

from tiffin.serving import warmup

ROW = np.array([[1, 2, 3]], np.float32)
SPEC = [tf.TensorSpec([None, 3], tf.float32, name="x")]


@pytest.fixture
def sums():
    """A model that returns the sum of three numbers and 1."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")]
    )
    assert model(ROW).numpy().tolist() == [[7.0]]
    return model


@pytest.fixture
def start(launch, tmp_path):
    def run():
        return launch("--model_name=sums", f"--model_base_path={tmp_path}", "--max_num_load_retries=0", rest=True)

    return run


def test_exported_by_keras(sums, start, tmp_path, predict):
    archive = keras.export.ExportArchive()
    archive.track(sums)
    archive.add_endpoint("serving_default", lambda x: {"y": sums(x)}, input_signature=SPEC)
    archive.write_out(str(tmp_path / "1"), verbose=False)

    assert predict(start().wait(), "sums", {"x": ROW})["y"].tolist() == [[7.0]]


@pytest.fixture
def held(sums, tmp_path):
    """The model in a tf.Module, saved by TensorFlow."""
    module = tf.Module()
    module.model = sums
    function = tf.function(lambda x: {"y": module.model(x)}, input_signature=SPEC)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": function})
    return tmp_path / "1"


def test_held_in_a_module(held, start, predict):
    """With TensorFlow 2.21 and Keras 3, `tf.saved_model.load` finds the variables, but a session does not.

    The model loads with its signatures, but each request fails. With warm-up requests, the load fails.
    """
    in_python = tf.saved_model.load(str(held)).signatures["serving_default"]
    assert in_python(tf.constant(ROW))["y"].numpy().tolist() == [[7.0]]

    server = start().wait()
    with pytest.raises(grpc.RpcError) as caught:
        predict(server, "sums", {"x": ROW})
    assert caught.value.code().name == "FAILED_PRECONDITION"
    assert "Could not find variable sequential" in caught.value.details()
    status, reply = server.rest("/v1/models/sums:predict", {"instances": ROW.tolist()})
    assert (status, "Could not find variable sequential" in reply) == (400, True)


def test_warm_up_detects_the_error(held, start):
    warmup.write_warmup(held, "sums", {"x": ROW}, batch_sizes=[1], requests_per_size=1)
    server = start()
    assert server.exit() == 255
    text = "1 servable(s) did not become available: {{{name: sums version: 1} due to error: FAILED_PRECONDITION: "
    assert f"Failed to start server. Error: UNKNOWN: {text}Could not find variable sequential" in server.log
