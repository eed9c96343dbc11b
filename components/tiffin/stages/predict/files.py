"""The files of a batch: each is written under another name, renamed when it is complete, and then has an entry."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.predictions import PredictionFile, store, unit_location
from tiffin.artifacts.shards import read_groups
from tiffin.errors import InputError
from tiffin.serving.outputs import UNREADABLE_DATES
from tiffin.stages.predict.columns import Table, kept_array, output_array
from tiffin.stages.predict.inputs import Inputs
from tiffin.stages.predict.log import Log
from tiffin.stages.predict.runners import Arrays, Runner
from tiffin.stages.predict.units import OpenShard, Unit

# Start of the names of folders with files that are not complete.
WRITING = ".writing-"
# Rows of a row group of a file, about.
_GROUP_ROWS = 1 << 17


@dataclass(frozen=True)
class Batch:
    """What the files of a batch are made with.

    Attributes:
        home: Folder of the files: a path or a URI.
        request: Digest of all that the files depend on.
        model: Name of the model.
        runner: What predicts.
        inputs: How rows become inputs.
        table: Columns of the files.
        key: Name of the key in the examples; empty without one.
        log: How rows are logged; None if they are not.
        executor: Runs the calls of the runner.
    """

    home: str
    request: str
    model: str
    runner: Runner
    inputs: Inputs
    table: Table
    key: str
    log: Log | None
    executor: Executor


@dataclass(frozen=True)
class _Predicted:
    """Rows of the examples, their inputs and outputs, and the version that predicted."""

    rows: pa.RecordBatch
    start: int
    inputs: Arrays
    outputs: Arrays
    version: int


@dataclass(frozen=True)
class Entry:
    """The entry of a complete file: what it was made from, and the file."""

    request: str
    shard: str
    file: PredictionFile


def find_complete(batch: Batch, unit: Unit, shard: str) -> PredictionFile | None:
    """Return the entry of a file that is complete: made from the same shard, and unchanged since; None without one.

    Args:
        batch: The batch.
        unit: Unit of the file.
        shard: Digest of the unit's shard.
    """
    uri = unit_location(batch.home, unit.name)
    found = storage.read(uri)
    if found is None:
        return None
    try:
        entry = documents.parse(found[0], Entry, uri)
    except InputError:
        # Of another version of Tiffin.
        return None
    if (entry.request, entry.shard) != (batch.request, shard):
        return None
    file = storage.join(batch.home, unit.name)
    if "://" in file:
        # Objects are written as a whole, and before their entry.
        return entry.file if storage.exists(file) else None
    return entry.file if os.path.isfile(file) and storage.digest(file) == entry.file.digest else None


def write_file(batch: Batch, unit: Unit, shard: OpenShard) -> PredictionFile:
    """Predict the rows of a unit, write the file, the rows of the log and then the entry, and return the file's document.

    Raises:
        InputError: A value is not one that the model takes.
        StorageError: A shard cannot be read, or a file not be written.
        ServingError: The server does not respond.
    """
    versions: Counter[str] = Counter()
    unreadable = replaced = logged = 0
    with _scratch(batch.home) as folder, contextlib.ExitStack() as stack:
        path = folder / unit.name
        schema = batch.table.schema.with_metadata({"tiffin.request": batch.request, "tiffin.shard": shard.digest})
        # A full disk has no file name in Arrow's error.
        stack.enter_context(storage.files.explained("write", storage.join(batch.home, unit.name)))
        writing = contextlib.ExitStack()
        with writing:
            file = writing.enter_context(pq.ParquetWriter(path, schema, compression="zstd", compression_level=1))
            logging = None
            if batch.log:
                logging = writing.enter_context(
                    pq.ParquetWriter(folder / "log", batch.log.schema, compression="zstd", compression_level=1)
                )
            waiting: list[pa.Table] = []
            for found in _predict(batch, unit, shard):
                table, texts, outputs = _make_table(batch, unit, found)
                versions[str(found.version)] += len(table)
                replaced += texts
                if UNREADABLE_DATES in found.outputs:
                    unreadable += int(np.count_nonzero(found.outputs[UNREADABLE_DATES]))
                waiting.append(table)
                if sum(map(len, waiting)) >= _GROUP_ROWS:
                    file.write_table(pa.concat_tables(waiting).combine_chunks())
                    waiting = []
                if logging is not None and batch.log:
                    rows = _make_log(batch, batch.log, unit, found, outputs)
                    logging.write_table(rows)
                    logged += len(rows)
            if waiting:
                file.write_table(pa.concat_tables(waiting).combine_chunks())
        entry = PredictionFile(
            unit.name, unit.shard.split, unit.rows, storage.digest(path), dict(sorted(versions.items())), unreadable, replaced,
            logged, batch.log.unsecured if batch.log else (),
        )  # fmt: skip
        if batch.log and logged:
            _publish(folder / "log", batch.log.locate(unit.name))
        _publish(path, storage.join(batch.home, unit.name))
    content = documents.format_document(Entry(batch.request, shard.digest, entry))
    store(unit_location(batch.home, unit.name), content)
    return entry


@contextlib.contextmanager
def _scratch(home: str) -> Iterator[Path]:
    """Yield a temporary folder: on local disk beside the files, so that these can be renamed."""
    beside = None if "://" in home else home
    with tempfile.TemporaryDirectory(dir=beside, prefix=WRITING) as folder:
        yield Path(folder)


def _publish(path: Path, location: str) -> None:
    if "://" in location:
        store(location, path.read_bytes())
        return
    target = Path(location)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The log may be on another disk. An attempt that is killed leaves a hidden file, which the next one replaces.
        hidden = target.with_name(f".{target.name}.writing")
        shutil.copyfile(path, hidden)
        hidden.replace(target)


def _predict(batch: Batch, unit: Unit, shard: OpenShard) -> Iterator[_Predicted]:
    """Yield the rows of a unit in order, with a few batches in memory."""
    runner = batch.runner
    copied = [column.name for column in batch.table.kept.values()]
    columns = list(dict.fromkeys([*batch.inputs.columns, *copied, *([batch.key] if batch.key else [])]))

    def work(rows: pa.RecordBatch, start: int) -> _Predicted:
        inputs = batch.inputs.convert(rows)
        outputs, version = runner.run(inputs)
        return _Predicted(rows, start, inputs, outputs, version)

    pending: deque[Future[_Predicted]] = deque()
    start = unit.start
    try:
        for rows in read_groups(shard.file, unit.groups, columns, runner.rows, unit.shard.uri):
            pending.append(batch.executor.submit(work, rows, start))
            start += len(rows)
            while len(pending) > runner.calls:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


def _make_table(batch: Batch, unit: Unit, found: _Predicted) -> tuple[pa.Table, int, dict[str, pa.Array]]:
    """Return rows of the file, the number of texts that were replaced, and the outputs by name."""
    count, schema = len(found.rows), batch.table.schema
    arrays = {
        "split": pa.repeat(pa.scalar(unit.shard.split), count),
        "shard": pa.array(np.full(count, unit.shard.number, np.int32)),
        "row": pa.array(_numbers(found)),
        "model": pa.repeat(pa.scalar(batch.model), count),
        "model_version": pa.array(np.full(count, found.version, np.int64)),
    }
    for name, column in batch.table.kept.items():
        arrays[name] = kept_array(column, _column(found.rows, column.name))
    replaced, outputs = 0, {}
    for name, output in batch.table.outputs.items():
        arrays[name], bad = output_array(output, found.outputs[output], schema.field(name).type, count)
        outputs[output] = arrays[name]
        replaced += bad
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema), replaced, outputs


def _make_log(batch: Batch, log: Log, unit: Unit, found: _Predicted, outputs: dict[str, pa.Array]) -> pa.Table:
    keys = None
    if batch.key:
        values = _column(found.rows, batch.key)
        keys = (pc.cast(values, pa.string()) if pa.types.is_integer(values.type) else values).to_pylist()
    place = (unit.shard.split, unit.shard.number, _numbers(found))
    return log.make_rows(place, keys, found.inputs, outputs, found.version)


def _numbers(found: _Predicted) -> np.ndarray:
    return np.arange(found.start, found.start + len(found.rows), dtype=np.int64)


def _column(rows: pa.RecordBatch, name: str) -> pa.Array:
    return rows.column(rows.schema.get_field_index(name))
