"""Values of the prediction log: columns of one request, and their kinds.

A kind is one of `tiffin.serving.prediction_log`, or `null` if all values are missing.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tiffin.recorder.tensors import Tensor, check_size, read_form
from tiffin.serving.prediction_log import is_list, item_of, list_of, widen
from tiffin.serving.recording import as_text

_INT64 = range(-(1 << 63), 1 << 63)
# numpy's types, to the kinds that have their values.
_KINDS = {
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), "int64"),
    **dict.fromkeys(("float16", "bfloat16", "float32"), "float32"),
    **{name: name for name in ("float64", "bool", "string")},
}
_LISTS = {dtype: list_of(kind) for dtype, kind in _KINDS.items()}


class Column(NamedTuple):
    """Values of a column, one for each row of a request, None for missing ones."""

    kind: str
    values: list[Any]


class Texts:
    """Conversion of bytes to text, which counts those that are not UTF-8."""

    def __init__(self) -> None:
        self.replaced = 0

    def decode(self, values: Sequence[bytes]) -> list[str]:
        r"""Return texts; bytes that are not UTF-8 become `\xff`."""
        try:
            return [value.decode() for value in values]
        except UnicodeDecodeError:
            return [self._replace(value) for value in values]

    def _replace(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.replaced += 1
            return value.decode(errors="backslashreplace")


def read_row(protos: Mapping[str, Any], prefix: str, texts: Texts) -> dict[str, Column] | None:
    """Return the columns of the tensors of a single row, as `split_tensors` does in a third of the time.

    Args:
        protos: Tensors of a message of `tensors.METHODS`, by name.
        prefix: Start of the names of columns.
        texts: Converts bytes.

    Returns:
        The columns; None if a tensor has another number of rows, or not one of the usual forms.
    """
    columns = {}
    for name, proto in protos.items():
        dtype, field, shape, size, form = read_form(proto.dtype, proto.tensor_shape)
        if not shape or shape[0] != 1 or size < 1 or not field:
            return None
        values: Any
        if form is not None and (content := proto.tensor_content):
            if len(content) != form.size:
                return None
            values = form.unpack(content)
        else:
            values = getattr(proto, field)
            if len(values) != size:
                return None
            if form is None:
                values = texts.decode(values)
        if size == 1:
            columns[prefix + name] = Column(_KINDS[dtype], [values[0]])
        else:
            columns[prefix + name] = Column(_LISTS[dtype], [list(values)])
    return columns


def split_tensors(tensors: Sequence[Tensor], texts: Texts) -> tuple[int, dict[str, Column]]:
    """Return the number of rows, and the columns.

    - The first dimension that all tensors share is the number of rows; 0 is possible.
    - Without one, the request is one row, with the values of each tensor as a whole.
    - A tensor of rank 0 has the same value in each row.
    - Several values of a row are a flat list in row-major order.

    Raises:
        Unreadable: The tensors have too many values.
    """
    sizes = {tensor.shape[0] for tensor in tensors if tensor.shape}
    rows = sizes.pop() if len(sizes) == 1 else 1
    check_size(len(tensors), rows * len(tensors) + sum(len(tensor.values) for tensor in tensors))
    if rows == 0:
        return 0, {}
    columns = {}
    for name, dtype, shape, flat in tensors:
        kind, values = _KINDS.get(dtype, ""), flat
        if kind == "string":
            values = texts.decode(flat)
        elif not kind or dtype == "uint64":
            kind, values = _convert(kind, flat)
        if len(values) != rows or not shape:
            kind, values = _spread(kind, values, rows, shape)
        columns[name] = Column(kind, values)
    return rows, columns


def _convert(kind: str, values: list[Any]) -> tuple[str, list[Any]]:
    """Return integers above int64 and complex numbers as text."""
    if kind and (not values or max(values) in _INT64):
        return kind, values
    return "string", [str(value).strip("()") for value in values]


def _spread(kind: str, values: list[Any], rows: int, shape: tuple[int, ...]) -> tuple[str, list[Any]]:
    """Return the values of each row of a tensor that does not have one for each."""
    if not shape:
        return kind, values * rows
    width = len(values) // rows
    return list_of(kind), [values[start * width : (start + 1) * width] for start in range(rows)]


def make_column(values: list[Any], floats: str = "float64") -> Column:
    """Return the column of Python values, which may be of different kinds.

    Args:
        values: Numbers, booleans, text, lists of these, or None. A list of one item is a value.
        floats: Kind of floating-point numbers. Defaults to `float64`.
    """
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    kinds = {_kind(value, floats) for value in values}
    kind = functools.reduce(widen, kinds, "null")
    mixed = len(kinds - {"null"}) > 1 or kind in ("string", "list<string>") or _has_integers(values, kind)
    return Column(kind, [fit(value, kind) for value in values] if mixed else values)


def _has_integers(values: list[Any], kind: str) -> bool:
    """Return whether lists of floating-point numbers have integers, some of which such numbers do not have."""
    if not is_list(kind) or item_of(kind) not in ("float32", "float64"):
        return False
    return any(isinstance(item, int) for value in values if isinstance(value, list) for item in value)


def _kind(value: Any, floats: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return list_of(functools.reduce(widen, {_kind(item, floats) for item in value}, "null"))
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if value in _INT64 else "string"
    return floats if isinstance(value, float) else "string"


def fit(value: Any, kind: str) -> Any:
    """Return a value as one of another kind; None if that kind does not have it."""
    if value is None:
        return None
    if is_list(kind):
        item = item_of(kind)
        return [fit(one, item) for one in (value if isinstance(value, list) else [value])]
    return _FITS[kind](value) if kind in _FITS else None


def _as_int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 else None


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


_FITS: Mapping[str, Callable[[Any], Any]] = {
    "int64": _as_int,
    "float32": _as_float,
    "float64": _as_float,
    "bool": lambda value: value if isinstance(value, bool) else None,
    "string": as_text,
}
