"""Models whose predictions are their input."""

import pytest
import tensorflow as tf

from support.documents import make_training
from tiffin.artifacts.model import saved_model, write_training


class Echo(tf.Module):
    """A model that returns its input `x`."""

    def __init__(self, task):
        super().__init__()
        self.task = task

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x):
        if self.task == "multiclass":
            return {"probabilities": tf.stack([1 - x, x / 2, x / 2], axis=1)}
        return {{"binary": "probability", "regression": "prediction"}[self.task]: x}


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """Return a function that makes a model artifact whose predictions are the column x."""

    def make(task, **record):
        folder = tmp_path_factory.mktemp("model")
        model = Echo(task)
        tf.saved_model.save(model, str(saved_model(folder)), signatures={"serving_default": model.serve})
        write_training(folder, make_training(label="y", task=task, **record))
        return folder

    return make


@pytest.fixture(scope="module")
def binary(echo):
    return echo("binary", classes=("no", "yes"))
