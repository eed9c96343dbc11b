"""Files while they are written: kinds of columns, row groups, and what does not fit."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from support.access_log import predict, rest, values, write
from tiffin.recorder.calls import Policy, read_call
from tiffin.recorder.entries import read_entry
from tiffin.recorder.files import MAX_COLUMNS, OpenFile
from tiffin.serving.prediction_log import COLUMNS, kind_of


def sent(*inputs: Any, status: int = 200) -> list[Any]:
    return [rest({"instances": [{"x": value}]}, {}, status=status) for value in inputs]


def add(file: OpenFile, entries: list[Any]) -> None:
    for entry in entries:
        call = read_entry(entry)
        assert call is not None
        file.add(call, None, read_call(call, Policy(), Counter()))


def kinds(content: bytes) -> dict[str, str | None]:
    schema = pq.read_schema(io.BytesIO(content))
    return {entry.name: kind_of(entry.type) for entry in schema}


def test_an_empty_file_is_none() -> None:
    assert OpenFile("taxi", Counter()).close() == []


def test_a_file_without_values_has_the_fixed_columns() -> None:
    file = OpenFile("taxi", Counter())
    add(file, sent(None))
    [(content, rows)] = file.close()

    assert (kinds(content), rows) == (COLUMNS, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, None, 2], [1, None, 2]),
        ([1, 2.5], [1.0, 2.5]),
        ([1, "a"], ["1", "a"]),
        ([True, 2], ["true", "2"]),
        ([1, [2, 3]], [[1], [2, 3]]),
        ([[1, 2], [], ["a", None]], [["1", "2"], [], ["a", None]]),
        ([1 << 70, 1], [str(1 << 70), "1"]),
    ],
)
def test_values_of_several_kinds_in_a_row_group(given: list[Any], expected: list[Any]) -> None:
    rows, problems = write(sent(*given))

    assert ([row["input.x"] for row in rows], problems) == (expected, {})


def test_a_failed_request_does_not_change_the_kind() -> None:
    failed = [*sent("abc", [1, 2], 7, status=400)]
    rows, problems = write([*sent(1), *failed, *sent(2)])

    assert [row["input.x"] for row in rows] == [1, None, None, 7, 2]
    assert problems == {"kind": 2}


def test_failed_requests_alone_have_their_values() -> None:
    assert [row["input.x"] for row in write(sent("a", 1, status=400))[0]] == ["a", "1"]


def test_float32_stays_unless_other_numbers_come() -> None:
    half = [predict({"x": np.array([0.5], np.float32)}, {})]

    assert [row["input.x"] for row in write([*half, *sent(1)])[0]] == [0.5, 1.0]
    file = OpenFile("taxi", Counter())
    add(file, half)
    assert kinds(file.close()[0].content)["input.x"] == "float32"


def test_a_wider_kind_or_a_new_column_begins_another_file() -> None:
    file = OpenFile("taxi", Counter())
    add(file, sent(1.5))
    assert file.flush() == []
    add(file, sent(1))  # fits a column of floats
    assert file.flush() == []
    add(file, sent("a", "b"))
    [(first, rows)] = file.flush()
    add(file, [rest({"instances": [{"y": 1}]}, {})])
    second, third = file.close()

    assert (rows, second.rows, third.rows) == (2, 2, 1)
    assert (kinds(first)["input.x"], kinds(second.content)["input.x"]) == ("float64", "string")
    assert kinds(third.content)["input.y"] == "int64"
    assert pq.read_metadata(io.BytesIO(first)).num_row_groups == 2


def test_a_column_that_comes_later_is_null_before() -> None:
    rows, _ = write([*sent(1), rest({"instances": [{"y": "a"}, {"x": 2, "y": "b"}]}, {})])

    assert [values(row) for row in rows] == [
        {"input.x": 1, "input.y": None},
        {"input.x": None, "input.y": "a"},
        {"input.x": 2, "input.y": "b"},
    ]


def test_more_columns_than_a_file_may_have() -> None:
    instance = {f"c{number:04}": number for number in range(MAX_COLUMNS + 3)}
    [row], problems = write([rest({"instances": [instance]}, {})])

    assert (len(values(row)), problems) == (MAX_COLUMNS, {"columns": 3})


def test_a_long_name_of_a_column() -> None:
    [row], problems = write([rest({"instances": [{"é" * 300: 1, "x": 2}]}, {})])

    assert (values(row), problems) == ({"input.x": 2}, {"columns": 1})


def test_the_memory_of_lists_is_that_of_their_values() -> None:
    file = OpenFile("taxi", Counter())
    add(file, [predict({"x": np.zeros((1, 100_000), bool)}, {})])

    assert file.memory > 4_000_000


def test_one_file_may_have_requests_of_one_row_and_of_many() -> None:
    rows, _ = write([predict({"x": [1, 2, 3]}, {}, request_id="a"), predict({"x": [4]}, {}, request_id="b")])

    assert [(row["request_id"], row["row"], row["rows"], row["input.x"]) for row in rows] == [
        ("a", 0, 3, 1),
        ("a", 1, 3, 2),
        ("a", 2, 3, 3),
        ("b", 0, 1, 4),
    ]
