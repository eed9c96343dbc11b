"""Data frames as inputs, with pandas, and bfloat16 with and without the package ml_dtypes."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from support import model_servers
from tiffin.errors import InputError
from tiffin.serving import Client, tensors
from tiffin.serving.bfloat16 import narrow, widen
from tiffin.serving.outputs import split_rows
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.values import cast

RUNS_IN = ("model",)


@pytest.fixture
def client():
    with model_servers.serve() as server, Client(server.address) as connected:
        yield connected


def test_a_frame(client):
    frame = pd.DataFrame({"miles": [1.5, None], "passengers": [2, 1], "company": ["Blue", None]})
    answer = client.predict("taxi", frame)

    assert answer["scores"][0, 0] == 5.0
    assert np.isnan(answer["scores"][1, 0])
    assert answer["company"].tolist() == [[b"Blue"], [b""]]


def test_other_column_types(client):
    frame = pd.DataFrame(
        {
            "miles": pd.Series([1.5, pd.NA], dtype="Float32"),
            "passengers": pd.Series([2, 1], dtype="Int8"),
            "company": pd.Series(["Blue", pd.NA], dtype="category"),
        }
    )

    assert client.predict("taxi", frame)["scores"][0, 0] == 5.0


def test_a_missing_integer(client):
    frame = pd.DataFrame({"miles": [1.5], "passengers": pd.Series([pd.NA], dtype="Int64"), "company": ["Blue"]})
    with pytest.raises(InputError, match=r"'passengers'.* int64.* missing "):
        client.predict("taxi", frame)


def test_examples_from_a_frame(client):
    frame = pd.DataFrame({"miles": [0.25, 0.5], "passengers": [1, 2], "company": ["a", None]})

    assert [yes.score for _, yes in client.classify("taxi", frame)] == [0.25, 0.5]
    assert client.regress("taxi", frame).tolist() == [3.0, 2.0]


def test_bfloat16_is_that_of_ml_dtypes():
    bits = np.random.default_rng(0).integers(0, 1 << 32, 100_000, dtype="u4")
    values = bits.view("f4")
    values = values[~np.isnan(values)]
    theirs = values.astype(ml_dtypes.bfloat16)

    assert narrow(values).tobytes() == theirs.tobytes()
    assert widen(theirs).tobytes() == theirs.astype("f4").tobytes()


def test_an_array_of_ml_dtypes():
    array = np.array([1.5, 0.1], ml_dtypes.bfloat16)
    signature = Signature({"x": TensorSpec("bfloat16", (None,)), "y": TensorSpec("float32", (None,))}, {})
    found = cast({"x": array, "y": array}, signature)

    assert found["x"] is array
    assert found["y"].tolist() == array.tolist()
    assert tensors.to_proto(array) == tensors.to_proto(narrow(array.astype("f4")))
    assert split_rows({"y": tensors.from_proto(tensors.to_proto(array))}, 2) == [{"y": 1.5}, {"y": 0.100097656}]
