"""Outputs as JSON, and read as inputs again."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tiffin.errors import ServingError
from tiffin.serving.bfloat16 import is_bfloat16, narrow, widen
from tiffin.serving.outputs import plain, split_rows
from tiffin.serving.rows import select_inputs
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.values import cast_column

INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES = [*INTEGERS, "bool", "string", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


@st.composite
def outputs(draw):
    """Draw a type and an array of one to three rows; floats are finite, because others are printed as null."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = (draw(st.integers(1, 3)), *draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)))
    if dtype == "string":
        return dtype, draw(
            hnp.arrays(object, shape, elements=st.binary(max_size=4) | st.text(max_size=4).map(str.encode))
        )
    if dtype == "bfloat16":
        bits = draw(hnp.arrays(np.uint16, shape, elements=st.integers(0, 0x7F7F) | st.integers(0x8000, 0xFF7F)))
        return dtype, (bits.astype(np.uint32) << 16).view(np.float32)
    if dtype.startswith(("float", "complex")):
        width = {"float16": 16, "float32": 32, "complex64": 64}.get(dtype, 128 if dtype.startswith("complex") else 64)
        made = st.complex_numbers if dtype.startswith("complex") else st.floats
        return dtype, draw(hnp.arrays(dtype, shape, elements=made(allow_nan=False, allow_infinity=False, width=width)))
    return dtype, draw(hnp.arrays(dtype, shape))


@given(outputs(), st.booleans())
def test_every_printed_output_is_an_input(drawn, is_known):
    dtype, array = drawn
    given_array = narrow(array) if dtype == "bfloat16" else array
    rows = [json.loads(json.dumps(row)) for row in split_rows({"y": given_array}, len(array))]
    shape = array.shape if is_known else (None,) * array.ndim
    spec = TensorSpec(dtype, shape)
    values = [select_inputs(row, Signature({"y": spec}, {}))["y"] for row in rows]
    read = cast_column("y", values, spec)

    # An empty list does not tell the dimensions below it, which the signature may.
    assert read.shape == array.shape or (not array.size and not is_known)
    read = widen(read) if is_bfloat16(read) else read
    assert (read.dtype, read.tolist()) == (array.dtype, array.tolist()) or not array.size


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

    def test_rank_0_of_a_single_row(self):
        assert split_rows({"y": np.array(1.5), "z": np.array(b"a", object)}, 1) == [{"y": 1.5, "z": "a"}]

    def test_bfloat16(self):
        assert split_rows({"y": narrow(np.array([1.5, 0.1]))}, 2) == [{"y": 1.5}, {"y": 0.100097656}]

    @pytest.mark.parametrize("array", [np.array(1.0), np.ones(3)])
    def test_an_output_without_a_value_per_row(self, array):
        with pytest.raises(ServingError, match=rf"'y'.*Received: shape \[{'3' * array.ndim}\] .* 2 "):
            split_rows({"y": array}, 2)

    def test_other_values(self):
        assert plain([True, 1 + 2j, np.datetime64("2020-01-01")]) == [True, "1+2j", "2020-01-01"]
