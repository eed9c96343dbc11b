"""Calls of the REST API as rows of the log."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.access_log import entry, rest, values, write
from tiffin.recorder.tensors import MAX_VALUES


def one(request: Any, response: Any, **options: Any) -> list[dict[str, Any]]:
    rows, problems = write([rest(request, response, **options)])
    assert problems == {}
    return rows


def test_a_request_without_rows_is_one_row_without_values() -> None:
    [row] = one({"instances": []}, {"predictions": []})

    assert (row["rows"], values(row)) == (0, {})


def test_rows_with_names() -> None:
    request = {"signature_name": "score", "instances": [{"x": 1, "t": "a"}, {"x": 2.5, "t": {"b64": "Yg=="}}]}
    rows = one(request, {"predictions": [{"y": [1.0], "z": [1, 2]}, {"y": [2.0], "z": [3, 4]}]})

    assert [values(row) for row in rows] == [
        {"input.t": "a", "input.x": 1.0, "output.y": 1.0, "output.z": [1, 2]},
        {"input.t": "b", "input.x": 2.5, "output.y": 2.0, "output.z": [3, 4]},
    ]
    assert {(row["signature"], row["version"], row["protocol"]) for row in rows} == {("score", 3, "rest")}


def test_rows_without_names() -> None:
    rows = one({"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [0.5, 1.5]})

    assert [values(row) for row in rows] == [
        {"input.inputs": [1.0, 2.0], "output.outputs": 0.5},
        {"input.inputs": [3.0, 4.0], "output.outputs": 1.5},
    ]


def test_columns_with_names() -> None:
    rows = one({"inputs": {"x": [[1.0], [2.0]], "scale": 3}}, {"outputs": {"y": [1, 2], "z": [[1, 2], [3, 4]]}})

    assert [values(row) for row in rows] == [
        {"input.scale": 3, "input.x": 1.0, "output.y": 1, "output.z": [1, 2]},
        {"input.scale": 3, "input.x": 2.0, "output.y": 2, "output.z": [3, 4]},
    ]


def test_columns_without_names() -> None:
    [first, _] = one({"inputs": [[[1], [2]], [[3], [4]]]}, {"outputs": [True, False]})

    assert values(first) == {"input.inputs": [1, 2], "output.outputs": True}


def test_columns_of_different_lengths_are_one_row() -> None:
    [row] = one({"inputs": {"x": [1, 2], "y": [3]}}, {"outputs": {"z": 1}})

    assert (row["rows"], values(row)) == (1, {"input.x": [1, 2], "input.y": 3, "output.z": 1})


def test_an_answer_with_another_number_of_rows_is_one_row() -> None:
    [row] = one({"instances": [1, 2]}, {"predictions": [1, 2, 3]})

    assert (row["rows"], values(row)) == (1, {"input.inputs": [1, 2], "output.outputs": [1, 2, 3]})


def test_a_failed_request_has_its_inputs() -> None:
    [row] = one({"instances": [{"x": 1}]}, "not JSON of an answer", status=400)

    assert (row["code"], values(row)) == ("HTTP_400", {"input.x": 1})


def test_values_that_are_missing_or_of_several_kinds() -> None:
    instances = [{"a": None, "b": 1}, {"a": 1, "b": "x"}, {"b": {"k": [1]}, "c": 1 << 70}]
    rows = one({"instances": instances}, {})

    assert [values(row) for row in rows] == [
        {"input.a": None, "input.b": "1", "input.c": None},
        {"input.a": 1, "input.b": "x", "input.c": None},
        {"input.a": None, "input.b": '{"k": [1]}', "input.c": str(1 << 70)},
    ]


def test_halves_of_surrogate_pairs() -> None:
    body = b'{"instances": [{"\\ud800": "\\ud800", "ok": "\\u00e9"}], "signature_name": "\\udfff"}'
    [row], _ = write([entry(path="/v1/models/taxi:predict", request=body, response=b"{}")])

    assert (values(row), row["signature"]) == ({"input.\\ud800": "\\ud800", "input.ok": "é"}, "\\udfff")


def test_classify_and_regress() -> None:
    request = {"context": {"z": 9, "x": 0}, "examples": [{"x": 1}, {"x": 2}]}
    classes = {"results": [[["no", 0.25], ["yes", 0.75]], [["no", 0.5], ["yes", 0.5]]]}

    assert [values(row) for row in one(request, classes, call="classify")] == [
        {"input.x": 1, "input.z": 9, "output.classes": ["no", "yes"], "output.scores": [0.25, 0.75]},
        {"input.x": 2, "input.z": 9, "output.classes": ["no", "yes"], "output.scores": [0.5, 0.5]},
    ]
    assert [values(row) for row in one(request, {"results": [1.5, 2.5]}, call="regress")] == [
        {"input.x": 1, "input.z": 9, "output.outputs": 1.5},
        {"input.x": 2, "input.z": 9, "output.outputs": 2.5},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"instances": {"x": 1}}',
        b'{"signature_name": 1, "instances": []}',
        b'{"instances": [' + b"[" * 500 + b"]" * 500 + b"]}",
    ],
)
def test_bodies_that_are_no_requests(body: bytes) -> None:
    [row], problems = write([entry(path="/v1/models/taxi:predict", request=body, response=b"{}")])

    assert (row["rows"], values(row)) == (1, {})
    assert problems in ({}, {"message": 1})


def test_more_values_than_a_request_may_have() -> None:
    instances = [{f"c{number}": 1} for number in range(2000)]

    assert len(instances) ** 2 > MAX_VALUES
    assert write([rest({"instances": instances}, {})])[1] == {"too_large": 1}


def test_more_names_than_a_request_may_have() -> None:
    names = {f"c{number}": 1 for number in range(10_001)}

    for request in ({"instances": [names]}, {"inputs": names}, {"inputs": {**names, "x": [1], "y": [1, 2]}}):
        assert write([rest(request, {})])[1] == {"too_large": 1}


def test_integers_that_are_no_floating_point_numbers() -> None:
    predictions = [[1, 0.5], [(1 << 53) + 1, 0.25], [-(10**400), 0.5]]

    [first, second, third] = write([rest({"instances": [1, 2, 3]}, {"predictions": predictions[:2] + [[7, 8]]})])[0]
    assert [values(row)["output.outputs"] for row in (first, second, third)] == [[1, 0.5], [1 << 53, 0.25], [7, 8]]
    # Integers above int64 are text, also in a list.
    rows, _ = write([rest({"instances": [1, 2, 3]}, {"predictions": predictions})])
    assert [values(row)["output.outputs"] for row in rows[:2]] == [["1", "0.5"], [str((1 << 53) + 1), "0.25"]]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["instances", "inputs", "examples"]), VALUES, VALUES)
def test_any_json_gives_rows(key: str, asked: Any, answered: Any) -> None:
    body = json.dumps({key: asked}).encode()
    response = json.dumps({"predictions": answered, "results": answered}).encode()
    for call in ("predict", "classify", "regress"):
        rows, _ = write([entry(path=f"/v1/models/taxi:{call}", request=body, response=response)])

        assert len(rows) == max(rows[0]["rows"], 1)
