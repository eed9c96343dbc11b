"""Read the prediction log: the files of a time window as one table, in batches.

    found = open_log(root, "taxi", start, end)
    for batch in found.batches(["time", "version", "output.fare"]):
        ...
    for finding in found.findings:  # complete after the last batch
        ...

Memory is that of one row group, however long the window. A file in a bucket is downloaded twice, for its columns and for its
rows, and is on local disk only meanwhile.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from tiffin import storage
from tiffin.errors import InputError, StorageError, did_you_mean
from tiffin.serving import prediction_log
from tiffin.serving.prediction_log import COLUMNS, LogFile

_BATCH_ROWS = 16_384
_MOST_THREADS = 4

Code = Literal["UNREADABLE", "FOREIGN", "GONE"]


@dataclass(frozen=True)
class Finding:
    """A file that was left out, as a whole or from some row on.

    Attributes:
        code: `UNREADABLE` (cut short or damaged), `FOREIGN` (not a file of the log) or `GONE` (removed meanwhile).
        uri: Location of the file.
        text: Reason.
    """

    code: Code
    uri: str
    text: str


@dataclass
class Log:
    """The files of a time window.

    Attributes:
        files: Files that can be read.
        columns: Names of all columns, in order, to their kinds.
        rows: Number of rows in the files, which may begin before the window and end after it.
        findings: Files that were left out; reading may add more.
        start: Start of the window.
        end: End of the window, not included.
    """

    files: tuple[LogFile, ...]
    columns: dict[str, str]
    rows: int
    start: datetime
    end: datetime
    findings: list[Finding] = field(default_factory=list)

    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = _BATCH_ROWS) -> Iterator[Any]:
        """Yield the rows of the window as pyarrow's RecordBatches, all with the same schema.

        Args:
            columns: Names of the columns to read. Defaults to all.
            batch_rows: Largest number of rows in a batch. Defaults to 16,384.

        Raises:
            InputError: The log has no such column.
        """
        names = list(self.columns) if columns is None else list(columns)
        for name in names:
            if name not in self.columns:
                raise InputError(
                    f"columns should be columns of the prediction log: {', '.join(self.columns)}. Received: '{name}'."
                    f"{did_you_mean(name, self.columns)}"
                )
        for file in self.files:
            yield from self._read(file, names, batch_rows)

    def _read(self, file: LogFile, names: list[str], batch_rows: int) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with storage.local_copy(file.uri) as path, pq.ParquetFile(path) as opened:
                present = set(opened.schema_arrow.names)
                wanted = [name for name in dict.fromkeys([*names, "time"]) if name in present]
                for batch in opened.iter_batches(batch_rows, columns=wanted, use_threads=False):
                    kept = self._in_window(batch)
                    if kept.num_rows:
                        yield self._unified(kept, names)
        except (pa.ArrowException, OSError) as error:
            self.findings.append(_finding(file, error))

    def _in_window(self, batch: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        times = batch.column(batch.schema.get_field_index("time"))
        start, end = (pa.scalar(time, times.type) for time in (self.start, self.end))
        inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
        # Most batches are: a filter would copy every column.
        return batch if pc.sum(inside).as_py() == len(inside) else batch.filter(inside)

    def _unified(self, batch: Any, names: list[str]) -> Any:
        """Return a batch with exactly these columns, in their kinds of the whole log."""
        import pyarrow as pa

        found = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
        arrays = []
        for name in names:
            kind = self.columns[name]
            if name in found:
                arrays.append(_convert(found[name], kind))
            else:
                arrays.append(pa.nulls(batch.num_rows, prediction_log.arrow_type(kind)))
        return pa.RecordBatch.from_arrays(arrays, names=names)


def open_log(root: str, model: str, start: datetime, end: datetime) -> Log:
    """Return the log of a model in a time window.

    Args:
        root: Root of the log, as `resolve_log_root` returns it.
        model: Name of the model.
        start: Start of the window, with a time zone.
        end: End of the window, not included.

    Raises:
        InputError: A time has no time zone, or the model's name is invalid.
        StorageError: The log cannot be listed.
    """
    return inspect(prediction_log.find_files(root, model, start, end), start, end)


def inspect(files: Iterable[LogFile], start: datetime, end: datetime) -> Log:
    """Return the columns of files, unified, without reading their rows.

    A column that a file lacks is null there. Where files have different kinds, see `prediction_log.widen`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    log = Log((), dict(COLUMNS), 0, start, end)
    readable = []
    for file in files:
        try:
            with storage.local_copy(file.uri) as path, pq.ParquetFile(path) as opened:
                schema, rows = opened.schema_arrow, opened.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            log.findings.append(_finding(file, error))
            continue
        kinds = {entry.name: prediction_log.kind_of(entry.type) for entry in schema}
        strange = [name for name, kind in COLUMNS.items() if kinds.get(name) != kind]
        unknown = [name for name, kind in kinds.items() if kind is None]
        if strange or unknown:
            log.findings.append(Finding("FOREIGN", file.uri, f"not the columns of the log: {(strange + unknown)[0]}"))
            continue
        for name, kind in kinds.items():
            log.columns[name] = prediction_log.widen(log.columns.get(name, "null"), kind)
        readable.append(file)
        log.rows += rows
    log.files = tuple(readable)
    log.columns = {name: log.columns[name] for name in prediction_log.order(log.columns)}
    return log


def count_threads() -> int:
    """Return how many files of the log to read side by side: one for each core, and at most 4.

    pyarrow and NumPy release Python's lock meanwhile. Each file takes the memory of a batch.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _finding(file: LogFile, error: BaseException) -> Finding:
    if not storage.exists(file.uri):
        return Finding("GONE", file.uri, "it was removed meanwhile")
    if isinstance(error, StorageError):
        raise error  # the store failed, not the file
    if not file.uri.endswith(prediction_log.SUFFIX):
        return Finding("FOREIGN", file.uri, f"its name does not end in {prediction_log.SUFFIX}")
    return Finding("UNREADABLE", file.uri, str(error).split("\n")[0])


def _convert(array: Any, kind: str) -> Any:
    """Return an array in a kind that has its values."""
    import pyarrow as pa

    target = prediction_log.arrow_type(kind)
    if array.type.equals(target):
        return array
    if prediction_log.is_list(kind) and not pa.types.is_list(array.type):
        items = array.cast(target.value_type, safe=False)
        # A missing value is a missing list, not a list with a missing item.
        return pa.array([None if item is None else [item] for item in items.to_pylist()], target)
    return array.cast(target, safe=False)
