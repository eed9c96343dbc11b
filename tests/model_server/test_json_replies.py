"""Numbers and strings in REST replies, and values in error messages."""

import json

import numpy as np
import pytest

from tiffin.model_server import json_replies


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([3, 0.1, 1 / 3, 1e-7, 16777217], np.float32, "3.0, 0.1, 0.33333334, 1e-07, 16777216.0"),
        ([3, 0.1, 1e300, 1234567, 0.1 + 0.2], np.float64, "3.0, 0.1, 1e+300, 1234567.0, 0.30000000000000004"),
        ([np.nan, np.inf, -np.inf], np.float32, "NaN, Infinity, -Infinity"),
        ([np.nan, np.inf, -np.inf], np.float64, "NaN, Infinity, -Infinity"),
        ([-(2**63), 2**63 - 1], np.int64, "-9223372036854775808, 9223372036854775807"),
        ([True, False], np.bool_, "true, false"),
    ],
)
def test_numbers(values, dtype, expected):
    array = np.array(values, dtype)
    assert json_replies.rows({"y": array}) == f'{{"predictions": [{expected}]}}'
    assert json_replies.columns({"y": array}) == f'{{"outputs": [{expected}]}}'


def test_every_float32_round_trips():
    numbers = np.random.default_rng(0).integers(0, 1 << 32, 10_000, np.uint32).view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    written = json.loads(json_replies.columns({"y": numbers}))["outputs"]
    np.testing.assert_array_equal(np.array(written, np.float32), numbers)


def test_texts_bytes_and_shapes():
    texts = np.array([["é".encode(), b"\xff"]], object)
    assert json_replies.columns({"y": texts}) == '{"outputs": [["é", "\ufffd"]]}'
    assert json_replies.columns({"y_bytes": texts[0, 1:]}) == '{"outputs": [{"b64": "/w=="}]}'
    assert json_replies.columns({"y": np.zeros((0, 2), np.float32)}) == '{"outputs": []}'
    assert json_replies.columns({"y": np.float32(0.1)}) == '{"outputs": 0.1}'
    outputs = {"a": np.float32([1, 2]), "b": np.zeros((2, 1), np.int32)}
    assert json_replies.rows(outputs) == '{"predictions": [{"a": 1.0, "b": [0]}, {"a": 2.0, "b": [0]}]}'


def test_values_in_messages_are_truncated():
    assert json_replies.shown({"x": [1, "é", None]}) == '{"x": [1, "é", null]}'
    assert len(json_replies.shown("x" * 100_000)) == len(json_replies.shown([1] * 100_000)) == 512
