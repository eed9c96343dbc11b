"""Conversion of values to the arrays of inputs: what a type holds, and what it does not."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tiffin.errors import InputError
from tiffin.serving import numbers, tensors
from tiffin.serving.bfloat16 import is_bfloat16, narrow, widen
from tiffin.serving.shapes import shape_of
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.values import cast, cast_column

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
NUMERIC = [*INTEGERS, *FLOATS, "complex64", "complex128", "bool"]


def convert(values, dtype, shape=(None,), **options):
    array = cast_column("x", values, TensorSpec(dtype, shape), **options)
    return widen(array) if is_bfloat16(array) else array


def fit(array, dtype, **options):
    [found] = cast({"x": array}, Signature({"x": TensorSpec(dtype, (None,))}, {}), **options).values()
    return widen(found) if is_bfloat16(found) else found


class Missing:
    """A value whose type has the name of pandas' NA."""


Missing.__name__ = "NAType"


class TestLists:
    @pytest.mark.parametrize("dtype", [*NUMERIC, "string"])
    def test_no_rows(self, dtype):
        assert convert([], dtype).shape == (0,)

    @pytest.mark.parametrize(
        ("dtype", "values", "expected"),
        [
            ("int32", [3.0, True, np.int8(2), np.float32(4)], [3, 1, 2, 4]),
            ("int64", [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
            ("int64", [2**53 + 1, 1.0], [2**53 + 1, 1]),
            ("uint64", [2**64 - 1, 0], [2**64 - 1, 0]),
            ("uint8", [255.0, False], [255, 0]),
            ("bool", [1, 0, True, 1.0, np.bool_(False)], [True, False, True, True, False]),
            ("float16", [65504, -65504.0, math.inf], [65504.0, -65504.0, math.inf]),
            ("float16", [65519.9], [65504.0]),
            ("bfloat16", [1, 2.5, 256, -math.inf], [1.0, 2.5, 256.0, -math.inf]),
            ("float32", [0.1, 2**24, True, np.float64(0.5)], [np.float32(0.1), 2.0**24, 1.0, 0.5]),
            ("float32", [2**100, -(2**127)], [2.0**100, -(2.0**127)]),
            ("float32", [1e-60, 1e38], [0.0, np.float32(1e38)]),
            ("float64", [2**53, 2**70, 0.5], [2.0**53, 2.0**70, 0.5]),
            ("complex64", [1, 0.5, 2 + 1j], [1, 0.5, 2 + 1j]),
            ("string", ["é", b"\xff", ""], ["é".encode(), b"\xff", b""]),
        ],
    )
    def test_values_that_a_type_holds(self, dtype, values, expected):
        assert convert(values, dtype).tolist() == expected

    @pytest.mark.parametrize(
        ("dtype", "value", "received"),
        [
            *[(dtype, 2**1100, str(2**1100)[:80]) for dtype in FLOATS],
            ("float16", 70000.0, "70000.0"),
            ("float16", 65520, "65520"),
            ("bfloat16", 3.4e38, "3.4e+38"),
            ("float32", 1e39, "1e+39"),
            ("float32", -(2**128), f"-{2**128}"),
            ("complex64", 1e39, "1e+39"),
            ("complex64", 1e39j, "1e+39j"),
            ("uint8", -1, "-1"),
            ("uint8", 256.0, "256"),
            ("int8", -129, "-129"),
            ("int32", 2**31, str(2**31)),
            ("int64", 2**63, str(2**63)),
            ("int64", float(2**63), str(2**63)),
            ("int64", 1e300, "1e+300"),
            ("uint64", 2**64, str(2**64)),
            ("uint64", -1.0, "-1"),
        ],
    )
    @pytest.mark.parametrize("others", [[], [0], [0.0], [0, 0.0], [True]])
    def test_values_outside_the_range(self, dtype, value, received, others):
        with pytest.raises(InputError) as raised:
            convert([*others, value], dtype)

        where = f" row {len(others)}." if others else ""
        assert re.search(rf"'x' .*\b{dtype}\b", str(raised.value)) or dtype.startswith("complex")
        assert received in str(raised.value).replace(".0", "") or received in str(raised.value)
        assert where in str(raised.value)

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            *[("bool", value) for value in (2, -1, 0.5, math.nan, "true", "1")],
            *[("int32", value) for value in (3.7, "1", b"1", 1j, {"a": 1})],
            *[("int32", value) for value in (math.nan, math.inf, None, Missing())],
            *[("float32", value) for value in ("1.5", b"1", 1j, {"b64": ""})],
            *[("complex64", value) for value in ("1+2j", b"1")],
            *[("string", value) for value in (1, 1.5, True, {"b64": ""}, "\ud800")],
        ],
    )
    @pytest.mark.parametrize("others", [[], ["a"], [0], [0.0]])
    def test_values_of_another_kind(self, dtype, value, others):
        assume_valid = [item for item in others if isinstance(item, str) == (dtype == "string")]
        with pytest.raises(InputError, match=r"^Input 'x' .*Received: "):
            convert([*assume_valid, value], dtype)

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            ("bfloat16", 257),
            ("float16", 2049),
            ("float32", 2**24 + 1),
            ("float64", -(2**53) - 1),
            ("float64", 2**70 + 1),
        ],
    )
    @pytest.mark.parametrize("others", [[], [0], [0.5], [2.0**60]])
    def test_integers_that_would_be_rounded(self, dtype, value, others):
        if dtype == "float16" and 2.0**60 in others:
            others = [65504.0]
        with pytest.raises(InputError, match=rf"'x'.* {dtype}, .* {2 ** numbers.FLOATS[dtype].digits}\..*{value}"):
            convert([*others, value], dtype)

        assert convert([*others, float(value)], dtype)[-1] == convert([float(value)], dtype)[0]
        assert convert([*others, value], dtype, by_tiffin=True)[-1] == convert([float(value)], dtype)[0]

    def test_missing_values(self):
        for missing in (None, Missing()):
            for dtype in ("float32", "float64", "bfloat16", "string"):
                with pytest.raises(InputError, match=r"'x'.*Tiffin.* row 1\."):
                    convert(["a" if dtype == "string" else 1.5, missing], dtype)
            assert np.isnan(convert([1.5, missing], "float32", by_tiffin=True)[1])
            assert convert(["a", missing], "string", by_tiffin=True).tolist() == [b"a", b""]

    def test_nan_is_a_number_but_not_text(self):
        assert np.isnan(convert([1, math.nan], "float32")[1])
        with pytest.raises(InputError, match=r"'x'.*Tiffin.*Received: nan"):
            convert([math.nan], "string")

    @given(st.sampled_from(NUMERIC), st.data())
    def test_a_converted_value_is_equal_or_rounded(self, dtype, data):
        element = st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.integers(-300, 300)
        values = data.draw(st.lists(element, min_size=1, max_size=4))
        try:
            found = convert(values, dtype).tolist()
        except InputError:
            return
        for value, result in zip(values, found, strict=True):
            if isinstance(value, float) and math.isnan(value):
                assert result != result
            elif isinstance(value, float) and (dtype in FLOATS or dtype.startswith("complex")):
                assert result == convert([value], dtype).tolist()[0]
                assert math.isinf(value) or result == pytest.approx(value, rel=2**-7, abs=1e-7)
            else:
                assert result == value


