"""Which numbers TensorFlow's types hold, and casts between them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tiffin.serving import bfloat16
from tiffin.serving.tensors import Array


class Precision(NamedTuple):
    """The range and precision of a floating-point type.

    Attributes:
        digits: Bits of the significand: all integers up to 2**digits are exact.
        largest: Largest finite number.
    """

    digits: int
    largest: float


FLOATS = {
    "float16": Precision(11, 65504.0),
    "bfloat16": Precision(8, bfloat16.LARGEST),
    "float32": Precision(24, 2.0**127 * (2 - 2.0**-23)),
    "float64": Precision(53, 2.0**1023 * (2 - 2.0**-52)),
}
_COMPLEX = {"complex64": "float32", "complex128": "float64"}
_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def is_known(dtype: str) -> bool:
    """Return whether a type is one of numbers or booleans that can be sent."""
    return dtype == "bool" or dtype in FLOATS or dtype in _COMPLEX or dtype in _INTEGERS


def precision(dtype: str) -> Precision | None:
    """Return the precision of a floating-point type, or of the parts of a complex one; None for other types."""
    return FLOATS.get(_COMPLEX.get(dtype, dtype))


def limits(dtype: str) -> tuple[Any, Any]:
    """Return the least and the largest finite number of a type."""
    if dtype in _INTEGERS:
        found = np.iinfo(dtype)
        return found.min, found.max
    largest = FLOATS[_COMPLEX.get(dtype, dtype)].largest
    return -largest, largest


def find_outside(array: Array, dtype: str) -> Array:
    """Return where a type does not hold a number: out of range, a fraction in an integer, or neither 0 nor 1 in a boolean.

    Infinities and NaN are numbers of every floating-point type.

    Args:
        array: Numbers, as a numeric array or as objects.
        dtype: The type.
    """
    kind = array.dtype.kind
    if kind == "O":
        return _each(array, lambda value: _is_outside(value, dtype))
    if kind == "b" or (kind == "c" and dtype not in _COMPLEX):
        return np.full(array.shape, kind == "c")
    if kind == "c":
        return _mask(find_outside(array.real, dtype) | find_outside(array.imag, dtype))
    if dtype == "bool":
        return _mask((array != 0) & (array != 1))
    if dtype in _INTEGERS:
        return _outside_integers(array, dtype)
    with np.errstate(over="ignore"):
        return _mask(np.isfinite(array) & ~np.isfinite(_cast_floats(array, _COMPLEX.get(dtype, dtype))))


def _outside_integers(array: Array, dtype: str) -> Array:
    least, largest = limits(dtype)
    if array.dtype.kind in "iu":
        own = np.iinfo(array.dtype)
        return _mask((array < max(least, own.min)) | (array > min(largest, own.max)))
    wide = array.astype(np.result_type(array.dtype, "float64"))
    with np.errstate(invalid="ignore"):
        # Both bounds are powers of 2, or 0, and exact as floats.
        return _mask(~((wide >= float(least)) & (wide < float(largest + 1))) | (np.trunc(wide) != wide))


def find_inexact(array: Array, dtype: str) -> Array:
    """Return where a type only holds a rounded number; NaN is exact.

    Args:
        array: Numbers that the type does not hold otherwise, see `find_outside`.
        dtype: The type.
    """
    own = precision(dtype)
    if array.dtype.kind == "b" or own is None:
        return np.zeros(array.shape, bool)
    if array.dtype.kind == "O":
        return _each(array, lambda value: isinstance(value, int) and value != 0 and _bits(value) > own.digits)
    target = _COMPLEX.get(dtype, dtype)
    if array.dtype.kind == "c":
        return find_inexact(array.real, target) | find_inexact(array.imag, target)
    if array.dtype.kind in "iu":
        magnitude = np.where(array < 0, ~array, array).astype(np.uint64) + (array < 0).astype(np.uint64)
        lowest_bit = magnitude & (~magnitude + np.uint64(1))
        odd = magnitude // np.maximum(lowest_bit, np.uint64(1))
        return _mask(odd >= np.uint64(1 << own.digits))
    with np.errstate(over="ignore"):
        return _mask((_cast_floats(array, target) != array) & ~np.isnan(array))


def convert(array: Array, dtype: str) -> Array:
    """Cast an array to a type, rounding to nearest; `find_outside` finds nothing in it."""
    if array.dtype.kind == "O" and dtype not in _INTEGERS:
        array = array.astype("complex128" if dtype in _COMPLEX else "float64")
    if dtype == "bfloat16":
        return bfloat16.narrow(array)
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _cast_floats(array: Array, dtype: str) -> Array:
    return bfloat16.widen(bfloat16.narrow(array)) if dtype == "bfloat16" else array.astype(dtype)


def _mask(found: Any) -> Array:
    return np.asarray(found, bool)


def _each(array: Array, test: Callable[[Any], bool]) -> Array:
    return np.array([test(value) for value in array.flat], bool).reshape(array.shape)


def _is_outside(value: Any, dtype: str) -> bool:
    """Return whether a type does not hold one of Python's numbers."""
    if dtype == "bool":
        return value not in (0, 1)
    if isinstance(value, complex) and dtype not in _COMPLEX:
        return True
    if isinstance(value, int) and dtype in _INTEGERS:
        least, largest = limits(dtype)
        return not least <= value <= largest
    try:
        return bool(find_outside(np.asarray(float(value) if isinstance(value, int) else value), dtype))
    except OverflowError:
        return True


def _bits(value: int) -> int:
    """Return the number of significant bits of an integer, without trailing zeros."""
    magnitude = abs(value)
    return (magnitude // (magnitude & -magnitude)).bit_length()
