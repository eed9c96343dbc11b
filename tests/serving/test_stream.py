import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ServingError
from tiffin.serving.rows import Row
from tiffin.serving.signatures import TensorSpec
from tiffin.serving.stream import answer_rows, plain, split_rows

INPUTS = {"x": TensorSpec("int64", (None,))}


def rows(*values):
    return [Row(number, number, {"x": value}) for number, value in enumerate(values, start=1)]


def double(arrays):
    return [{"y": int(value) * 2} for value in arrays["x"]]


def test_no_rows():
    assert list(answer_rows([], INPUTS, double)) == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 7), st.integers(1, 4), st.integers(1, 50))
def test_every_row_is_answered_in_order_and_only_bad_ones_fail(values, batch_size, window, bad):
    def ask(arrays):
        if bad in arrays["x"]:
            raise ServingError("bad", "INVALID_ARGUMENT")
        return double(arrays)

    answers = list(answer_rows(rows(*values), INPUTS, ask, batch_size=batch_size, window=window))

    assert [answer.row.number for answer in answers] == list(range(1, len(values) + 1))
    expected = [None if value == bad else {"y": value * 2} for value in values]
    assert [answer.outputs for answer in answers] == expected
    assert all((answer.error == "bad") == (answer.outputs is None) for answer in answers)


def test_rows_that_cannot_be_read_or_converted():
    given_rows = [*rows(1, "x", None), Row(4, 4, None, "no JSON"), Row(5, 5, {"z": 1}), Row(6, 6, {"x": 2})]
    answers = list(answer_rows(given_rows, INPUTS, double))

    assert [answer.outputs for answer in answers] == [{"y": 2}, None, None, None, None, {"y": 4}]
    assert "'x' (str)" in answers[1].error
    assert "Received: None" in answers[2].error
    assert answers[3].error == "no JSON"
    assert "inputs: x. Received: z." in answers[4].error


def test_few_requests_isolate_a_bad_row():
    asked = []

    def ask(arrays):
        asked.append(len(arrays["x"]))
        if 13 in arrays["x"]:
            raise ServingError("bad", "INVALID_ARGUMENT")
        return double(arrays)

    list(answer_rows(rows(*range(64)), INPUTS, ask, batch_size=64))

    assert len(asked) == 13  # the batch, then two halves at each of six levels


@pytest.mark.parametrize(
    "code", ["OUT_OF_RANGE", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "DATA_LOSS"]
)
def test_other_codes_that_a_row_may_cause(code):
    def ask(arrays):
        if 2 in arrays["x"]:
            raise ServingError("no", code)
        return double(arrays)

    assert [answer.outputs for answer in answer_rows(rows(1, 2, 3), INPUTS, ask)] == [{"y": 2}, None, {"y": 6}]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "UNAUTHENTICATED"])
def test_an_error_of_the_server_ends_the_stream(code):
    def ask(arrays):
        if arrays["x"][0] >= 4:
            raise ServingError("no", code)
        return double(arrays)

    answers = answer_rows(rows(*range(10)), INPUTS, ask, batch_size=2, window=2)

    assert [next(answers).outputs["y"] for _ in range(4)] == [0, 2, 4, 6]
    with pytest.raises(ServingError, match="no") as caught:
        next(answers)
    assert caught.value.code == code


def test_the_window_bounds_memory_and_requests_in_flight():
    lock, now, most, read = threading.Lock(), [0], [0], [0]

    def source():
        for row in rows(*range(200)):
            read[0] += 1
            yield row

    def ask(arrays):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return double(arrays)

    for done, _ in enumerate(answer_rows(source(), INPUTS, ask, batch_size=5, window=3), start=1):
        assert read[0] - done < 5 * (3 + 1)
    assert most[0] == 3


class TestSplitRows:
    def test_shapes(self):
        outputs = {
            "flat": np.array([1, 2]),
            "column": np.array([[0.3], [np.nan]], "f4"),
            "wide": np.array([[1.0, np.inf], [2.0, 3.0]]),
            "text": np.array([b"a", b"\xff"], object),
            "deep": np.array([[[4]], [[5]]]),
            "row": np.array([[[1, 2]], [[3, 4]]]),
        }

        assert split_rows(outputs, 2) == [
            {"flat": 1, "column": 0.3, "wide": [1.0, None], "text": "a", "deep": 4, "row": [[1, 2]]},
            {
                "flat": 2,
                "column": None,
                "wide": [2.0, 3.0],
                "text": {"b64": "/w=="},
                "deep": 5,
                "row": [[3, 4]],
            },
        ]

    @pytest.mark.parametrize("array", [np.array(1.0), np.ones(3)])
    def test_an_output_without_a_value_per_row(self, array):
        with pytest.raises(ServingError, match=rf"'y'.*Received: shape \[{'3' * array.ndim}\] .* 2 "):
            split_rows({"y": array}, 2)

    def test_other_values(self):
        assert plain([True, 1 + 2j, np.datetime64("2020-01-01")]) == [True, [1.0, 2.0], "2020-01-01"]