class TestShapes:
    @pytest.mark.parametrize(
        ("values", "shape", "expected"),
        [
            (1, (None,), (1,)),
            ([1, 2], (None,), (2,)),
            ([1, 2], (None, 1), (2, 1)),
            ([1, 2], (None, None), (2, 1)),
            ([1, 2], (None, 1, None), (2, 1, 1)),
            ([[1], [2]], (None,), (2,)),
            ([[1], [2]], (None, 1, 1), (2, 1, 1)),
            ([[[1]], [[2]]], (None,), (2,)),
            ([[1, 2]], (None, 2), (1, 2)),
            ([], (None, 1, 1), (0, 1, 1)),
            ([[]], (None, None), (1, 0)),
            (5, (), ()),
            ([5], (), ()),
            ([[5]], (), ()),
            (5, None, ()),
            ([[5], [6]], None, (2, 1)),
        ],
    )
    def test_shapes(self, values, shape, expected):
        assert convert(values, "int64", shape).shape == expected
        assert convert(values, "float32", shape).shape == expected

    @pytest.mark.parametrize(
        ("values", "shape", "received"),
        [([1, 2], (), "[2]"), ([[1, 2]], (None, 3), "[1, 2]"), ([[1, 2]], (None,), "[1, 2]"), ([1, 2], (1,), "[2]")],
    )
    def test_other_shapes(self, values, shape, received):
        with pytest.raises(InputError) as raised:
            convert(values, "float32", shape)

        assert f"'x' should have the shape {[size or 'any' for size in shape]}".replace("'any'", "any") in str(
            raised.value
        )
        assert f"Received: {received}." in str(raised.value)

    @pytest.mark.parametrize(
        ("values", "names"),
        [
            ([[1], [2, 3]], ["[1]", "row 0", "[2]", "row 1"]),
            ([[1, 2], 3], ["[2]", "row 0", "[]", "row 1"]),
            ([[1], [2], []], ["[1]", "row 0", "[0]", "row 2"]),
            ([[[1], [2]], [[1], [2, 3]]], ["[[1], [2, 3]]", "row 1"]),
            ([[[1], [2, 3]]], ["[[1], [2, 3]]."]),
            ([np.zeros(2), np.zeros(3)], ["[2]", "row 0", "[3]", "row 1"]),
        ],
    )
    @pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "string"])
    def test_ragged_rows(self, values, names, dtype):
        with pytest.raises(InputError, match=r"^Input 'x' ") as raised:
            convert(values, dtype, (None, None))

        assert [name for name in names if name not in str(raised.value)] == []

    @pytest.mark.parametrize(
        ("value", "shape"),
        [
            (1, ()),
            ("ab", ()),
            ([], (0,)),
            ([[1, 2]], (1, 2)),
            ([[1], 2], None),
            ((1, (2,)), None),
            (np.ones((2, 1)), (2, 1)),
        ],
    )
    def test_shape_of(self, value, shape):
        assert shape_of(value) == shape


