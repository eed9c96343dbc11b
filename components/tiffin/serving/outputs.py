"""The outputs of a prediction as JSON-compatible values of each row, which can be read as inputs again."""

import base64
import math
from collections.abc import Mapping
from typing import Any

from tiffin.errors import ServingError
from tiffin.serving.bfloat16 import is_bfloat16, widen
from tiffin.serving.tensors import Array

# Output of a model trained by Tiffin: the number of a row's dates that it could not read.
UNREADABLE_DATES = "unreadable_dates"


def split_rows(outputs: Mapping[str, Array], count: int) -> list[dict[str, Any]]:
    """Convert outputs to JSON-compatible values of each row.

    Args:
        outputs: Arrays whose first dimension is the batch; of a single row, also arrays of rank 0.
        count: Number of rows in the request.

    Raises:
        ServingError: An output does not have one value per row.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, given in outputs.items():
        array = given.reshape(1) if given.ndim == 0 and count == 1 else given
        if array.ndim == 0 or len(array) != count:
            raise ServingError(
                f"Output '{name}' should have one value per row. Received: shape {list(array.shape)} for {count} rows. "
                "Choose another signature, or use --batch-size 1.",
                "INVALID_ARGUMENT",
            )
        if is_bfloat16(array):
            array = widen(array)
        if array.dtype.name in ("float16", "float32"):
            # Conversion by way of text keeps 0.3 instead of the nearest double, 0.30000001192092896.
            array = array.astype("U32").astype("float64")
        single = array.size == count
        for row, value in zip(rows, (array.reshape(count) if single else array).tolist(), strict=True):
            row[name] = plain(value)
    return rows


def plain(value: Any) -> Any:
    """Convert a value to a JSON-compatible one.

    Bytes become text, or `{"b64": ...}` if they are not UTF-8. Complex numbers become text, such as `1+2j`. NaN and
    infinities become None.
    """
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, complex):
        return str(value).strip("()")
    return value if isinstance(value, str | int | float | bool | None) else str(value)
