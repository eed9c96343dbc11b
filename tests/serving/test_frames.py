"""Data frames as inputs, with pandas, and the number types of ml_dtypes."""

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from support import model_servers
from tiffin.errors import InputError
from tiffin.serving import Client
from tiffin.serving.signatures import TensorSpec, cast_column

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


def test_bfloat16():
    array = cast_column("x", [1, 2.5, None], TensorSpec("bfloat16", (None,)))

    assert array.dtype == ml_dtypes.bfloat16
    assert array[:2].tolist() == [1.0, 2.5]
