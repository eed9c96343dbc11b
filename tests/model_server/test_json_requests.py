"""REST requests and their tf.Examples."""

import pytest
from tensorflow.core.example import example_pb2

from tiffin.errors import ServingError
from tiffin.model_server import json_requests


def test_a_document():
    assert json_requests.parse(b'\xef\xbb\xbf {"inputs": [NaN, -Infinity]} \n')["inputs"][1] == float("-inf")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: Expecting value at offset: 0"),
        (b'{"instances": [1', "JSON Parse error: Expecting ',' delimiter at offset: 16"),
        (b"[" * 100_000, "JSON Parse error: The document is nested too deeply."),
        (b"9" * 10_000, "JSON Parse error: Number too big to be stored in double."),
        (b"[1, 2]", "JSON Value: [1, 2] Is not object"),
    ],
)
def test_invalid_documents(body, text):
    with pytest.raises(ServingError) as caught:
        json_requests.parse(body)
    assert (caught.value.code, str(caught.value)) == ("INVALID_ARGUMENT", text)


def test_examples():
    (content,), context = json_requests.examples({"examples": [{"x": [1, 2], "y": 0.5, "z": {"b64": "/w=="}}]})
    feature = example_pb2.Example.FromString(content).features.feature
    assert (list(feature["x"].int64_list.value), list(feature["y"].float_list.value)) == ([1, 2], [0.5])
    assert (list(feature["z"].bytes_list.value), context) == ([b"\xff"], None)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"context": {}}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": [1, 0.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": ["a", 1]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64_t element. Only int64_t is supported."),
    ],
)
def test_invalid_examples(document, text):
    with pytest.raises(ServingError) as caught:
        json_requests.examples(document)
    assert (caught.value.code, str(caught.value)[-len(text) :]) == ("INVALID_ARGUMENT", text)
