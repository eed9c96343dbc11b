"""A file of the prediction log while it is written, in memory.

Rows are kept as Python's values until they fill a row group, which is then compressed into the file. A file is at most tens of
megabytes, and only exists in the log once it is complete: a kill loses the open file, and no other.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin.recorder.entries import Call
from tiffin.recorder.messages import Rows
from tiffin.recorder.values import Column, fit
from tiffin.serving import prediction_log
from tiffin.serving.prediction_log import COLUMNS, is_list, item_of, widen

# Most inputs and outputs of a file; others are left out.
MAX_COLUMNS = 2000
# Longer names, in bytes, are left out.
MAX_NAME_BYTES = 512
# Memory of a row group, about.
GROUP_BYTES = 16 << 20
# Memory of a value in a list, and of a row without its values.
_VALUE_BYTES, _ROW_BYTES = 40, 200
# Bodies below this size are counted as they are.
_SMALL_BYTES = 8 << 10


class Content(NamedTuple):
    """A complete file."""

    content: bytes
    rows: int


@dataclass
class _Values:
    """Values of a column; those of the last rows may be missing.

    Attributes:
        kind: Kind of the values of successful requests.
        failed_kind: Kind of the values of failed requests, which may be wrong.
        values: The values.
    """

    kind: str = "null"
    failed_kind: str = "null"
    is_mixed: bool = False
    values: list[Any] = field(default_factory=list)

    def add(self, before: int, column: Column, *, is_ok: bool) -> None:
        if len(self.values) < before:
            self.values.extend([None] * (before - len(self.values)))
        self.values.extend(column.values)
        kind = self.kind if is_ok else self.failed_kind
        if column.kind not in (kind, "null"):
            # Values of different kinds are converted one by one.
            self.is_mixed = self.is_mixed or not self.kind == self.failed_kind == "null"
            if is_ok:
                self.kind = widen(kind, column.kind)
            else:
                self.failed_kind = widen(kind, column.kind)


class OpenFile:
    """A file that takes rows.

    Attributes:
        rows: Number of rows, with those of earlier row groups.
        opened: Time of the first row, of `time.monotonic`.
        memory: Bytes in memory, about.
    """

    def __init__(self, model: str, problems: Counter[str]) -> None:
        self.rows = 0
        self.opened = time.monotonic()
        self._model = model
        self._problems = problems
        self._sink = pa.BufferOutputStream()
        self._writer: Any = None
        self._kinds: dict[str, str] = {}
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._bytes = 0
        self._base: list[tuple[Any, ...]] = []
        self._columns: dict[str, _Values] = {}

    @property
    def size_bytes(self) -> int:
        """Bytes of the row groups that are compressed."""
        return int(self._sink.tell()) if self._writer is not None else 0

    @property
    def memory(self) -> int:
        """Bytes in memory, about."""
        return self.size_bytes + self._bytes

    @property
    def is_full(self) -> bool:
        """Whether the rows fill a row group."""
        return self._bytes >= GROUP_BYTES

    def add(self, call: Call, key: str | None, rows: Rows) -> None:
        """Add the rows of a call."""
        version = rows.version if rows.version is not None else call.version
        fixed = (call.micros, version, call.route, call.protocol, call.method, rows.signature or None, call.code)
        count = max(rows.length, 1)
        self._base.append((count, call.request_id, rows.length, *fixed, call.latency_seconds, key))
        is_ok = call.code == "OK"
        for name, column in rows.columns.items():
            values = self._columns.get(name)
            if values is None:
                values = self._new_column(name)
            if values is not None:
                values.add(self._count, column, is_ok=is_ok)
        self._count += count
        self.rows += count
        self._bytes += count * (_ROW_BYTES + _VALUE_BYTES * len(rows.columns)) + _body_memory(call, rows)

    def _new_column(self, name: str) -> _Values | None:
        if len(self._columns) >= MAX_COLUMNS or len(name.encode()) > MAX_NAME_BYTES:
            self._problems["columns"] += 1
            return None
        return self._columns.setdefault(name, _Values())

    def flush(self) -> list[Content]:
        """Compress the rows into a row group.

        Returns:
            The file before these rows, if they do not fit its columns: it is complete, and a new one begins. Otherwise none.
        """
        if not self._count:
            return []
        kinds = {name: kind for name, values in self._columns.items() if item_of(kind := _kind_of(values)) != "null"}
        done = []
        if self._writer is not None and not _have(self._kinds, kinds):
            done.append(self._finish(self.rows - self._count))
        if self._writer is None:
            self._kinds = kinds
            self._writer = pq.ParquetWriter(self._sink, _schema(kinds), compression="zstd", compression_level=1)
        self._writer.write_table(self._table())
        self._clear()
        return done

    def _table(self) -> Any:
        arrays = _base_arrays(self._model, self._base)
        for name in prediction_log.order(self._kinds):
            arrays[name] = self._array(self._columns.get(name), self._kinds[name])
        schema = _schema(self._kinds)
        return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)

    def _array(self, values: _Values | None, kind: str) -> Any:
        arrow = prediction_log.arrow_type(kind)
        if values is None:
            return pa.nulls(self._count, arrow)
        found = values.values
        found.extend([None] * (self._count - len(found)))
        if values.is_mixed or _kind_of(values) != kind:
            fitted = [fit(value, kind) for value in found]
            lost = sum(one is None and value is not None for one, value in zip(fitted, found, strict=True))
            if lost:
                self._problems["kind"] += lost
            found = fitted
        return pa.array(found, arrow)

    def close(self) -> list[Content]:
        """Return the complete file: two, if the last rows do not fit the columns of those before."""
        done = self.flush()
        return [*done, self._finish(self.rows)] if self._writer is not None else done

    def _finish(self, rows: int) -> Content:
        self._writer.close()
        content = self._sink.getvalue().to_pybytes()
        self._sink, self._writer, self._kinds = pa.BufferOutputStream(), None, {}
        self.rows -= rows
        self.opened = time.monotonic()
        return Content(content, rows)


def _body_memory(call: Call, rows: Rows) -> int:
    """Return the memory of texts and of the values in lists, about."""
    size = len(call.request or "") + len(call.response or "")
    if size < _SMALL_BYTES:
        return size
    lists = (value for column in rows.columns.values() if is_list(column.kind) for value in column.values if value)
    return size + _VALUE_BYTES * sum(map(len, lists))


def _kind_of(values: _Values) -> str:
    # The kind of a failed request does not change that of the column: a client may send text for a number.
    return values.kind if values.kind != "null" else values.failed_kind


def _have(kinds: dict[str, str], others: dict[str, str]) -> bool:
    """Return whether columns of some kinds have the values of others."""
    return all(name in kinds and widen(kinds[name], kind) == kinds[name] for name, kind in others.items())


def _schema(kinds: dict[str, str]) -> Any:
    both = {**kinds, **COLUMNS}
    return pa.schema([(name, prediction_log.arrow_type(both[name])) for name in prediction_log.order(both)])


def _base_arrays(model: str, base: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Return the columns that every file has; a call of several rows has several of them."""
    counts, ids, rows, *others = zip(*base, strict=True)
    names = ("time", "version", "route", "protocol", "method", "signature", "code", "latency_seconds", "key")
    found = {
        "request_id": pa.array(ids, pa.string()),
        "rows": pa.array(rows, pa.int32()),
        **{name: pa.array(values, _base_type(name)) for name, values in zip(names, others, strict=True)},
    }
    total = sum(counts)
    if total > len(base):
        indices = pa.array([index for index, count in enumerate(counts) for _ in range(count)], pa.int32())
        found = {name: values.take(indices) for name, values in found.items()}
    found["row"] = pa.array([row for count in counts for row in range(count)], pa.int32())
    found["model"] = pa.repeat(pa.scalar(model), total)
    return {name: values.cast(_base_type(name)) for name, values in found.items()}


def _base_type(name: str) -> Any:
    return prediction_log.arrow_type(COLUMNS[name])
