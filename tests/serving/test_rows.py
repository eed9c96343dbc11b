import datetime
import re

import pytest

from tiffin.errors import InputError
from tiffin.serving import wire
from tiffin.serving.rows import select_example, select_inputs
from tiffin.serving.signatures import Signature, TensorSpec

INPUTS = {
    "miles": TensorSpec("float32", (None, 1)),
    "riders": TensorSpec("int64", (None, 1)),
    "company": TensorSpec("string", (None, 1)),
    "card": TensorSpec("bool", (None, 1)),
    "wave": TensorSpec("complex64", (None, 1)),
}
SIGNATURE = Signature(INPUTS, {})
TEXT = Signature({"inputs": TensorSpec("string", (None,))}, {})


class TestSelectInputs:
    def test_other_columns_are_ignored_and_absent_ones_missing(self):
        assert select_inputs({"miles": 1, "label": 0}, SIGNATURE) == {
            "miles": 1,
            "riders": None,
            "company": None,
            "card": None,
            "wave": None,
        }

    def test_text_is_parsed(self):
        row = {"miles": " 1.5", "riders": "2", "company": "3", "card": "TRUE", "wave": "1+2j"}
        read = {"miles": 1.5, "riders": 2, "company": "3", "card": True, "wave": 1 + 2j}

        assert select_inputs(row, SIGNATURE, True) == read

    def test_empty_text_is_a_missing_number(self):
        read = {"miles": None, "riders": None, "company": "", "card": None, "wave": None}

        assert select_inputs(dict.fromkeys(INPUTS, ""), SIGNATURE, True) == read

    @pytest.mark.parametrize(
        ("text", "number"),
        [("16777217", 16777217), ("-inf", float("-inf")), ("Infinity", float("inf")), ("1e300", 1e300), ("+3", 3)],
    )
    def test_floats(self, text, number):
        found = select_inputs({"miles": text}, SIGNATURE, True)["miles"]

        assert (found, type(found)) == (number, type(number))

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("3.0", 3),
            ("-4", -4),
            ("1e3", 1000),
            ("nan", None),
            ("9007199254740993.0", 9007199254740993),
            ("1e19", 10**19),
        ],
    )
    def test_integers(self, text, number):
        assert select_inputs({"riders": text}, SIGNATURE, True)["riders"] == number

    @pytest.mark.parametrize(
        ("name", "text"),
        [("miles", "far"), ("riders", "1.5"), ("riders", "inf"), ("riders", "²"), ("card", "maybe")]
        + [("miles", "1e400"), ("miles", "1_000"), ("riders", "1_0"), ("riders", "1e1000000"), ("riders", "3" * 5000)]
        + [("riders", "x"), ("card", "2"), ("wave", "1+2i"), ("wave", "1_0j")],
    )
    def test_text_of_another_type(self, name, text):
        with pytest.raises(
            InputError, match=f"'{name}'.* ({INPUTS[name].dtype}|float64).*Received: '{re.escape(text[:80])}'"
        ):
            select_inputs({name: text}, SIGNATURE, True)

    def test_none_of_the_inputs(self):
        with pytest.raises(InputError, match=r"Received: mile, label.*'miles'\?"):
            select_inputs({"mile": 1, "label": 2}, SIGNATURE)

    def test_values_other_than_text_are_unchanged(self):
        today = datetime.date(2020, 1, 1)

        assert select_inputs({"company": today}, SIGNATURE)["company"] == today

    @pytest.mark.parametrize(
        ("value", "read"),
        [
            ({"b64": "/w=="}, b"\xff"),
            ({"b64": "/w"}, b"\xff"),
            ({"b64": ""}, b""),
            ([[{"b64": "YQ=="}, "b"]], [[b"a", "b"]]),
            ({"b64": "YQ==", "more": 1}, {"b64": "YQ==", "more": 1}),
            ("b64", "b64"),
        ],
    )
    def test_base64(self, value, read):
        assert select_inputs({"company": value}, SIGNATURE)["company"] == read
        assert select_inputs({"miles": value}, SIGNATURE)["miles"] == value

    @pytest.mark.parametrize("value", [1, None, "/w==x", "a b", "é", "/w==/w==", "-_8="])
    def test_invalid_base64(self, value):
        with pytest.raises(InputError, match=re.escape(f"'company' should be text in base64. Received: {value!r}.")):
            select_inputs({"company": [{"b64": value}]}, SIGNATURE)

    def test_the_value_of_the_only_input(self):
        assert select_inputs([1, {"b64": "YQ=="}], TEXT) == {"inputs": [1, b"a"]}
        with pytest.raises(InputError, match=r"miles, riders, .*Received: \[1\]"):
            select_inputs([1], SIGNATURE)

    def test_inputs_that_the_server_fills_are_omitted(self):
        signature = Signature(INPUTS, {}, defaults=frozenset({"riders", "card"}))

        assert set(select_inputs({"miles": 1, "card": None}, signature)) == {"miles", "company", "card", "wave"}

    def test_a_signature_that_may_take_examples(self):
        with pytest.raises(InputError, match=r"inputs\. Received: miles\. .*--as-examples"):
            select_inputs({"miles": 1}, TEXT)


def features(selected):
    found = wire.Example.FromString(selected["inputs"]).features.feature
    return {name: list(getattr(value, value.WhichOneof("kind")).value) for name, value in found.items()}


class TestSelectExample:
    def test_values_have_the_types_of_json(self):
        row = {"a": 1, "b": 1.5, "c": "é", "d": {"b64": "/w=="}, "e": [1, 2.5], "f": None, "g": True}

        expected = {"a": [1], "b": [1.5], "c": ["é".encode()], "d": [b"\xff"], "e": [1.0, 2.5], "g": [1]}
        assert features(select_example(row, "inputs", None)) == expected

    def test_columns_that_the_model_has(self):
        assert features(select_example({"a": 1, "b": {}}, "inputs", ["a"])) == {"a": [1]}
        with pytest.raises(InputError, match=r"columns: a, x\. Received: b\."):
            select_example({"b": 1}, "inputs", ["a", "x"])

    @pytest.mark.parametrize("row", [{"inputs": {"b64": "YQ=="}}, b"a", {"inputs": "a"}])
    def test_a_serialized_example(self, row):
        assert select_example(row, "inputs", ["a"])["inputs"] in (b"a", "a")

    def test_a_column_with_the_name_of_the_input(self):
        assert features(select_example({"inputs": "a"}, "inputs", ["inputs"])) == {"inputs": [b"a"]}
        assert features(select_example({"inputs": "a", "b": 1}, "inputs", None)) == {"inputs": [b"a"], "b": [1]}

    @pytest.mark.parametrize("value", [{"a": 1}, [[1]], ["a", 1], 1e39, 1 << 63, "\ud800"])
    def test_values_that_cannot_be_sent(self, value):
        with pytest.raises(InputError, match=r"^Column 'a' .*Received: "):
            select_example({"a": value}, "inputs", None)
