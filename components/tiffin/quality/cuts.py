"""Cut a column into groups of rows: numbers at quantiles, dates by a unit, frequent texts by value."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.columns import Column
from tiffin.artifacts.numbers import format_number
from tiffin.artifacts.shards import read_batches

_ROWS = 65_536
# Numbers that the quantiles come from; of more rows, every second, third and so on.
_SAMPLE = 1 << 20
# A column with more distinct texts is not cut: it names rows, and does not group them.
MOST_TEXTS = 1 << 20
# Groups of a column: values of a text, or of a number with few distinct values; quantiles of other numbers; units of dates.
MOST_VALUES = 20
_FEW_NUMBERS = 10
_QUANTILES = 4
_MOST_UNITS = 12
MISSING, OTHER = "missing", "other values"

# Units of dates, finest first, as NumPy names them, and the format of their names. Weeks and quarters are left out: NumPy
# starts weeks on Thursdays.
_UNITS = ("h", "D", "M", "Y")


@dataclass(frozen=True)
class Cut:
    """The groups of a column.

    Attributes:
        column: Name in the examples.
        names: What the rows of each group have in common, such as `city = Oslo`.
        codes: Function from the values of a batch to the index of the group of each, `[rows]`, -1 for none.
    """

    column: str
    names: tuple[str, ...]
    codes: Callable[[pa.Array], np.ndarray]


@dataclass
class _Seen:
    """What is known of a column after one pass."""

    column: Column
    texts: Counter[str] = field(default_factory=Counter)
    numbers: list[np.ndarray] = field(default_factory=list)
    low: float = math.inf
    high: float = -math.inf
    many: bool = False


def cut_columns(
    examples: str | Path, split: str, columns: Sequence[Column], rows: int, shown: Mapping[str, str]
) -> dict[str, Cut]:
    """Return the groups of columns, in one pass over them; a column with too many texts has none.

    Args:
        examples: Folder of the examples artifact.
        split: Name of the split.
        columns: Columns to cut.
        rows: Number of rows of the split.
        shown: Name in the examples to the name to show.
    """
    if not columns:
        return {}
    batches = read_batches(examples, split, [column.name for column in columns], _ROWS)
    return cut_batches((batch for _, batch in batches), columns, rows, shown)


def cut_batches(
    batches: Iterable[pa.RecordBatch], columns: Sequence[Column], rows: int, shown: Mapping[str, str]
) -> dict[str, Cut]:
    """Return the groups of columns of batches; see `cut_columns`."""
    seen = {column.name: _Seen(column) for column in columns}
    step, start = max(1, math.ceil(rows / _SAMPLE)), 0
    for batch in batches:
        for name, found in seen.items():
            _look(found, batch.column(batch.schema.get_field_index(name)), start, step)
        start += batch.num_rows
    return {name: _cut(found, shown.get(name, name)) for name, found in seen.items() if not found.many}


def _look(seen: _Seen, values: pa.Array, start: int, step: int) -> None:
    if seen.column.type == "STRING":
        if seen.many:
            return
        for found in pc.value_counts(values.drop_null()).to_pylist():
            seen.texts[found["values"]] += found["counts"]
        seen.many = len(seen.texts) > MOST_TEXTS
        if seen.many:
            seen.texts.clear()
        return
    numbers = _numbers(values)
    finite = numbers[np.isfinite(numbers)]
    if len(finite):
        seen.low, seen.high = min(seen.low, finite.min()), max(seen.high, finite.max())
    # By the position in the split, so that batches do not matter.
    sample = numbers[(-start) % step :: step]
    seen.numbers.append(sample[np.isfinite(sample)])


def _numbers(values: pa.Array) -> np.ndarray:
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _cut(seen: _Seen, name: str) -> Cut:
    column = seen.column
    if column.type == "STRING":
        # Ties by the text, so that the order of the rows does not matter.
        frequent = sorted(seen.texts.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
        return cut_by_values(column.name, name, [text for text, _ in frequent], lambda values: values)
    numbers = np.concatenate(seen.numbers) if seen.numbers else np.empty(0)
    distinct = np.unique(numbers)
    if column.logical == "boolean":
        return cut_by_values(column.name, name, [0.0, 1.0], floats, ("false", "true"))
    if column.logical in ("date", "timestamp") and len(distinct) and (cut := _by_date(seen, name)):
        return cut
    if len(distinct) <= _FEW_NUMBERS:
        return cut_by_values(column.name, name, distinct.tolist(), floats)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _QUANTILES + 1)[1:-1], method="inverted_cdf"))
    return cut_at_edges(column, name, edges)


def floats(values: pa.Array) -> pa.Array:
    """Return numbers as float64."""
    return pc.cast(values, pa.float64(), safe=False)


def cut_by_values(
    column: str, name: str, values: Sequence[object], read: Callable[[pa.Array], pa.Array], texts: Sequence[str] = ()
) -> Cut:
    """Return the groups of single values, of all others, and of missing ones.

    Args:
        column: Name of the column.
        name: Name to show.
        values: Texts or numbers.
        read: Function from a column to values of this type.
        texts: Names of the values. Defaults to the values.
    """
    known = pa.array(values, pa.float64() if values and not isinstance(values[0], str) else pa.string())
    names = [f"{name} = {text}" for text in texts or map(_text, values)]

    def codes(batch: pa.Array) -> np.ndarray:
        found = pc.index_in(read(batch), value_set=known) if len(known) else pa.nulls(len(batch), pa.int32())
        chosen = np.asarray(pc.fill_null(found, len(known)), np.int32)
        empty = np.asarray(pc.is_null(batch, nan_is_null=True))
        return np.where(empty, np.int32(len(known) + 1), chosen)

    return Cut(column, (*names, f"{name} = {OTHER}", f"{name} = {MISSING}"), codes)


def cut_at_edges(column: Column, name: str, edges: np.ndarray) -> Cut:
    """Return the groups of numbers up to each edge, above the last one, and of missing ones; edges ascend."""
    texts = [_date(edge, column.logical) if column.logical else _text(edge) for edge in edges.tolist()]
    names = [f"{name} <= {texts[0]}"]
    names += [f"{low} < {name} <= {high}" for low, high in itertools.pairwise(texts)]
    names += [f"{name} > {texts[-1]}", f"{name} = {MISSING}"]

    def codes(batch: pa.Array) -> np.ndarray:
        numbers = _numbers(batch)
        found = np.searchsorted(edges, numbers, side="left").astype(np.int32)
        return np.where(np.isnan(numbers), np.int32(len(edges) + 1), found)

    return Cut(column.name, tuple(names), codes)


def _by_date(seen: _Seen, name: str) -> Cut | None:
    """Cut dates by the finest unit with few groups; None if they are more than that many years apart."""
    for unit in _UNITS[1:] if seen.column.logical == "date" else _UNITS:
        first, last = (int(_units(np.array([value]), unit)[0]) for value in (seen.low, seen.high))
        if last - first < _MOST_UNITS:
            break
    else:
        return None
    starts = np.arange(first, last + 1).astype(f"datetime64[{unit}]")
    texts = [str(start).replace("T", " ") + (":00" if unit == "h" else "") for start in starts]

    def codes(batch: pa.Array) -> np.ndarray:
        numbers = _numbers(batch)
        missing = np.isnan(numbers)
        found = _units(np.where(missing, seen.low, numbers), unit) - first
        return np.where(missing, len(starts), found).astype(np.int32)

    return Cut(seen.column.name, (*(f"{name} = {text}" for text in texts), f"{name} = {MISSING}"), codes)


def _units(seconds: np.ndarray, unit: str) -> np.ndarray:
    whole: np.ndarray = seconds.astype(np.int64).astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64)
    return whole


def _date(seconds: float, logical: str | None) -> str:
    text = str(np.datetime64(int(seconds), "s")).replace("T", " ")
    return text.partition(" ")[0] if logical == "date" else text


def _text(value: object) -> str:
    return format_number(value) if isinstance(value, float) else str(value)
