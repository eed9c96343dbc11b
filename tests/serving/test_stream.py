import functools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import ServingError
from tiffin.serving.rows import Row, select_inputs
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.stream import answer_rows, one_by_one, rows_per_request


def signature(dtype="int64", shape=(None,), output=(None,), **options):
    return Signature({"x": TensorSpec(dtype, shape)}, {"y": TensorSpec(dtype, output)}, **options)


def ask_rows(given_rows, ask, of=None, **options):
    of = of or signature()
    return answer_rows(given_rows, of, one_by_one(functools.partial(select_inputs, signature=of)), ask, **options)


def rows(*values):
    return [Row(number, number, {"x": value}) for number, value in enumerate(values, start=1)]


def double(arrays, _rows):
    return [{"y": int(value) * 2} for value in arrays["x"]]


def test_no_rows():
    assert list(ask_rows([], double)) == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 7), st.integers(1, 4), st.integers(1, 50))
def test_every_row_is_answered_in_order_and_only_bad_ones_fail(values, batch_size, window, bad):
    def ask(arrays, _rows):
        if bad in arrays["x"]:
            raise ServingError("bad", "INVALID_ARGUMENT")
        return double(arrays, _rows)

    answers = list(ask_rows(rows(*values), ask, batch_size=batch_size, window=window))

    assert [answer.row.number for answer in answers] == list(range(1, len(values) + 1))
    expected = [None if value == bad else {"y": value * 2} for value in values]
    assert [answer.outputs for answer in answers] == expected
    assert all((answer.error == "bad") == (answer.outputs is None) for answer in answers)


def test_rows_that_cannot_be_read_or_converted():
    given_rows = [*rows(1, "x", None), Row(4, 4, None, "no JSON"), Row(5, 5, {"z": 1}), Row(6, 6, {"x": 2})]
    answers = list(ask_rows(given_rows, double))

    assert [answer.outputs for answer in answers] == [{"y": 2}, None, None, None, None, {"y": 4}]
    assert "'x' (str)" in answers[1].error
    assert "Received: None" in answers[2].error
    assert answers[3].error == "no JSON"
    assert "inputs: x. Received: z." in answers[4].error


def test_few_requests_isolate_a_bad_row():
    asked = []

    def ask(arrays, _rows):
        asked.append(len(arrays["x"]))
        if 13 in arrays["x"]:
            raise ServingError("bad", "INVALID_ARGUMENT")
        return double(arrays, _rows)

    list(ask_rows(rows(*range(64)), ask, batch_size=64))

    assert len(asked) == 13  # the batch, then two halves at each of six levels


@pytest.mark.parametrize(
    "code", ["OUT_OF_RANGE", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "DATA_LOSS"]
)
def test_other_codes_that_a_row_may_cause(code):
    def ask(arrays, _rows):
        if 2 in arrays["x"]:
            raise ServingError("no", code)
        return double(arrays, _rows)

    assert [answer.outputs for answer in ask_rows(rows(1, 2, 3), ask)] == [{"y": 2}, None, {"y": 6}]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "UNAUTHENTICATED"])
def test_an_error_of_the_server_ends_the_stream(code):
    def ask(arrays, _rows):
        if arrays["x"][0] >= 4:
            raise ServingError("no", code)
        return double(arrays, _rows)

    answers = ask_rows(rows(*range(10)), ask, batch_size=2, window=2)

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

    def ask(arrays, _rows):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return double(arrays, _rows)

    for done, _ in enumerate(ask_rows(source(), ask, batch_size=5, window=3), start=1):
        assert read[0] - done < 5 * (3 + 1)
    assert most[0] == 3


class TestGroups:
    """Which rows share a request."""

    @pytest.fixture
    def asked(self):
        return []

    @pytest.fixture
    def ask(self, asked):
        def ask(arrays, given):
            asked.append((arrays["x"].tolist() if "x" in arrays else None, len(given)))
            return [{"y": len(asked)}] * len(given)

        return ask

    def test_rows_of_the_same_length(self, ask, asked):
        given_rows = rows([1], [2, 3], 4, [5, 6], [[7, 7]], [[8], [9, 10]])
        answers = list(ask_rows(given_rows, ask, signature(shape=(None, None))))

        assert sorted(asked) == [([[1]], 1), ([[2, 3], [5, 6]], 2), ([[4]], 1)]
        assert [answer.outputs is None for answer in answers] == [False, False, False, False, True, True]
        assert "[any, any]" in answers[4].error
        assert "[[8], [9, 10]]." in answers[5].error

    def test_an_unknown_rank(self, ask, asked):
        list(ask_rows(rows(1, [2], 3, [[4, 5]]), ask, signature(shape=None)))

        assert sorted(asked, key=str) == [([1, 3], 2), ([[2]], 1), ([[[4, 5]]], 1)]

    def test_a_fixed_length(self, ask, asked):
        answers = list(ask_rows(rows([1, 2], [3], [4, 5]), ask, signature(shape=(None, 2))))

        assert [answer.outputs is None for answer in answers] == [False, True, False]
        assert "[any, 2]. Received: [1, 1]." in answers[1].error
        assert ([[1, 2]], 1) in asked

    @pytest.mark.parametrize("of", [signature(shape=()), signature(output=())])
    def test_rank_0(self, ask, asked, of):
        assert rows_per_request(of, 64) == 1
        answers = list(ask_rows(rows(1, 2, [3], [4, 5]), ask, of, window=1))

        assert [answer.outputs is None for answer in answers] == [False, False, False, True]
        assert [values if isinstance(values, int) else values[0] for values, _ in asked] == [1, 2, 3]

    def test_a_fixed_batch(self, ask, asked):
        assert rows_per_request(signature(shape=(2,)), 64) == 2
        answers = list(ask_rows(rows(1, 2, 3), ask, signature(shape=(2,))))

        assert [answer.outputs is None for answer in answers] == [False, False, True]
        assert asked == [([1, 2], 2)]

    def test_inputs_that_the_server_fills(self, ask, asked):
        inputs = {name: TensorSpec("int64", (None,)) for name in ("x", "z")}
        of = Signature(inputs, {}, defaults=frozenset({"x"}))
        given_rows = [
            Row(1, 1, {"z": 1}),
            Row(2, 2, {"z": 1, "x": 2}),
            Row(3, 3, {"z": 1}),
            Row(4, 4, {"z": 1, "x": None}),
        ]
        answers = list(ask_rows(given_rows, ask, of))

        assert sorted(asked, key=str) == [(None, 2), ([2], 1)]
        assert [answer.outputs is None for answer in answers] == [False, False, False, True]
