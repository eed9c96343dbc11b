"""Read CSV or Parquet into the examples artifact: typed columns, splits, and a version digested from the content."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb

from tiffin import storage
from tiffin.artifacts.examples import Manifest, Rejected, Source, set_aside, write_examples
from tiffin.errors import DataError, InputError
from tiffin.stages.ingest import sample
from tiffin.stages.ingest.columns import check_range, finish_columns, rename
from tiffin.stages.ingest.headers import csv_header
from tiffin.stages.ingest.rejects import rejected_rows, too_many_rejected
from tiffin.stages.ingest.shards import sample_rows, write_shards
from tiffin.stages.ingest.sources import (
    Column,
    common_type,
    csv_relation,
    csv_types,
    damaged,
    duckdb_reason,
    is_parquet,
    parquet_columns,
    parquet_relation,
    quoted_name,
    unreadable,
)
from tiffin.stages.ingest.splits import check_weights, split_expression


def ingest(
    data: str,
    output: str | Path,
    *,
    derive: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
    splits: Mapping[str, float] | None = None,
    key: str = "",
    delimiter: str = "",
    max_bad_share: float = 0.01,
    data_root: str = "",
) -> Manifest:
    """Read CSV or Parquet into an examples artifact and return its manifest.

    Args:
        data: File, folder or glob, local, `gs://` or `s3://`, or `sample:deliveries[?rows=N&seed=S]`.
        output: Folder of the examples artifact.
        derive: Columns to add: name to SQL expression over one row.
        exclude: Columns to drop, after derived columns are computed.
        splits: Split name to weight. Defaults to `{"train": 2, "eval": 1}`.
        key: Column whose value decides the split; empty to use the whole row.
        delimiter: CSV delimiter; detected if empty.
        max_bad_share: Maximum share of unreadable rows, from 0 to 1. Defaults to 0.01.
        data_root: Folder or bucket for the Parquet shards, written once per data version; empty to keep them in the artifact.

    Column names are changed to valid Python parameter names: ASCII letters, digits and `_`, starting with a letter. The
    manifest lists the renamed columns. `derive`, `exclude` and `key` use the new names.

    Returns:
        The manifest.

    Raises:
        InputError: A parameter or a file is invalid.
        DataError: There are no rows, or too many unreadable ones.
        StorageError: A file or folder cannot be read or written.
    """
    if not 0 <= max_bad_share <= 1:
        raise InputError(f"max_bad_share should be from 0 to 1. Received: max_bad_share={max_bad_share}.")
    derive = dict(derive or {})
    weights = check_weights(splits or {"train": 2, "eval": 1})
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_named_disk(output))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=output, prefix=".ingest-")))
        connection = stack.enter_context(_connection(scratch))
        files = stack.enter_context(_local_files(data, scratch))
        columns, rejected = _load(connection, files, delimiter, max_bad_share)
        columns, renamed = rename(connection, columns)
        check_range(connection, [column for column in columns if column.name not in exclude])
        table_columns = finish_columns(connection, columns, derive, exclude, split_expression(weights, columns, key))
        version, written = write_shards(connection, table_columns, list(weights), derive, scratch / "shards")
        manifest = Manifest(
            version=version,
            rows=sum(split.rows for split in written.values()),
            columns=tuple(table_columns),
            splits=written,
            sources=tuple(files.values()),
            renamed=renamed,
            derive=derive,
            exclude=tuple(sorted(exclude)),
            key=key,
            set_aside=set_aside(rejected),
        )
        rows = sample_rows(connection, table_columns)
        return write_examples(output, manifest, rows, rejected, scratch / "shards", data_root)


@contextmanager
def _named_disk(output: Path) -> Iterator[None]:
    """Add the folder to a full-disk error, which DuckDB does not name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(output)) from None