class TestArrays:
    @pytest.mark.parametrize("dtype", NUMERIC)
    def test_no_rows(self, dtype):
        assert fit(np.zeros((0, 2)), dtype).shape == (0, 2)

    @given(
        st.data(), st.sampled_from([*INTEGERS, *FLOATS[2:], "float16", "complex64", "bool"]), st.sampled_from(NUMERIC)
    )
    def test_a_cast_keeps_every_value(self, data, source, dtype):
        array = data.draw(hnp.arrays(source, 3))
        try:
            found = fit(array, dtype)
        except InputError:
            return
        for value, result in zip(array.tolist(), found.tolist(), strict=True):
            assert result == value or (value != value and result != result)

    @given(st.data(), st.sampled_from(INTEGERS), st.sampled_from([*INTEGERS, *FLOATS]))
    def test_every_exact_integer_is_cast(self, data, source, dtype):
        array = data.draw(hnp.arrays(source, 1))
        value = int(array[0])
        if dtype in INTEGERS:
            fits = np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
        else:
            fits = abs(value) <= numbers.FLOATS[dtype].largest and int(convert([float(value)], dtype)[0]) == value
            assume(dtype != "float64" or abs(value) < 2**53)
        if fits:
            assert fit(array, dtype).tolist() == [value]
        else:
            with pytest.raises(InputError, match="'x'"):
                fit(array, dtype)

    @pytest.mark.parametrize(
        ("array", "dtype"),
        [
            (np.array([0.1]), "float32"),
            (np.array([2**53 + 1]), "float64"),
            (np.array([2**63 - 1]), "float64"),
            (np.array([2**64 - 1], "u8"), "float64"),
            (np.array([-(2**63) + 1]), "float32"),
            (np.array([0.1], "f4"), "float16"),
            (np.array([1.001], "f4"), "bfloat16"),
            (np.array([0.1j]), "complex64"),
        ],
    )
    def test_rounding_is_asked_for(self, array, dtype):
        with pytest.raises(InputError, match=rf"'x'.* {dtype}\b.* {array.dtype}\b.*cast=True"):
            fit(array, dtype)

        assert fit(array, dtype, rounded=True)[0] == pytest.approx(array[0], rel=0.01)

    @pytest.mark.parametrize(
        ("array", "dtype"),
        [
            (np.array([70000.0]), "float16"),
            (np.array([70000]), "float16"),
            (np.array([1e39]), "float32"),
            (np.array([-1]), "uint64"),
            (np.array([2**63], "u8"), "int64"),
            (np.array([2.0**63]), "int64"),
            (np.array([3.5]), "int32"),
            (np.array([np.nan]), "int32"),
            (np.array([2]), "bool"),
            (np.array([1j]), "float64"),
            (np.array([1.0]), "string"),
            (np.array(["a"]), "float32"),
            (np.array([b"1"]), "int64"),
            (np.array(["a", 1.5], object), "float32"),
        ],
    )
    def test_other_losses_are_refused(self, array, dtype):
        for rounded in (False, True):
            with pytest.raises(InputError, match=r"^Input 'x' "):
                fit(array, dtype, rounded=rounded)

    def test_objects_are_converted_like_lists_in_their_shape(self):
        assert fit(np.array([[1, 2.5]], object), "float32").tolist() == [[1.0, 2.5]]
        assert fit(np.array([["a"]], object), "string").tolist() == [["a"]]

    def test_an_array_of_the_type_is_not_copied(self):
        array = np.ones((2, 3), "f4")

        assert fit(array, "float32") is array

    def test_bfloat16_without_a_package(self):
        assert fit(np.array([1.5, 1e-40, -0.0]), "bfloat16", rounded=True)[0] == 1.5
        array = narrow(np.array([1.5, 2.5]))
        assert fit(array, "bfloat16").tolist() == [1.5, 2.5]
        assert fit(array, "float64").tolist() == [1.5, 2.5]
        proto = tensors.to_proto(array)
        assert proto.tensor_content == b"\xc0\x3f\x20\x40"
        assert widen(narrow(tensors.from_proto(proto))).tolist() == [1.5, 2.5]
