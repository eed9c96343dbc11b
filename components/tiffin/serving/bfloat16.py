"""The type bfloat16 for numpy, which has no such type: the upper half of a float32.

Arrays of bfloat16 have the structured type `BFLOAT16`, as TensorFlow does for its quantized types, or the type of the
package ml_dtypes, which is not required.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
LARGEST = 2.0**127 * (2 - 2.0**-7)
_NAN_BITS = 0x7FC0


def is_bfloat16(array: npt.NDArray[Any]) -> bool:
    """Return whether an array has one of the types for bfloat16."""
    return array.dtype == BFLOAT16 or array.dtype.name == "bfloat16"


def narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert floats to an array of type BFLOAT16, rounding half to even; larger numbers become infinite."""
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(array, "float32").view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
    found = np.where(np.isnan(array), np.uint32(_NAN_BITS), rounded).astype(np.uint16)
    return found.view(BFLOAT16).reshape(np.shape(array))


def widen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert an array of bfloat16 to float32, which is lossless."""
    bits = np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(np.shape(array))