@contextmanager
def _connection(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        # On disk, so that data larger than memory spills instead of failing.
        with duckdb.connect(str(scratch / "ingest.duckdb")) as connection:
            connection.execute(
                "SET TimeZone='UTC'; SET autoinstall_known_extensions=false; SET autoload_known_extensions=false"
            )
            connection.execute("SET enable_progress_bar=false")
            yield connection
    except duckdb.Error as error:
        duckdb_reason(error)  # Raises OSError for a full disk; any other error is a bug of ours.
        raise


@contextmanager
def _local_files(data: str, scratch: Path) -> Iterator[dict[Path, Source]]:
    """Yield each source's local path and its manifest entry; download remote files."""
    if data.startswith("sample:"):
        path = scratch / "sample.csv"
        sample.write_sample_uri(data, path)
        yield {path: Source(data, storage.digest(path), path.stat().st_size)}
        return
    if not data:
        raise InputError("data should be a file, folder or glob. Received: data=''. Pass --set data=PATH.")
    with ExitStack() as stack:
        found = {}
        for source in storage.list_files(data):
            path = stack.enter_context(storage.local_copy(source.uri))
            found[path] = Source(source.uri, storage.digest(path), source.size_bytes, source.generation or None)
        yield found


def _load(
    connection: duckdb.DuckDBPyConnection,
    files: Mapping[Path, Source],
    delimiter: str,
    max_bad_share: float,
) -> tuple[list[Column], list[Rejected]]:
    """Read every file into the table `source` and return its columns and the rejected rows."""
    uris = {path: source.uri for path, source in files.items()}
    first = next(iter(files))
    found: dict[Path, list[Column]] = {}
    separators: dict[Path, str] = {}
    for path, uri in uris.items():
        if is_parquet(path):
            found[path] = parquet_columns(connection, path, uri)
        else:
            separators[path], header = csv_header(path, uri, delimiter)
            found[path] = [Column(name, "VARCHAR") for name in header]
        if differing := sorted({column.name for column in found[path]} ^ {column.name for column in found[first]}):
            raise InputError(
                f"All files should have the same columns. Received: '{uri}', which differs from '{uris[first]}' in "
                f"{', '.join(differing)}. Ingest the files separately, or fix the header."
            )
    if separators:
        _find_csv_types(connection, found, separators, uris, max_bad_share)
    by_file = {uris[path]: {column.name: column.type for column in columns} for path, columns in found.items()}
    columns = [
        Column(column.name, common_type(column.name, {uri: types[column.name] for uri, types in by_file.items()}))
        for column in found[first]
    ]
    types = {column.name: column.type for column in columns}
    connection.execute(f"CREATE TABLE source ({', '.join(f'{quoted_name(c.name)} {c.type}' for c in columns)})")
    for path, here in found.items():
        if path in separators:
            typed = [Column(column.name, types[column.name]) for column in here]
            relation = csv_relation(path, separators[path], typed, rejects=True)
        else:
            relation = parquet_relation(path)
        try:
            connection.execute(f"INSERT INTO source BY NAME SELECT * FROM {relation}")
        except duckdb.Error as error:
            raise (unreadable if path in separators else damaged)(uris[path], error) from None
    rejected = rejected_rows(connection, {str(path): uri for path, uri in uris.items()}) if separators else []
    kept = connection.execute("SELECT count(*) FROM source").fetchall()[0][0]
    if kept + len(rejected) == 0:
        raise DataError(
            f"data should have at least one row. Received: '{uris[first]}', which has none. Pass a file with rows."
        )
    if len(rejected) > max_bad_share * (kept + len(rejected)):
        raise too_many_rejected(rejected, kept + len(rejected), max_bad_share)
    return columns, rejected


def _find_csv_types(
    connection: duckdb.DuckDBPyConnection,
    found: dict[Path, list[Column]],
    separators: Mapping[Path, str],
    uris: Mapping[Path, str],
    max_bad_share: float,
) -> None:
    """Detect the CSV columns' types from the values of all files and set them in `found`."""
    texts = [
        f"FROM {csv_relation(path, delimiter, found[path], rejects=False)}" for path, delimiter in separators.items()
    ]
    names = [column.name for column in found[next(iter(separators))]]
    try:
        typed = csv_types(connection, " UNION ALL BY NAME ".join(texts), names, max_bad_share)
    except duckdb.Error as error:
        raise unreadable("', '".join(uris[path] for path in separators), error) from None
    types = {column.name: column.type for column in typed}
    for path in separators:
        found[path] = [Column(column.name, types[column.name]) for column in found[path]]
