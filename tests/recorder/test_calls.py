"""Values that the settings of a model leave out or hash."""

import hashlib
import hmac
from typing import Any

import pytest

from support.access_log import predict, rest, values, write
from tiffin.recorder.calls import Policy

SECRET = b"secret"


def policy(omit: str = "", hashed: str = "", secret: bytes = SECRET) -> Policy:
    return Policy(frozenset(omit.split()), frozenset(hashed.split()), secret)


def digest(text: str) -> str:
    return hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()


def call(**options: Any) -> Any:
    return predict({"name": ["Ada", "Bob"], "age": [36, 41]}, {"y": [1.0, 2.0]}, key="ada", **options)


def test_nothing_is_left_out_by_default() -> None:
    [row, _], problems = write([call()])

    assert (values(row), row["key"], problems) == ({"input.age": 36, "input.name": "Ada", "output.y": 1.0}, "ada", {})


def test_omitted_and_hashed_columns() -> None:
    rows, problems = write([call()], policy("input.name output.y", "input.age key"))

    assert [values(row) for row in rows] == [{"input.age": digest("36")}, {"input.age": digest("41")}]
    assert ([row["key"] for row in rows], problems) == ([digest("ada")] * 2, {})


def test_the_same_value_has_the_same_hash_by_every_protocol() -> None:
    sent = [predict({"x": ["é"]}, {}), rest({"instances": [{"x": "é"}, {"x": None}]}, {})]

    assert [row["input.x"] for row in write(sent, policy(hashed="input.x"))[0]] == [digest("é"), digest("é"), None]


def test_a_list_is_hashed_as_a_whole() -> None:
    [row], _ = write([predict({"x": [[1, 2]]}, {})], policy(hashed="input.x"))

    assert row["input.x"] == digest("[1, 2]")


def test_without_a_secret_what_should_be_hashed_is_left_out() -> None:
    [row, _], problems = write([call()], policy(hashed="input.name key", secret=b""))

    assert (values(row), row["key"], problems) == ({"input.age": 36, "output.y": 1.0}, None, {"no_secret": 1})


@pytest.mark.parametrize(
    ("omit", "expected"),
    [
        ("input.name", {"output.outputs": 2}),
        ("output.y", {"input.inputs": 1}),
        ("input.name output.y", {}),
        ("key", {"input.inputs": 1, "output.outputs": 2}),
    ],
)
def test_what_has_no_name_may_be_what_is_left_out(omit: str, expected: dict[str, int]) -> None:
    [row], problems = write([rest({"instances": [1]}, {"predictions": [2]})], policy(omit))

    assert values(row) == expected
    assert problems["unnamed"] == 2 - len(expected)


def test_examples_that_cannot_be_parsed_may_hold_what_is_left_out() -> None:
    [row], problems = write([predict({"examples": ["no message"]}, {"y": [1]})], policy("input.name"))

    assert (values(row), problems) == ({"output.y": 1}, {"unnamed": 1})


def test_without_settings_no_value_is_recorded() -> None:
    [row], problems = write([call()], Policy(is_known=False))

    assert (values(row), row["key"], row["code"], problems) == ({}, None, "OK", {"settings_unknown": 1})


def test_bodies_that_were_too_large() -> None:
    [row], problems = write([call(response=bytes(2 << 20))])

    assert (values(row), row["rows"], problems) == ({}, 1, {"too_large": 1})
