"""Read one file of the prediction log as Python's values, with pyarrow or, in the SDK that has none, with DuckDB."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.errors import InputError
from tiffin.recipe.sql import escaped, quoted_name
from tiffin.serving import prediction_log

_BATCH_ROWS = 8192

# Column to the values of some rows.
Batch = dict[str, list[Any]]


@dataclass(frozen=True)
class OpenFile:
    """An open file.

    Attributes:
        columns: Names of its columns.
        read: Yields the rows of columns, in batches. A time is the number of microseconds since 1970.
    """

    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Iterator[Batch]]


@contextlib.contextmanager
def open_file(uri: str, since_micros: int = 0) -> Iterator[OpenFile]:
    """Open a file of the log.

    Args:
        uri: Its location.
        since_micros: Parts of the file that only have earlier rows are not read; in microseconds since 1970. Defaults to 0.

    Raises:
        InputError: The file is gone, damaged, or none of the log; also while it is read.
        StorageError: The log cannot be read.
    """
    if not storage.exists(uri):
        raise InputError(f"'{uri}' was removed from the prediction log.")
    with storage.local_copy(uri) as path, _open(path, uri, since_micros) as opened:
        if missing := [name for name in prediction_log.COLUMNS if name not in opened.columns]:
            raise InputError(
                f"'{uri}' should have the columns of the prediction log. Received: none named '{missing[0]}'."
            )
        yield opened


def _open(path: Path, uri: str, since_micros: int) -> contextlib.AbstractContextManager[OpenFile]:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        return _with_duckdb(path, uri, since_micros)
    return _with_pyarrow(path, uri, since_micros)


@contextlib.contextmanager
def _with_pyarrow(path: Path, uri: str, since_micros: int) -> Iterator[OpenFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:

            def read(names: Sequence[str]) -> Iterator[Batch]:
                groups = [
                    group
                    for group in range(file.num_row_groups)
                    if _last_micros(file.metadata.row_group(group)) >= since_micros
                ]
                for batch in file.iter_batches(_BATCH_ROWS, groups, list(names), use_threads=False):
                    yield {
                        name: (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
                        for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    }

            yield OpenFile(tuple(file.schema_arrow.names), read)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(uri, error) from None


def _last_micros(group: Any) -> float:
    """Return the time of the last row of a row group; infinity if its statistics do not have it."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "time" and column.statistics is not None and column.statistics.has_min_max:
            return float(column.statistics.max.timestamp() * 1e6)
    return math.inf


@contextlib.contextmanager
def _with_duckdb(path: Path, uri: str, since_micros: int) -> Iterator[OpenFile]:
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        # DuckDB expands these characters of a path.
        name = re.sub(r"([\[*?])", r"[\1]", escaped(path))
        relation = f"read_parquet('{name}', hive_partitioning = false)"

        def read(names: Sequence[str]) -> Iterator[Batch]:
            selected = ", ".join("epoch_us(time)" if name == "time" else quoted_name(name) for name in names)
            # DuckDB skips row groups by their statistics.
            query = f"SELECT {selected} FROM {relation} WHERE time >= to_timestamp(?)"  # noqa: S608 - quoted names
            found = connection.execute(query, [since_micros // 1_000_000])
            while rows := found.fetchmany(_BATCH_ROWS):
                yield dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608
            yield OpenFile(tuple(row[0] for row in described), read)
        except duckdb.Error as error:
            raise _damaged(uri, error) from None


def _damaged(uri: str, error: Exception) -> InputError:
    return InputError(f"'{uri}' cannot be read: {str(error).splitlines()[0]}")
